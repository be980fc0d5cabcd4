"""Find work that no bell speaks for: after a crash, after Redis lost its memory, and when a moment has come."""

from __future__ import annotations

import logging

from django.db import DatabaseError, connection, transaction

from automation import queues
from automation.engine.types import Priority
from automation.faults import fault
from automation.pipeline import deaths, deliver, lookout, tally, trigger_health

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
        for step in (_ring, _rescue, deaths.count_deaths, trigger_health.pause_broken):
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
