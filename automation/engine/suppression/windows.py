"""When a message fits under a limit: exact, also with messages reserved for the future.

Points lie on a line (moments, or day numbers of a calendar). A limit holds when no half-open window
[x, x + width) contains more points than the limit, wherever it is laid.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any


def first_free(points: Sequence[Any], at: Any, width: Any, limit: int, need: int) -> Any | None:
    """The first point, not before `at`, where `need` more fit; None when they never do.

    `at` itself when they fit at once. `points` may come in any order.
    """
    if need > limit:
        return None
    near = [point for point in points if point > at - width]
    if not near or len(near) + need <= limit:
        return at
    near.sort()
    # It can only become free where some point leaves the window: exactly `width` after one.
    candidates = [at, *(point + width for point in near if point + width > at)]
    return next(moment for moment in candidates if _fits(near, moment, width, limit - need))


def _fits(points: Sequence[Any], at: Any, width: Any, room: int) -> bool:
    near = [point for point in points if point > at - width]
    if len(near) <= room:
        return True
    # The fullest window that contains `at` begins at one of the points not after it, or at `at`.
    starts = [*(point for point in near if point < at), at]
    return all(sum(start <= point < start + width for point in near) <= room for start in starts)


def free_in_window(
    sends: Sequence[datetime], at: datetime, window: timedelta, limit: int, need: int
) -> datetime | None:
    """Rolling: the first moment, not before `at`, at which `need` more messages fit."""
    moment: datetime | None = first_free(sends, at, window, limit, need)
    return moment


def free_in_days(
    sends: Sequence[datetime], at: datetime, days: int, limit: int, need: int, zone: tzinfo
) -> datetime | None:
    """Calendar: the same in whole days of the customer; a later day begins at its first instant."""
    today = at.astimezone(zone).toordinal()
    ordinals = [sent.astimezone(zone).toordinal() for sent in sends]
    day: int | None = first_free(ordinals, today, days, limit, need)
    if day is None:
        return None
    if day == today:
        return at
    return start_of_day(date.fromordinal(day), zone)


def start_of_day(day: date, zone: tzinfo) -> datetime:
    """The first instant of a day; where midnight is skipped, the first that exists."""
    return datetime.combine(day, time(0), tzinfo=zone).astimezone(UTC)
