"""Find work that no bell speaks for: after a crash, after Redis lost its memory, and when a moment has come."""

from __future__ import annotations

import logging

from django.conf import settings
from django.db import DatabaseError, connection, transaction

from automation import queues
from automation.engine.types import Priority
from automation.faults import fault
from automation.pipeline import deliver, lookout, quarantine, tally, trigger_health
from profiles import services

log = logging.getLogger(__name__)

LOCK = 7_000_001  # Advisory lock: two beats, one sweep.
# A sweeper that stands still for so long (a stopped process, a frozen machine) loses its session, so that its lock
# keeps nobody else from sweeping.
_WATCHED = "SET idle_session_timeout = '10s'; SET idle_in_transaction_session_timeout = '10s'"
_UNWATCHED = "RESET idle_session_timeout; RESET idle_in_transaction_session_timeout"


def sweep() -> bool:
    """Ring the lanes with due work, rescue, count the dead. False when another sweep is running.

    Each step is a transaction of its own: one that fails takes nothing from the others.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
        if not cursor.fetchone()[0]:
            return False
    try:
        with connection.cursor() as cursor:
            cursor.execute(_WATCHED)
        for step in (_ring, _rescue, count_deaths, trigger_health.pause_broken):
            try:
                with transaction.atomic():
                    step()
            except DatabaseError:
                log.exception("a step of the sweep failed", extra={"step": step.__name__})
            fault("sweep_mid")
        lookout.note(lookout.SWEEP)
        tally.add([("sweeps", None, None, "", 1)])
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
            cursor.execute(_UNWATCHED)
    return True


def _ring() -> None:
    for lane in _lanes("SELECT DISTINCT lane FROM automation_queuedevent WHERE due_at <= now()"):
        queues.ring(lane)
    for lane in _lanes(
        "SELECT DISTINCT lane FROM automation_execution WHERE status = 'pending' AND due_at <= now()"
    ):
        queues.ring(lane)
    for lane in _lanes(
        "SELECT DISTINCT lane FROM automation_delivery WHERE status = 'pending' AND due_at <= now()"
        " AND (lease_until IS NULL OR lease_until < now())"
    ):
        queues.ring_deliveries(lane)


def _rescue() -> None:
    tally.add([("rescued", None, None, "", deliver.rescue())])


def _lanes(query: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return [Priority(lane).lane for (lane,) in cursor.fetchall()]


def count_deaths() -> None:
    """Workers whose database session ended in the middle of a batch: each of its events takes a blame.

    An event blamed WORKER_DEATH_BUDGET times goes to quarantine. The batch itself was rolled back. When
    PostgreSQL itself was restarted, every session ended, and no worker is to blame. Several deaths of one event
    between two counts are one blame: workers that are killed from outside may all have had it in their batches.
    Needs a transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM automation_heartbeat h WHERE NOT EXISTS ("
            " SELECT FROM pg_stat_activity a WHERE a.pid = h.backend_pid AND a.datname = current_database())"
            " RETURNING event_ids::text::json, at < pg_postmaster_start_time()"
        )
        batches = [event_ids for event_ids, was_restart in cursor.fetchall() if not was_restart]
        blamed = [event_id for batch in batches for event_id in batch]
        if blamed:
            cursor.execute(
                "UPDATE automation_queuedevent SET worker_deaths = worker_deaths + 1 WHERE event_id = ANY(%s)",
                [blamed],
            )
            cursor.execute(
                "SELECT event_id, profile_id FROM automation_queuedevent"
                " WHERE event_id = ANY(%s) AND worker_deaths >= %s",
                [blamed, settings.WORKER_DEATH_BUDGET],
            )
            held = cursor.fetchall()
            services.lock(profile_id for _, profile_id in held)  # All at once and in order.
            for event_id, _ in held:
                quarantine.hold(
                    event_id, "WorkerLost", "The worker was killed each time it tried this event."
                )
    tally.add([("worker_deaths", None, None, "", sum(1 for batch in batches if batch))])
