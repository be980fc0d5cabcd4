"""Promises that must hold whatever crashed, each proved by one SQL statement (R-033).

A statement sees one snapshot, so the proofs hold while workers go on working. Each returns one row: how many
rows it looked at, how many break the promise, and the ids of a few of them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from automation.engine.types import Priority, Reason
from automation.models.partitioned import month_start

log = logging.getLogger(__name__)

GRACE_SECONDS = 300.0  # Beyond its deadline work may be late by this much (a restart) before it is a breach.
QUARANTINE_DAYS = 7  # So long a person may let an event lie in quarantine.
KEYS_HOURS = 24  # Younger message ids are looked up one by one.
SEND_DAYS = 365  # Reservations are kept a little longer than this.
CAP_DAYS = 7  # Caps are proved for this long back: older messages may have gone out under other settings.
SAMPLES = 5


@dataclass(frozen=True, slots=True)
class Proof:
    """What one invariant came to."""

    name: str
    promise: str
    checked: int
    breaches: int
    samples: list[str]
    ms: float


@dataclass(frozen=True, slots=True)
class Invariant:
    """A promise and the body of its proof: a query of (id text, is_bad boolean) over everything looked at."""

    name: str
    promise: str
    rows: str


_OPEN = "('pending', 'sending')"
_WENT_OUT = "('sent', 'uncertain', 'delivered', 'opened', 'clicked', 'bounced', 'complained')"
# After profiles were joined, what was decided for two customers belongs to one: nobody broke a rule.
_JOINED = "SELECT merged_into_id FROM profiles_profile WHERE merged_into_id IS NOT NULL"

INVARIANTS: tuple[Invariant, ...] = (
    Invariant(
        "accepted_events_are_stored",
        "Every accepted message id of the last day leads to a stored event.",
        """
        SELECT k.source || '/' || k.message_id AS id, e.id IS NULL AS is_bad
        FROM automation_messagekey k LEFT JOIN automation_event e ON e.id = k.event_id
        WHERE k.created_at > now() - make_interval(hours => %(keys_hours)s)
        """,
    ),
    Invariant(
        "waiting_events_are_young",
        "Every event is decided, in quarantine, or younger than its lane's limit.",
        """
        SELECT event_id::text AS id, greatest(accepted_at, due_at)
          < now() - make_interval(secs => (%(limits)s::float8[])[lane]) AS is_bad
        FROM automation_queuedevent
        """,
    ),
    Invariant(
        "queue_rows_have_events",
        "No row of the queue lacks its event.",
        """
        SELECT q.event_id::text AS id, e.id IS NULL AS is_bad FROM automation_queuedevent q
        LEFT JOIN automation_event e ON e.id = q.event_id AND e.occurred_at = q.occurred_at
        """,
    ),
    Invariant(
        "quarantine_is_settled",
        "No event lies in quarantine for longer than a week, or is held and queued at once.",
        """
        SELECT h.event_id::text AS id, q.event_id IS NOT NULL
          OR h.created_at < now() - make_interval(days => %(quarantine_days)s) AS is_bad
        FROM automation_quarantinedevent h LEFT JOIN automation_queuedevent q USING (event_id)
        WHERE h.state = 'held'
        """,
    ),
    Invariant(
        "executions_have_keys",
        "Every execution has the key that makes it unique.",
        """
        SELECT x.id::text AS id, k.profile_id IS NULL AS is_bad FROM automation_execution x
        LEFT JOIN automation_executionkey k
          ON (k.profile_id, k.trigger_id, k.dedupe_key) = (x.profile_id, x.trigger_id, x.dedupe_key)
        WHERE x.decided_at >= %(oldest)s
        """,
    ),
    Invariant(
        "executions_are_unique",
        "No trigger was decided twice for one customer and key.",
        f"""
        SELECT min(id)::text AS id, count(*) > 1 AS is_bad FROM automation_execution
        WHERE profile_id NOT IN ({_JOINED}) GROUP BY trigger_id, profile_id, dedupe_key
        """,
    ),
    Invariant(
        "statuses_and_reasons_are_known",
        "Every status is one of the five, and what is held back says why.",
        """
        SELECT id::text AS id, status NOT IN ('pending', 'processing', 'triggered', 'suppressed', 'failed')
          OR (status = 'suppressed' AND reason <> ALL(%(reasons)s)) AS is_bad
        FROM automation_execution
        """,
    ),
    Invariant(
        "processing_is_going_on",
        "Every execution that is being carried out has an action that is open.",
        f"""
        SELECT x.id::text AS id, NOT EXISTS (
          SELECT FROM automation_delivery d WHERE d.execution_id = x.id AND d.status IN {_OPEN}) AS is_bad
        FROM automation_execution x WHERE x.status = 'processing'
        """,
    ),
    Invariant(
        "pending_will_go_on",
        "Every pending execution has a moment that is not long past, or an open action.",
        f"""
        SELECT x.id::text AS id, CASE WHEN x.due_at IS NULL THEN NOT EXISTS (
            SELECT FROM automation_delivery d WHERE d.execution_id = x.id AND d.status IN {_OPEN})
          ELSE x.due_at < now() - make_interval(secs => (%(limits)s::float8[])[x.lane]) END AS is_bad
        FROM automation_execution x WHERE x.status = 'pending'
        """,
    ),
    Invariant(
        "ended_executions_are_closed",
        "No execution that has ended has an action that is still to be carried out.",
        f"""
        SELECT d.id::text AS id, x.status IN ('triggered', 'suppressed', 'failed') AS is_bad
        FROM automation_delivery d
        JOIN automation_execution x ON (x.id, x.decided_at) = (d.execution_id, d.execution_decided_at)
        WHERE d.status IN {_OPEN}
        """,
    ),
    Invariant(
        "outcomes_match_actions",
        "An execution that fired has an action that succeeded; one that failed has none.",
        f"""
        SELECT x.id::text AS id, (x.status = 'triggered') <> EXISTS (
          SELECT FROM automation_delivery d WHERE d.execution_id = x.id AND d.status IN {_WENT_OUT}) AS is_bad
        FROM automation_execution x
        WHERE x.status IN ('triggered', 'failed') AND x.decided_at >= %(oldest)s
        """,
    ),
    Invariant(
        "deliveries_have_executions",
        "No delivery lacks its execution.",
        """
        SELECT d.id::text AS id, x.id IS NULL AS is_bad FROM automation_delivery d
        LEFT JOIN automation_execution x ON (x.id, x.decided_at) = (d.execution_id, d.execution_decided_at)
        WHERE d.execution_decided_at >= %(oldest)s
        """,
    ),
    Invariant(
        "send_keys_are_unique",
        "The database itself refuses a second delivery with the same key.",
        """
        SELECT wanted AS id, NOT EXISTS (
          SELECT FROM pg_index i WHERE i.indrelid = 'automation_delivery'::regclass AND i.indisunique
          AND i.indisvalid AND pg_get_indexdef(i.indexrelid) LIKE '%%(' || wanted || ')') AS is_bad
        FROM unnest(ARRAY['idempotency_key', 'execution_id, action_index, channel']) AS wanted
        """,
    ),
    Invariant(
        "due_deliveries_go_out",
        "No due delivery waits long, and no lease outlives its worker for long.",
        """
        SELECT id::text AS id, CASE status WHEN 'pending' THEN greatest(due_at, lease_until)
            < now() - make_interval(secs => (%(limits)s::float8[])[lane])
          ELSE lease_until < now() - make_interval(secs => %(grace)s) END AS is_bad
        FROM automation_delivery WHERE status = 'sending' OR (status = 'pending' AND due_at IS NOT NULL)
        """,
    ),
    Invariant(
        "chains_of_actions_move_on",
        "An action without a moment waits for one before it that is still open.",
        f"""
        SELECT d.id::text AS id, NOT EXISTS (
          SELECT FROM automation_delivery b WHERE b.execution_id = d.execution_id
          AND b.action_index < d.action_index AND b.status IN {_OPEN}) AS is_bad
        FROM automation_delivery d WHERE d.status = 'pending' AND d.due_at IS NULL
        """,
    ),
    Invariant(
        "caps_hold",
        "No customer was promised more marketing e-mails in one window than the cap allows.",
        "",  # Depends on the settings: a rolling window, or the customer's calendar day.
    ),
    Invariant(
        "reservations_have_executions",
        "Every reserved message belongs to an execution.",
        """
        SELECT r.id::text AS id, x.id IS NULL AS is_bad FROM automation_sendreservation r
        LEFT JOIN automation_execution x ON x.id = r.execution_id WHERE r.reserved_at >= %(oldest)s
        """,
    ),
    Invariant(
        "marketing_mail_was_reserved",
        "No marketing e-mail went out without a reservation against the caps.",
        f"""
        SELECT d.id::text AS id, NOT EXISTS (
          SELECT FROM automation_sendreservation r
          WHERE r.execution_id = d.execution_id AND r.channel = d.channel) AS is_bad
        FROM automation_delivery d
        WHERE d.channel = 'email' AND d.message_class = 'marketing' AND d.created_at >= %(sends_since)s
          AND (d.status = 'sending' OR d.status IN {_WENT_OUT})
        """,
    ),
    Invariant(
        "counts_match_executions",
        "How often a trigger fired for a customer equals the executions that were granted.",
        """
        SELECT s.profile_id || '/' || s.trigger_id AS id, s.count <> coalesce(d.granted, 0) AS is_bad
        FROM automation_triggerstate s JOIN automation_trigger t ON t.id = s.trigger_id
        LEFT JOIN (
          SELECT profile_id, trigger_id, count(DISTINCT execution_id) AS granted
          FROM automation_delivery GROUP BY 1, 2) d USING (profile_id, trigger_id)
        WHERE t.created_at >= %(oldest)s
        """,
    ),
)

_ROLLING = """
    SELECT r.id::text AS id, count(*) OVER (PARTITION BY r.profile_id ORDER BY r.reserved_at
      RANGE BETWEEN make_interval(secs => %(cap_seconds)s - 0.000001) PRECEDING AND CURRENT ROW)
      > %(cap)s AS is_bad
