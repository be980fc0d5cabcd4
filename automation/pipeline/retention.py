"""Keep what is needed and drop what is old: whole partitions, and the narrow rows that belong to them."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from automation.models.partitioned import drop_partitions, ensure_partitions, month_start
from automation.pipeline import tally

log = logging.getLogger(__name__)

LOCK = 7_000_002
SEND_DAYS = 400  # Longer than any cap window or `time_since_last_email` looks back.
HEARTBEAT = timedelta(days=1)
SAMPLES_KEPT = 50  # Recent misses of each trigger.


def keep(now: datetime | None = None) -> dict[str, list[str]]:
    """Make coming partitions, drop those older than RETENTION_MONTHS; returns their names."""
    now = now or datetime.now(UTC)
    oldest = month_start(now, -settings.RETENTION_MONTHS)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        if not cursor.fetchone()[0]:
            return {"made": [], "dropped": []}
        made = ensure_partitions(now, back=0)
        dropped = drop_partitions(oldest)
        cursor.execute(
            "DELETE FROM automation_event WHERE occurred_at < %s AND received_at < %s", [oldest, oldest]
        )
        cursor.execute("DELETE FROM automation_messagekey WHERE created_at < %s", [oldest])
        cursor.execute("DELETE FROM automation_executionkey WHERE decided_at < %s", [oldest])
        cursor.execute(
            "DELETE FROM automation_delivery WHERE created_at < %s AND status NOT IN ('pending', 'sending')",
            [oldest],
        )
        cursor.execute(
            "DELETE FROM automation_sendreservation WHERE reserved_at < %s", [now - timedelta(days=SEND_DAYS)]
        )
        cursor.execute(
            "DELETE FROM automation_heartbeat WHERE at < %s AND event_ids = '[]'", [now - HEARTBEAT]
        )
    log.info("retention", extra={"made": made, "dropped": dropped})
    return {"made": made, "dropped": dropped}


def tidy(now: datetime | None = None) -> None:
    """Sum up the tallies of ended hours, and keep only the newest misses of each trigger."""
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
