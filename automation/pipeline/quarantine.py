"""Where events go that failed too often; a person replays or discards them."""

from __future__ import annotations

from datetime import UTC, datetime

from django.conf import settings
from django.db import connection, transaction

from automation import queues
from automation.engine.types import Priority
from automation.models import QuarantinedEvent
from automation.models.events import SHARDS
from automation.pipeline import tally
from automation.pipeline.consent import STATE_EVENTS
from profiles import services


def hold(event_id: int, error_class: str, traceback: str) -> None:
    """Move an event from the queue into quarantine. Needs a transaction.

    Under the profile's lock: what a traceback quotes of a customer must not be written behind their erasure.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT profile_id FROM automation_queuedevent WHERE event_id = %s", [event_id])
        owner = cursor.fetchone()
        if owner and any(profile.is_erased for profile in services.lock(owner).values()):
            return  # The next worker that takes the event drops it.
        cursor.execute(
            "WITH gone AS (DELETE FROM automation_queuedevent WHERE event_id = %s RETURNING *)"
            " INSERT INTO automation_quarantinedevent (event_id, profile_id, occurred_at, lane, error_class,"
            " traceback, code_version, data_failures, worker_deaths, state, note)"
            " SELECT event_id, profile_id, occurred_at, lane, %s, %s, %s, data_failures, worker_deaths, 'held', ''"
            " FROM gone ON CONFLICT (event_id) DO UPDATE SET state = 'held', error_class = excluded.error_class,"
            " traceback = excluded.traceback, code_version = excluded.code_version, settled_at = NULL",
            [event_id, error_class[:200], traceback[-20_000:], settings.VERSION],
        )
    tally.add([("quarantined", None, None, error_class[:200], 1)])


def replay(event_id: int) -> bool:
    """Put a held event back into the queue; a second call does nothing."""
    with transaction.atomic():
        row = QuarantinedEvent.objects.select_for_update().filter(event_id=event_id, state="held").first()
        if row is None:
            return False
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO automation_queuedevent (event_id, profile_id, lane, shard, occurred_at, is_state)"
                f" SELECT id, profile_id, %s, profile_id %% {SHARDS}, occurred_at, name = ANY(%s) AND NOT is_import"
                " FROM automation_event WHERE id = %s AND occurred_at = %s ON CONFLICT DO NOTHING",
                [row.lane, sorted(STATE_EVENTS), row.event_id, row.occurred_at],
            )
        row.state, row.settled_at = QuarantinedEvent.State.REPLAYED, datetime.now(UTC)
        row.save(update_fields=["state", "settled_at"])
        queues.ring(Priority(row.lane).lane)
    return True


def discard(event_id: int, note: str) -> bool:
    """Give a held event up, saying why."""
    changed = QuarantinedEvent.objects.filter(event_id=event_id, state="held").update(
        state=QuarantinedEvent.State.DISCARDED, note=note[:300], settled_at=datetime.now(UTC)
    )
    return bool(changed)