"""
_BY_DAY = """
    SELECT r.id::text AS id, count(*) OVER (PARTITION BY r.profile_id,
      (r.reserved_at AT TIME ZONE coalesce(z.name, %(zone)s))::date) > %(cap)s AS is_bad
"""
_CAPPED = f"""
    FROM automation_sendreservation r JOIN profiles_profile p ON p.id = r.profile_id
    LEFT JOIN pg_timezone_names z ON z.name = p.time_zone
    WHERE r.channel = 'email' AND r.message_class = 'marketing' AND r.profile_id NOT IN ({_JOINED})
      AND p.erased_at IS NULL
      AND r.reserved_at >= now() - make_interval(days => %(cap_days)s)
"""


def verify(*, grace: float = GRACE_SECONDS) -> list[Proof]:
    """Prove every invariant, read-only. `grace` is how many seconds work may be late."""
    now = datetime.now(UTC)
    params: dict[str, Any] = {
        "limits": [priority.deadline.total_seconds() + grace for priority in Priority],
        "grace": grace,
        "oldest": month_start(now, -settings.RETENTION_MONTHS),
        "sends_since": now - timedelta(days=SEND_DAYS),
        "reasons": [reason.value for reason in Reason],
        "keys_hours": KEYS_HOURS,
        "quarantine_days": QUARANTINE_DAYS,
        "cap": settings.EMAIL_CAP,
        "cap_seconds": settings.EMAIL_CAP_HOURS * 3600,
        "cap_days": CAP_DAYS,
        "zone": settings.DEFAULT_TIME_ZONE,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '50s'")
        return [_prove(cursor, invariant, params) for invariant in INVARIANTS]


def verify_and_log() -> list[Proof]:
    """Prove, and log each breach as an error. For the periodic task."""
    proofs = verify()
    for proof in proofs:
        if proof.breaches:
            log.error(
                "invariant broken",
                extra={"invariant": proof.name, "breaches": proof.breaches, "samples": proof.samples},
            )
    return proofs


def _prove(cursor: Any, invariant: Invariant, params: Mapping[str, Any]) -> Proof:
    rows = invariant.rows or f"{_BY_DAY if settings.EMAIL_CAP_BY_DAY else _ROLLING}{_CAPPED}"
    started = time.perf_counter()
    cursor.execute(
        "SELECT count(*), count(*) FILTER (WHERE is_bad), coalesce((array_agg(id ORDER BY id)"
        f" FILTER (WHERE is_bad))[1:{SAMPLES}], '{{}}') FROM ({rows}) AS looked_at",
        params,
    )
    checked, breaches, samples = cursor.fetchone()
    ms = round((time.perf_counter() - started) * 1000, 1)
    return Proof(invariant.name, invariant.promise, checked, breaches, list(samples), ms)
