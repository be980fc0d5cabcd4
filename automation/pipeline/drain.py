"""What a worker does when a bell rings: work for a moment, then let the other lanes in."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from functools import cache

from django.conf import settings
from django.db import connection, transaction

from automation import queues
from automation.engine.types import Priority
from automation.pipeline import deaths, deliver, due, process

CLAIM = {Priority.CRITICAL: 50, Priority.HIGH: 250, Priority.MEDIUM: 500, Priority.LOW: 2000}
DELIVERIES_AT_ONCE = 20
DUE_TURN = 4  # Every so many batches the executions whose moment has come are looked for.
PATIENCE = 20  # Looks in a row that found work but none to take, 5 ms apart, before the bell is given up.
OWN_TURN = 20  # Every so many batches the bell's own lane goes first: 5 % of the slots.


_host = cache(socket.gethostname)


def never() -> bool:
    """Nobody wants an end before the time is up."""
    return False


_parent: int | None = None
_is_fresh = False  # One of a pool that has not looked yet what became of the process before it.


def serve_under(parent: int) -> None:
    """This process is one of a pool: from now on its name tells whose."""
    global _parent, _is_fresh
    _parent, _is_fresh = parent, True


def worker_name() -> str:
    """This process, as heartbeats and claims name it: `host:pid`, in a pool `host:parent/pid`.

    Not cached, because the processes of a pool are forks of their parent.
    """
    return f"{_host()}:{_parent}/{os.getpid()}" if _parent else f"{_host()}:{os.getpid()}"


def events(lane: str, *, is_ending: Callable[[], bool] = never) -> bool:
    """Decide waiting events, of higher lanes first, for DRAIN_SECONDS; ring again when work is left.

    Returns whether work may be left. Nothing new is begun once `is_ending`.
    """
    own = Priority[lane.upper()]

    idle = 0

    def step(turn: int) -> bool:
        nonlocal idle
        if turn % DUE_TURN == 0 and due.decide_due(own):
            return True
        waiting = _waiting(own, own_first=turn % OWN_TURN == OWN_TURN - 1)
        for candidate in waiting:
            done = process.decide_next(candidate, limit=CLAIM[candidate], worker=worker_name())
            if done == CLAIM[candidate] and turn == 0:
                queues.ring(lane)  # More than one batch: whoever is idle may help.
            if done:
                idle = 0
                return True
        # What waits is in another worker's hands, or behind an event that is: look again in a moment.
        idle += 1
        time.sleep(0.005)
        return bool(waiting) and idle < PATIENCE

    is_left = _work(step, is_ending)
    if is_left:
        queues.ring(lane)
    return is_left


def deliveries(lane: str, *, is_ending: Callable[[], bool] = never) -> bool:
    """Deliver what is due on `lane`, for DRAIN_SECONDS; ring again when work is left.

    Between two batches of messages the urgent events are decided: no event waits for a whole mailing.
    Returns whether work may be left.
    """

    def step(turn: int) -> bool:
        for urgent in _waiting(Priority.HIGH, own_first=False):
            process.decide_next(urgent, limit=CLAIM[urgent], worker=worker_name())
        done = deliver.deliver_batch(lane, worker=worker_name(), limit=DELIVERIES_AT_ONCE)
        if done == DELIVERIES_AT_ONCE and turn == 0:
            queues.ring_deliveries(lane)
        return done > 0

    is_left = _work(step, is_ending)
    if is_left:
        queues.ring_deliveries(lane)
    return is_left


def _work(step: Callable[[int], bool], is_ending: Callable[[], bool]) -> bool:
    """Call `step` until it finds nothing (False) or the time is up (True: work may be left).

    A process that takes the place of one that was killed counts that death first: or the event that killed the one
    would kill every next one, until the next sweep (R-020).
    """
    global _is_fresh
    if _is_fresh:
        with transaction.atomic():
            deaths.count_deaths()
        _is_fresh = False
    ends_at = time.monotonic() + settings.DRAIN_SECONDS
    turn = 0
    while step(turn):
        turn += 1
        if time.monotonic() >= ends_at or is_ending():
            return True
    return False


def _waiting(own: Priority, *, own_first: bool) -> list[Priority]:
    """The lanes with due events that a bell of `own` serves, in order."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT l FROM unnest(%s::smallint[]) AS l WHERE EXISTS ("
            "SELECT FROM automation_queuedevent WHERE lane = l AND due_at <= now()) ORDER BY l",
            [[int(p) for p in Priority if p <= own]],
        )
        lanes = [Priority(row[0]) for row in cursor.fetchall()]
    return sorted(lanes, key=lambda p: p != own) if own_first else lanes
