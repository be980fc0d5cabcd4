"""The outbox rows of a delivery: claimed, begun, finished. Every statement that matters is here.

Locks are taken in the order execution, delivery (after the profile, where one is needed). `attempt` fences:
a row claimed again by somebody else does not listen to its former worker (R-013).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection

from automation.pipeline import reservations
from automation.pipeline.endings import Ending, Progress, Sibling, storable
from automation.pipeline.recheck import Present

_COLUMNS = (
    "id, execution_id, execution_decided_at, trigger_id, version_id, profile_id, event_id,"
    " event_at, action_index, action_type, channel, message_class, topic, lane, attempt, tries,"
    " sending_at, due_at, now()"
)


DEATHS = (
    "CASE jsonb_typeof(result->'worker_deaths') WHEN 'number' THEN (result->>'worker_deaths')::int ELSE 0 END"
)


class Row(NamedTuple):
    """A claimed delivery. It belongs to us while its lease lasts and `attempt` is ours."""

    id: UUID
    execution_id: int
    decided_at: datetime
    trigger_id: int
    version_id: int
    profile_id: int
    event_id: int
    event_at: datetime
    action_index: int
    action_type: str
    channel: str
    message_class: str
    topic: str
    lane: int
    attempt: int
    tries: int
    first_at: datetime | None  # When it was first handed to its channel.
    due_at: datetime
    now: datetime


# Who may have won: a row that another worker claims at this moment is locked and skipped; one that it
# claimed before carries a lease. An expired lease on a pending row: its worker died before it began.
_CLAIM = f"""
UPDATE automation_delivery SET lease_until = now() + %(lease)s * interval '1 second', attempt = attempt + 1,
  worker = %(worker)s
WHERE id = ANY(ARRAY(
  SELECT id FROM automation_delivery
  WHERE status = 'pending' AND lane = %(lane)s AND due_at <= now()
    AND (lease_until IS NULL OR lease_until < now())
  ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
RETURNING {_COLUMNS}
"""


def claim(lane: int, *, worker: str, limit: int) -> list[Row]:
    """Due rows of a lane, ours for LEASE_SECONDS; committed when this returns (outside a transaction)."""
    values = {"lease": settings.LEASE_SECONDS, "worker": worker[:100], "lane": lane, "limit": limit}
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, values)
        rows = [Row(*row) for row in cursor.fetchall()]
    return sorted(rows, key=lambda row: (row.due_at, row.id))


def release(rows: Iterable[Row]) -> None:
    """Give back what was claimed and not begun; others need not wait for the lease to end."""
    ours = [(row.id, row.attempt) for row in rows]
    if not ours:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE automation_delivery d SET lease_until = NULL, worker = ''"
            " FROM unnest(%s::uuid[], %s::int[]) AS r(id, attempt)"
            " WHERE d.id = r.id AND d.attempt = r.attempt AND d.status = 'pending'",
            [[id for id, _ in ours], [attempt for _, attempt in ours]],
        )


def step_back(rows: Iterable[Row]) -> None:
    """Give back rows whose turn was refused (R-030): everything that is due now comes before them."""
    ours = [(row.id, row.attempt) for row in rows]
    if not ours:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE automation_delivery d SET lease_until = NULL, worker = '', due_at = clock_timestamp()"
            " FROM unnest(%s::uuid[], %s::int[]) AS r(id, attempt)"
            " WHERE d.id = r.id AND d.attempt = r.attempt AND d.status = 'pending'",
            [[id for id, _ in ours], [attempt for _, attempt in ours]],
        )


def leave(row: Row) -> None:
    """Its call goes on in a thread: when the process dies of another one, this is not to blame (R-020)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE automation_delivery SET worker = left('left by ' || worker, 100)"
            " WHERE id = %s AND attempt = %s AND status = 'sending'",
            [row.id, row.attempt],
        )


_PUT_OFF = """
UPDATE automation_delivery d SET lease_until = NULL, worker = '',
  due_at = clock_timestamp() + r.wait * interval '1 second',
  reason = CASE WHEN r.why = '' THEN d.reason ELSE r.why END,
  error_class = CASE WHEN r.why = '' THEN d.error_class ELSE r.why END,
  error = CASE WHEN r.why = '' THEN d.error ELSE %s END
FROM unnest(%s::uuid[], %s::int[], %s::float8[], %s::text[]) AS r(id, attempt, wait, why)
WHERE d.id = r.id AND d.attempt = r.attempt AND d.status = 'pending'
"""


class PutOff(NamedTuple):
    """A claimed row whose destination cannot be called for so many seconds; `why` is a reason's code, or empty."""

    row: Row
    wait: float
    why: str


def put_off(rows: Sequence[PutOff], words: str) -> None:
    """Give back rows that were not begun, to be looked at again later; no attempt is used up (R-030)."""
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            _PUT_OFF,
            [
                words,
                [off.row.id for off in rows],
                [off.row.attempt for off in rows],
                [off.wait for off in rows],
                [off.why for off in rows],
            ],
        )


