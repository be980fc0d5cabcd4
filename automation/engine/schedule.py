"""When something is due: timings, quiet hours, retries. Wall clocks are the customer's.

A wall time that does not exist (the spring jump) is shifted forward by the jump; of a wall time that
exists twice (the autumn jump) the first is taken. Results are aware UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, tzinfo
from hashlib import blake2b
from typing import Any, Final

RETRY_BASE: Final = timedelta(seconds=5)
RETRY_CAP: Final = timedelta(hours=1)
MAX_ATTEMPTS: Final = 12
MAX_AGE: Final = timedelta(hours=72)
WITHIN_24H: Final = timedelta(hours=24)
_DAY: Final = timedelta(days=1)


def due_at(
    timing: Any,
    *,
    at: datetime,
    zone: tzinfo,
    best_hour: int | None = None,
    global_hour: int | None = None,
) -> datetime:
    """The moment a trigger matched at `at` should act; never before `at`.

    `timing` has a `kind` and the fields of that kind:

    - immediate: at once. delay: after `minutes`.
    - local_time: the next time the customer's clock shows `time` ("HH:MM" or a time); at once if it does.
    - optimal_personal: the next time the customer's clock is in their `best_hour` (0-23), or else in
      `global_hour`; at the end of `within_hours` when that comes first; at once when neither is known.
    - within_24h: in `global_hour` within 24 hours; at once when it is not known.
    """
    kind = timing.kind
    if kind == "immediate":
        return at
    if kind == "delay":
        return at + timedelta(minutes=timing.minutes)
    if kind == "local_time":
        return next_wall_time(at, zone, as_time(timing.time))
    if kind == "optimal_personal":
        hour = global_hour if best_hour is None else best_hour
        return _in_hour(at, zone, hour, timedelta(hours=timing.within_hours))
    if kind == "within_24h":
        return _in_hour(at, zone, global_hour, WITHIN_24H)
    raise ValueError(f"unknown timing: {kind!r}")


def as_time(value: str | time) -> time:
    """A wall time, from itself or from "HH:MM"."""
    return value if isinstance(value, time) else time.fromisoformat(value)


def next_wall_time(at: datetime, zone: tzinfo, wall: time) -> datetime:
    """The first moment, not before `at`, at which clocks in `zone` show `wall`."""
    today = at.astimezone(zone).date()
    moment = _instant(datetime.combine(today, wall), zone)
    return moment if moment >= at else _instant(datetime.combine(today + _DAY, wall), zone)


def in_quiet_hours(at: datetime, zone: tzinfo, start: time, end: time) -> bool:
    """Whether the customer's clock is in [start, end), over midnight too. Equal times: never."""
    wall = at.astimezone(zone).time()
    if start <= end:
        return start <= wall < end
    return wall >= start or wall < end


def quiet_until(at: datetime, zone: tzinfo, start: time, end: time) -> datetime:
    """When the quiet hours around `at` are over; `at` itself when it is not quiet."""
    if not in_quiet_hours(at, zone, start, end):
        return at
    today = at.astimezone(zone).date()
    for day in (today, today + _DAY):
        for fold in (0, 1):  # In the repeated hour of autumn the clock shows the end twice.
            moment = _instant(datetime.combine(day, end), zone, fold)
            if moment > at and not in_quiet_hours(moment, zone, start, end):
                return moment
    return at + _DAY  # Only for zones that skip a whole day; the next check decides again.


def next_retry(attempt: int, *, seed: int | str, retry_after: timedelta | None = None) -> timedelta:
    """How long to wait after failed attempt number `attempt` (the first is 1).

    Full jitter: uniform between 0 and 5 s * 2^(attempt - 1), at most 1 h; the same for the same seed
    and attempt. A Retry-After of the other side is waited out first (at most 72 h: nothing lives
    longer), and the jitter comes on top, so that all who were told the same do not return at once.
    """
    ceiling = min(RETRY_CAP, RETRY_BASE * (1 << min(max(attempt, 1) - 1, 20)))
    digest = blake2b(f"retry:{seed}:{attempt}".encode(), digest_size=8).digest()
    wait = ceiling * ((int.from_bytes(digest, "big") >> 11) / (1 << 53))
    if retry_after is not None and retry_after > timedelta(0):
        wait += min(retry_after, MAX_AGE)
    return wait


def gives_up(attempt: int, first_at: datetime, now: datetime) -> bool:
    """Whether attempt number `attempt`, just failed, was the last: 12 tries or 72 hours."""
    return attempt >= MAX_ATTEMPTS or now - first_at >= MAX_AGE


def _in_hour(at: datetime, zone: tzinfo, hour: int | None, within: timedelta) -> datetime:
    if hour is None or at.astimezone(zone).hour == hour:
        return at
    return min(next_wall_time(at, zone, time(hour)), at + within)


def _instant(wall: datetime, zone: tzinfo, fold: int = 0) -> datetime:
    # With fold=0 a skipped time is read with the offset before the jump: shifted forward. A repeated
    # time is read as the first of the two.
    return wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
