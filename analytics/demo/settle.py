"""Wait until nothing is left to do now: no undecided event, no due decision, no message on its way."""

from __future__ import annotations

import time
from threading import Event
from typing import Final, NamedTuple

from django.db import connection

TICK: Final = 0.25
ROOM_TICK: Final = 0.05
CALM: Final = 2  # Looks in a row that must find nothing: between two stages, work is nowhere for a moment.

# A delivery that failed once is due later, but it is on its way; what was never due before is not.
_OPEN = """
SELECT (SELECT count(*) FROM automation_queuedevent),
  (SELECT count(*) FROM automation_execution WHERE status = 'pending' AND due_at <= now()),
  (SELECT count(*) FROM automation_delivery WHERE status = 'sending'
     OR (status = 'pending' AND (due_at <= now() OR tries > 0)))
"""


class OpenWork(NamedTuple):
    """What is still to be done now; what is due later does not count."""

    events: int
    executions: int
    deliveries: int


class StuckError(RuntimeError):
    """The workers made no progress for too long; the message says what is left."""


def open_work() -> OpenWork:
    """Count it."""
    with connection.cursor() as cursor:
        cursor.execute(_OPEN)
        return OpenWork(*cursor.fetchone())


def wait_for_room(most: int, ended: Event) -> None:
    """Wait while `most` or more events are undecided, or until `ended` is set."""
    while _undecided(most) >= most:
        if ended.wait(ROOM_TICK):
            return


def _undecided(most: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM (SELECT FROM automation_queuedevent LIMIT %s) AS few", [most])
        return int(cursor.fetchone()[0])


def settle(*, patience: float, ended: Event) -> bool:
    """Wait until nothing is left; False if `ended` was set before.

    Raises StuckError when nothing moves for `patience` seconds.
    """
    quiet = 0
    before, moved_at = open_work(), time.monotonic()
    while quiet < CALM:
        if ended.wait(TICK):
            return False
        work = open_work()
        quiet = 0 if any(work) else quiet + 1
        if work != before or quiet:
            before, moved_at = work, time.monotonic()
        elif time.monotonic() - moved_at > patience:
            raise StuckError(
                f"Nothing moved for {patience:.0f} s: {work.events} events, {work.executions} executions and "
                f"{work.deliveries} deliveries are left."
            )
    return True