@lru_cache(maxsize=16)
def _look(column: str) -> str:
    """`column` is a channel's own constant, never data."""
    address = f"p.{column}" if column else "''"
    return f"""
SELECT d.profile_id, x.status, x.reason, t.mode, p.id IS NULL OR p.erased_at IS NOT NULL,
  coalesce({address}, ''),
  (SELECT s.why FROM profiles_addresssuppression s
   WHERE s.channel = d.channel AND s.address = lower({address})),
  coalesce(p.preferences, '{{}}')::text,
  (SELECT json_object_agg(c.topic, c.is_granted)::text FROM profiles_consent c
   WHERE c.profile_id = d.profile_id AND c.channel = d.channel),
  coalesce(p.time_zone, ''),
  (SELECT max(r.reserved_at) FROM automation_sendreservation r
   WHERE r.execution_id = d.execution_id AND r.channel = d.channel
   HAVING count(*) >= (SELECT count(*) FROM automation_delivery s WHERE s.execution_id = d.execution_id
     AND s.channel = d.channel AND s.status NOT IN ('failed', 'cancelled')))
FROM automation_delivery d
JOIN automation_execution x ON x.id = %s AND x.decided_at = %s
JOIN automation_trigger t ON t.id = d.trigger_id
LEFT JOIN profiles_profile p ON p.id = d.profile_id
WHERE d.id = %s AND d.attempt = %s AND d.status = 'pending'
FOR NO KEY UPDATE OF x, d SKIP LOCKED
"""


def look(row: Row, address_column: str) -> Present | None:
    """Lock execution and delivery, and read all that the recheck needs. Needs a transaction.

    None when the row is not ours any more, or somebody decides about it right now. Never waits, so a
    transaction that already holds locks of another delivery cannot deadlock here.
    """
    with connection.cursor() as cursor:
        cursor.execute(_look(address_column), [row.execution_id, row.decided_at, row.id, row.attempt])
        found = cursor.fetchone()
    if found is None:
        return None
    return Present._make((*found[:7], json.loads(found[7]), json.loads(found[8] or "{}"), *found[9:]))


_BEGIN = """
WITH x AS (
  UPDATE automation_execution SET status = 'processing', started_at = coalesce(started_at, now())
  WHERE id = %(execution)s AND decided_at = %(decided)s AND status = 'pending')
UPDATE automation_delivery SET status = 'sending', sending_at = coalesce(sending_at, now()),
  tries = tries + 1, lease_until = now() + %(lease)s * interval '1 second', address = %(address)s, reason = ''
WHERE id = %(id)s
"""


def begin(row: Row, address: str) -> None:
    """From here on the effect may happen. Needs the transaction and the locks of `look`."""
    values = {
        "execution": row.execution_id,
        "decided": row.decided_at,
        "lease": settings.LEASE_SECONDS,
        "address": address[:300],
        "id": row.id,
    }
    with connection.cursor() as cursor:
        cursor.execute(_BEGIN, values)


# One statement, because it runs once for every message: the execution is locked, then the delivery ends, and
# with it the execution when this was its only action.
_FINISH = """
WITH x AS MATERIALIZED (
  SELECT id FROM automation_execution WHERE id = %(execution)s AND decided_at = %(decided)s FOR NO KEY UPDATE
), d AS (
  UPDATE automation_delivery d SET status = %(status)s, reason = %(reason)s, provider_id = %(provider_id)s,
    result = d.result || %(result)s::jsonb, error_class = %(error_class)s, error = %(error)s, worker = '',
    lease_until = NULL, tries = d.tries - %(unused)s,
    due_at = CASE WHEN %(status)s = 'pending' THEN coalesce(%(until)s, now() + %(wait)s) ELSE d.due_at END,
    sending_at = CASE WHEN d.tries <= %(unused)s THEN NULL ELSE d.sending_at END,
    finished_at = CASE WHEN %(status)s = 'pending' THEN NULL ELSE now() END
  FROM x WHERE d.id = %(id)s AND d.attempt = %(attempt)s AND d.status = %(expected)s
  RETURNING 1
), e AS (
  UPDATE automation_execution SET status = %(end)s, reason = %(end_reason)s, error = %(end_error)s,
    processed_at = now(), started_at = coalesce(started_at, now())
  WHERE id = %(execution)s AND decided_at = %(decided)s AND %(end)s <> '' AND EXISTS (SELECT FROM d)
)
SELECT count(*) FROM d
"""


