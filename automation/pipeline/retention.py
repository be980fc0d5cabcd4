"""Keep what is needed and drop what is old: whole partitions, and the narrow rows that belong to them."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from automation.models.partitioned import drop_partitions, ensure_partitions, month_start
from automation.pipeline import tally

log = logging.getLogger(__name__)

LOCK = 7_000_002
SEND_DAYS = 400  # Longer than any cap window or `time_since_last_email` looks back.
HEARTBEAT = timedelta(days=1)
DELETE_AT_ONCE = 10_000
DELETE_SECONDS = 30.0
SAMPLES_KEPT = 50  # Recent misses of each trigger.
REJECTIONS = timedelta(hours=24)  # Requests that were not accepted.
ATTEMPTS = timedelta(days=30)  # Wrong passwords; a lock-out lasts minutes.
LOG_INS = timedelta(days=180)  # Who was in when, for questions after an incident.


# Table -> what is old in it. Deleted in small steps with commits of their own, oldest month by month.
_OLD = {
    "automation_event": "occurred_at < %(oldest)s AND received_at < %(oldest)s",  # Of the default partition.
    "automation_messagekey": "created_at < %(oldest)s",
    "automation_executionkey": "decided_at < %(oldest)s",
    "automation_delivery": "created_at < %(oldest)s AND status NOT IN ('pending', 'sending')",
    "automation_sendreservation": "reserved_at < %(sends)s",
    "automation_heartbeat": "at < %(beats)s AND event_ids = '[]'",
}


def keep(now: datetime | None = None) -> dict[str, list[str]]:
    """Make coming partitions, drop those older than RETENTION_MONTHS; returns their names.

    The partitions are committed first and quickly. What else is old is deleted in steps, for DELETE_SECONDS
    at most; the rest is left to the next time.
    """
    now = now or datetime.now(UTC)
    oldest = month_start(now, -settings.RETENTION_MONTHS)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        if not cursor.fetchone()[0]:
            return {"made": [], "dropped": []}
        made = ensure_partitions(now, back=0)
        dropped = drop_partitions(oldest)
    moments = {"oldest": oldest, "sends": now - timedelta(days=SEND_DAYS), "beats": now - HEARTBEAT}
    deleted = _delete_old(moments)
    log.info("retention", extra={"made": made, "dropped": dropped, "deleted": deleted})
    return {"made": made, "dropped": dropped}


def _delete_old(moments: dict[str, datetime]) -> int:
    ends_at = time.monotonic() + DELETE_SECONDS
    total = 0
    with connection.cursor() as cursor:
        for table, is_old in _OLD.items():
            while time.monotonic() < ends_at:
                cursor.execute(
                    f"DELETE FROM {table} WHERE (tableoid, ctid) IN (SELECT tableoid, ctid FROM {table}"
                    f" WHERE {is_old} LIMIT {DELETE_AT_ONCE})",
                    moments,
                )
                total += cursor.rowcount
                if cursor.rowcount < DELETE_AT_ONCE:
                    break
    return total


def tidy(now: datetime | None = None) -> None:
    """Sum up the tallies of ended hours, keep only the newest misses of each trigger, drop old rejected requests,
    and what old log-ins left behind: wrong passwords, the log of log-ins, ended sessions.
    """
    now = now or datetime.now(UTC)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        if not cursor.fetchone()[0]:
            return
        tally.compact(now.replace(minute=0, second=0, microsecond=0))
        cursor.execute(
            "DELETE FROM automation_misssample WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER ("
            "PARTITION BY trigger_id ORDER BY id DESC) AS rank FROM automation_misssample) m WHERE rank > %s)",
            [SAMPLES_KEPT],
        )
        cursor.execute("DELETE FROM automation_rejectedrequest WHERE last_at < %s", [now - REJECTIONS])
        cursor.execute("DELETE FROM axes_accessattempt WHERE attempt_time < %s", [now - ATTEMPTS])
        cursor.execute("DELETE FROM axes_accesslog WHERE attempt_time < %s", [now - LOG_INS])
        cursor.execute("DELETE FROM django_session WHERE expire_date < %s", [now])
