"""Decide a batch of events: claim, lock, decide, record, in one transaction.

A crash anywhere returns the events to the queue. An event that makes the batch fail is found by halving; it
alone takes the failure, and goes to quarantine when its budget is used up (R-019, R-020).
"""

from __future__ import annotations

import contextlib
import logging
import traceback

from billiard.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction

from automation.engine.types import Priority
from automation.faults import fault
from automation.pipeline import catalogue, claim, deaths, decide, forgotten, index, quarantine, record, tally
from profiles import services

log = logging.getLogger(__name__)


# Not the events' fault: their rows are back in the queue, their budget is untouched.
INFRASTRUCTURE = (OperationalError, InterfaceError, SoftTimeLimitExceeded)

_patience: dict[Priority, int] = {}  # Batch size this process dares on a lane after one was too slow.


def decide_next(lane: Priority, *, limit: int, worker: str) -> int:
    """Decide up to `limit` waiting events of `lane`; returns how many were taken off the queue.

    After a batch that ran into a time limit the next one is half as large, and grows again from there.
    """
    size = min(limit, _patience.get(lane, limit))
    batch = claim.peek(lane, limit=size, worker=worker)
    if batch is not None and batch.is_after_death:
        # What killed one worker must not kill the next before it is known: suspects are tried alone.
        try:
            with transaction.atomic():
                deaths.count_deaths()
        except (
            INFRASTRUCTURE
        ):  # Somebody holds their customer for long; the next batch, or the sweep, counts.
            log.warning("dead workers could not be counted now", exc_info=True)
        batch = claim.peek(lane, limit=size, worker=worker)
    if batch is None:
        return 0
    try:
        done = _decide(batch, worker)
    except INFRASTRUCTURE:
        _patience[lane] = max(1, size // 2)
        with contextlib.suppress(*INFRASTRUCTURE):
            claim.finish(worker)  # This worker lives; nobody is to blame the events for its later end.
        raise
    if size < limit:
        _patience[lane] = size * 2
    return done


def _decide(batch: claim.Batch, worker: str) -> int:
    try:
        return _attempt(batch, worker)
    except INFRASTRUCTURE:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the healthy events of the batch must not suffer for it.
        if len(batch.ids) == 1:
            _blame(batch, worker, error)
            return 1
        middle = len(batch.ids) // 2
        tally.add([("bisected", int(batch.lane), None, type(error).__name__, 1)])
        return _decide(batch.half(slice(None, middle)), worker) + _decide(
            batch.half(slice(middle, None)), worker
        )


def _attempt(batch: claim.Batch, worker: str) -> int:
    triggers = index.current()
    with transaction.atomic():
        claimed = claim.take(batch)
        fault("after_claim")
        profiles = services.lock(item.profile_id for item in claimed)
        now = claim.moment()  # After the locks: whoever held them before us decided earlier.
        # On their way in while their customer was erased: nothing of them is kept.
        buried = [item.event for item in claimed if profiles[item.profile_id].is_erased]
        forgotten.drop(buried)
        gone = {event.id for event in buried}
        moved = [
            (item.event.id, into, item.event.occurred_at)
            for item in claimed
            if item.event.id not in gone and (into := profiles[item.profile_id].merged_into)
        ]
        claim.put_back(moved, batch.lane)
        gone |= {event_id for event_id, _, _ in moved}
        staying = [item for item in claimed if item.event.id not in gone]
        outcomes = decide.decide(staying, profiles, triggers, now=now)
        touched = {item.profile_id for item in staying}
        services.store(
            {profile_id: outcomes.states[profile_id] for profile_id in touched},
            former={profile_id: locked.state for profile_id, locked in profiles.items()},
        )
        services.record_consent(outcomes.words)
        record.record(outcomes, now)
        record.count_events(batch.lane, staying)
        claim.finish(worker)
        fault("decide_before_commit")
    fault("decide_after_commit")
    catalogue.note(item.event for item in staying)
    return len(claimed)


def _blame(batch: claim.Batch, worker: str, error: Exception) -> None:
    """Count a failure of one event; its first retry comes at once, later ones wait longer and longer."""
    (event_id,) = batch.ids
    log.exception("an event could not be decided", extra={"event_id": event_id, "quotes_data": True})
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE automation_queuedevent SET data_failures = data_failures + 1,"
            " due_at = now() + make_interval(secs => CASE data_failures WHEN 0 THEN 0 ELSE 5 ^ data_failures END)"
            " WHERE event_id = %s RETURNING data_failures",
            [event_id],
        )
        row = cursor.fetchone()
        if row and row[0] >= settings.DATA_FAILURE_BUDGET:
            quarantine.hold(event_id, type(error).__name__, "".join(traceback.format_exception(error)))
        claim.finish(worker)
