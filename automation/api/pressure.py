"""Refuse events rather than take what could not be served in time, the least urgent first (R-009)."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from django.conf import settings
from django.db import connection

from automation.api.problems import unavailable
from automation.engine.types import Priority
from automation.pipeline import index
from automation.pipeline.ingest import Incoming

SECONDS = 1.0  # How long one look at the queue is believed.
_LOOKED_AT = 1_000  # Critical rows looked at; a backlog of more is old or being worked on anyway.


class Step(NamedTuple):
    """From where on a lane is refused: undecided events as a share of BECKON_PENDING_LIMIT, or the wait in
    seconds of the oldest critical event."""

    share: float
    seconds: float


STEPS: Final = {
    Priority.LOW: Step(1.0, 30),
    Priority.MEDIUM: Step(1.1, 40),
    Priority.HIGH: Step(1.2, 50),
    Priority.CRITICAL: Step(1.3, 60),
}
_ALL: Final = int(max(Priority))
_MANY: Final = "Too many events wait to be decided."
_LATE: Final = "Urgent events wait too long."

# The statistics of the table cost nothing to read and lag by about a second.
_ESTIMATE = "SELECT pg_stat_get_live_tuples('automation_queuedevent'::regclass)"
_COUNT = "SELECT count(*) FROM (SELECT 1 FROM automation_queuedevent LIMIT %s) AS looked_at"
# Rows that the claim passes over, because something older of the same customer comes first, say nothing of
# the workers: one customer's stuck event must not close the door on everybody.
_OLDEST = (
    "SELECT coalesce(extract(epoch FROM max(now() - greatest(accepted_at, due_at))), 0)::float"
    " FROM (SELECT * FROM automation_queuedevent WHERE lane = %s LIMIT %s) AS w"
    " WHERE is_state OR NOT EXISTS (SELECT FROM automation_queuedevent f"
    "  WHERE f.is_state AND f.profile_id = w.profile_id AND f.occurred_at <= w.occurred_at)"
)

_checked_at = -SECONDS
_open = _ALL  # Lanes up to this one are taken.
_reason = ""


def forget() -> None:
    """Look again at the next request."""
    global _checked_at
    _checked_at = -SECONDS


def check() -> None:
    """Raise 503 with Retry-After when not even critical events can be taken; costs nothing else to ask."""
    global _checked_at, _open, _reason
    now = time.monotonic()
    if now - _checked_at >= SECONDS:
        _checked_at = now  # First, so that of several threads one looks.
        _open, _reason = _look()
    if not _open:
        raise unavailable(_reason)


def busy(items: Sequence[Incoming]) -> list[int]:
    """Positions of the items whose lane is refused just now; empty in normal times. Ask `check` first."""
    if _open == _ALL:
        return []
    lanes = index.lanes({item.name for item in items})
    return [
        position
        for position, item in enumerate(items)
        if (Priority.LOW if item.is_import else lanes[item.name]) > _open
    ]


def reason() -> str:
    """Why items are refused."""
    return _reason


def open_lanes(pending: int, limit: int, seconds: float) -> tuple[int, str]:
    """The last lane that is taken (0: none), and why no other is."""
    for lane, step in sorted(STEPS.items()):
        if pending > step.share * limit:
            return lane - 1, _MANY
        if seconds > step.seconds:
            return lane - 1, _LATE
    return _ALL, ""


def _look() -> tuple[int, str]:
    limit: int = settings.PENDING_LIMIT
    pending = 0
    with connection.cursor() as cursor:
        cursor.execute(_ESTIMATE)
        row = cursor.fetchone()
        if row and row[0] > limit:
            # Statistics can be wrong for long, after a crash for example: count before refusing anyone.
            cursor.execute(_COUNT, [math.ceil(max(step.share for step in STEPS.values()) * limit) + 1])
            pending = cursor.fetchone()[0]
        cursor.execute(_OLDEST, [int(Priority.CRITICAL), _LOOKED_AT])
        return open_lanes(pending, limit, cursor.fetchone()[0])