def finish(row: Row, ending: Ending, *, expected: str, end: Progress | None) -> bool:
    """Write the ending, if the row is still ours and as we left it (R-013). Needs a transaction.

    `end` ends the execution too.
    """
    values: dict[str, Any] = {
        "execution": row.execution_id,
        "decided": row.decided_at,
        "id": row.id,
        "attempt": row.attempt,
        "expected": expected,
        "status": ending.status,
        "reason": ending.reason,
        "provider_id": ending.provider_id,
        "result": json.dumps(storable(ending.result)),
        "error_class": ending.error_class,
        "error": ending.error,
        "wait": ending.wait,
        "until": ending.until,
        "unused": int(ending.is_free),
        "end": (end and end.status) or "",
        "end_reason": end.reason if end else "",
        "end_error": end.error if end else "",
    }
    with connection.cursor() as cursor:
        cursor.execute(_FINISH, values)
        return bool(cursor.fetchone()[0])


def siblings(row: Row) -> list[Sibling]:
    """All deliveries of the row's execution."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT action_index, status, reason, error FROM automation_delivery WHERE execution_id = %s"
            " ORDER BY action_index",
            [row.execution_id],
        )
        return [Sibling(*found) for found in cursor.fetchall()]


def advance(row: Row, progress: Progress, delay_minutes: float) -> None:
    """Give the next action its moment, call off those that must not run, end the execution."""
    with connection.cursor() as cursor:
        if progress.next_index is not None:
            cursor.execute(
                "UPDATE automation_delivery SET due_at = now() + %s * interval '1 minute'"
                " WHERE execution_id = %s AND action_index = %s AND status = 'pending' AND due_at IS NULL",
                [delay_minutes, row.execution_id, progress.next_index],
            )
        if progress.cancel:
            cursor.execute(
                "UPDATE automation_delivery SET status = 'cancelled', finished_at = now(), reason = %s,"
                " error = %s WHERE execution_id = %s AND action_index = ANY(%s) AND status = 'pending'"
                " RETURNING channel",
                [
                    progress.reason,
                    f"Not run, because action {row.action_index + 1} did not work.",
                    row.execution_id,
                    list(progress.cancel),
                ],
            )
            reservations.free(row.execution_id, [channel for (channel,) in cursor.fetchall()])
        if progress.status is not None:
            cursor.execute(
                "UPDATE automation_execution SET status = %s, reason = %s, error = %s, processed_at = now(),"
                " started_at = coalesce(started_at, now()) WHERE id = %s AND decided_at = %s",
                [progress.status, progress.reason, progress.error, row.execution_id, row.decided_at],
            )


def suppress_address(row: Row, error: str) -> None:
    """Never write to this row's address again (a bounce, R-028)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO profiles_addresssuppression (channel, address, why, detail)"
            " SELECT channel, lower(address), 'bounce', %s FROM automation_delivery"
            " WHERE id = %s AND address <> '' ON CONFLICT DO NOTHING",
            [error[:300], row.id],
        )


_REOPEN = """
WITH x AS (
  UPDATE automation_execution SET status = 'processing', reason = '', error = '', processed_at = NULL
  WHERE (id, decided_at) = (
    SELECT execution_id, execution_decided_at FROM automation_delivery WHERE id = %(id)s AND status = 'failed')
  RETURNING id)
UPDATE automation_delivery d SET status = 'pending', reason = '', error = '', error_class = '',
  due_at = now(), tries = 0, sending_at = NULL, finished_at = NULL, lease_until = NULL
FROM x WHERE d.id = %(id)s AND d.execution_id = x.id AND d.status = 'failed'
RETURNING d.lane
"""


def reopen(delivery_id: UUID) -> int | None:
    """Make a failed delivery due again, as if never tried; its lane, or None when it is not failed."""
    with connection.cursor() as cursor:
        cursor.execute(_REOPEN, {"id": delivery_id})
        row = cursor.fetchone()
    return row[0] if row else None


def expired(limit: int) -> Sequence[tuple[Row, int]]:
    """Rows whose worker ended in the middle of the call, each with how many it has killed (see `lookout.blame`)."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {_COLUMNS}, {DEATHS} FROM automation_delivery"
            " WHERE status = 'sending' AND lease_until < now() ORDER BY lease_until LIMIT %s",
            [limit],
        )
        return [(Row(*found[:-1]), found[-1]) for found in cursor.fetchall()]
