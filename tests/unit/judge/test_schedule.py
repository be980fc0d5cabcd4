"""Due moments, quiet hours and retries; clocks that jump included."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automation.engine.schedule import (
    due_at,
    gives_up,
    in_quiet_hours,
    next_retry,
    next_wall_time,
    quiet_until,
)

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)  # 08:00 in New York, 14:00 in Berlin.
BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
ZONES = [UTC, BERLIN, NEW_YORK, ZoneInfo("Asia/Kathmandu"), ZoneInfo("Australia/Lord_Howe")]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc]


def timing(kind: str, **fields: Any) -> Any:
    return SimpleNamespace(kind=kind, **fields)


@pytest.mark.parametrize(
    ("asked", "zone", "hours", "expected"),
    [
        (timing("immediate"), UTC, {}, NOON),
        (timing("delay", minutes=90), UTC, {}, utc(2026, 5, 4, 13, 30)),
        (timing("delay", minutes=0.5), UTC, {}, utc(2026, 5, 4, 12, 0, 30)),
        (timing("local_time", time="18:00"), UTC, {}, utc(2026, 5, 4, 18, 0)),
        (timing("local_time", time="12:00"), UTC, {}, NOON),
        (timing("local_time", time="11:59"), UTC, {}, utc(2026, 5, 5, 11, 59)),
        (timing("local_time", time=time(9, 30)), NEW_YORK, {}, utc(2026, 5, 4, 13, 30)),
        (timing("local_time", time="09:30"), BERLIN, {}, utc(2026, 5, 5, 7, 30)),
        (timing("optimal_personal", within_hours=24), BERLIN, {"best_hour": 19}, utc(2026, 5, 4, 17, 0)),
        (timing("optimal_personal", within_hours=24), BERLIN, {"best_hour": 8}, utc(2026, 5, 5, 6, 0)),
        (timing("optimal_personal", within_hours=24), BERLIN, {"best_hour": 14}, NOON),
        (timing("optimal_personal", within_hours=2), BERLIN, {"best_hour": 19}, utc(2026, 5, 4, 14, 0)),
        (
            timing("optimal_personal", within_hours=24),
            BERLIN,
            {"best_hour": 0, "global_hour": 19},
            utc(2026, 5, 4, 22, 0),
        ),
        (timing("optimal_personal", within_hours=24), BERLIN, {"global_hour": 19}, utc(2026, 5, 4, 17, 0)),
        (timing("optimal_personal", within_hours=24), BERLIN, {}, NOON),
        (timing("within_24h"), BERLIN, {"global_hour": 13}, utc(2026, 5, 5, 11, 0)),
        (timing("within_24h"), BERLIN, {"best_hour": 19}, NOON),
    ],
)
def test_each_timing_has_its_moment(asked: Any, zone: Any, hours: Any, expected: datetime) -> None:
    assert due_at(asked, at=NOON, zone=zone, **hours) == expected


def test_an_unknown_timing_is_an_error_and_never_at_once() -> None:
    with pytest.raises(ValueError, match="whenever"):
        due_at(timing("whenever"), at=NOON, zone=UTC)


@pytest.mark.parametrize(
    ("at", "wall", "expected"),
    [
        # Spring in New York: 02:30 does not exist on 8 March 2026, clocks jump from 02:00 to 03:00.
        (utc(2026, 3, 8, 6, 0), time(2, 30), utc(2026, 3, 8, 7, 30)),  # 03:30 there.
        (utc(2026, 3, 8, 7, 30), time(2, 30), utc(2026, 3, 8, 7, 30)),
        (utc(2026, 3, 8, 7, 31), time(2, 30), utc(2026, 3, 9, 6, 30)),
        # Autumn: 01:30 exists twice on 1 November 2026; the first is 05:30 UTC.
        (utc(2026, 11, 1, 4, 0), time(1, 30), utc(2026, 11, 1, 5, 30)),
        (utc(2026, 11, 1, 5, 31), time(1, 30), utc(2026, 11, 2, 6, 30)),
        # A day of 25 hours.
        (utc(2026, 11, 1, 4, 0), time(9, 0), utc(2026, 11, 1, 14, 0)),
    ],
)
def test_wall_times_when_clocks_jump(at: datetime, wall: time, expected: datetime) -> None:
    assert next_wall_time(at, NEW_YORK, wall) == expected


@pytest.mark.parametrize(
    ("wall", "is_quiet"),
    [
        (time(20, 59, 59), False),
        (time(21, 0), True),
        (time(23, 59, 59), True),
        (time(0, 0), True),
        (time(7, 59, 59), True),
        (time(8, 0), False),
        (time(12, 0), False),
    ],
)
def test_quiet_hours_are_half_open_and_wrap_midnight(wall: time, is_quiet: bool) -> None:
    at = datetime.combine(NOON.date(), wall, tzinfo=BERLIN).astimezone(UTC)
    assert in_quiet_hours(at, BERLIN, time(21), time(8)) is is_quiet


@pytest.mark.parametrize(
    ("hour", "start", "end", "is_quiet"),
    [(13, 12, 14, True), (11, 12, 14, False), (14, 12, 14, False), (12, 12, 12, False)],
)
def test_quiet_hours_within_a_day(hour: int, start: int, end: int, is_quiet: bool) -> None:
    assert in_quiet_hours(NOON.replace(hour=hour), UTC, time(start), time(end)) is is_quiet


@pytest.mark.parametrize(
    ("at", "zone", "start", "end", "expected"),
    [
        (utc(2026, 5, 4, 20, 0), BERLIN, time(21), time(8), utc(2026, 5, 5, 6, 0)),
        (utc(2026, 5, 5, 1, 0), BERLIN, time(21), time(8), utc(2026, 5, 5, 6, 0)),
        (NOON, BERLIN, time(21), time(8), NOON),
        # The night in which clocks go forward is an hour shorter, the other an hour longer.
        (utc(2026, 3, 8, 3, 0), NEW_YORK, time(21), time(8), utc(2026, 3, 8, 12, 0)),
        (utc(2026, 11, 1, 2, 0), NEW_YORK, time(21), time(8), utc(2026, 11, 1, 13, 0)),
        # An end that does not exist, and one that exists twice (seen from its second hour).
        (utc(2026, 3, 8, 6, 0), NEW_YORK, time(21), time(2, 30), utc(2026, 3, 8, 7, 30)),
        (utc(2026, 11, 1, 5, 0), NEW_YORK, time(21), time(1, 30), utc(2026, 11, 1, 5, 30)),
        (utc(2026, 11, 1, 6, 10), NEW_YORK, time(21), time(1, 30), utc(2026, 11, 1, 6, 30)),
    ],
)
def test_quiet_hours_end_on_the_customers_clock(
    at: datetime, zone: Any, start: time, end: time, expected: datetime
) -> None:
    assert quiet_until(at, zone, start, end) == expected


MOMENTS = st.integers(0, 3 * 365 * 24 * 60).map(lambda minutes: utc(2025, 1, 1) + timedelta(minutes=minutes))
WALLS = st.times().map(lambda wall: wall.replace(second=0, microsecond=0))


@settings(max_examples=200)
@given(MOMENTS, st.sampled_from(ZONES), WALLS, WALLS)
def test_after_the_quiet_hours_it_is_not_quiet_and_not_a_day_later(
    at: datetime, zone: Any, start: time, end: time
) -> None:
    until = quiet_until(at, zone, start, end)
    assert not in_quiet_hours(until, zone, start, end)
    assert at <= until <= at + timedelta(hours=25)
    assert (until == at) == (not in_quiet_hours(at, zone, start, end))


@settings(max_examples=200)
@given(MOMENTS, st.sampled_from(ZONES), WALLS)
def test_a_wall_time_comes_within_a_day_and_never_before_now(at: datetime, zone: Any, wall: time) -> None:
    moment = next_wall_time(at, zone, wall)
    assert at <= moment <= at + timedelta(hours=26)
    assert moment.tzinfo is UTC


class TestRetries:
    @pytest.mark.parametrize(
        ("attempt", "ceiling"),
        [(1, 5), (2, 10), (3, 20), (10, 2560), (11, 3600), (12, 3600), (500, 3600), (0, 5)],
    )
    def test_the_wait_is_full_jitter_up_to_a_doubling_ceiling(self, attempt: int, ceiling: int) -> None:
        """R-029: 5 s, doubling, at most an hour."""
        waits = [next_retry(attempt, seed=seed).total_seconds() for seed in range(500)]
        assert all(0 <= wait < ceiling for wait in waits)
        assert sum(waits) / 500 == pytest.approx(ceiling / 2, rel=0.12)
        assert max(waits) > 0.95 * ceiling
        assert min(waits) < 0.05 * ceiling

    def test_the_same_delivery_and_attempt_wait_the_same(self) -> None:
        assert next_retry(3, seed=7) == next_retry(3, seed=7)
        assert next_retry(3, seed=7) != next_retry(3, seed=8)
        assert next_retry(3, seed=7) != next_retry(4, seed=7) / 2

    def test_retry_after_is_waited_out_and_the_jitter_comes_on_top(self) -> None:
        """R-029."""
        told = timedelta(minutes=10)
        wait = next_retry(1, seed=7, retry_after=told)
        assert wait == told + next_retry(1, seed=7)

    @pytest.mark.parametrize("told", [timedelta(0), timedelta(seconds=-5)])
    def test_a_retry_after_of_nothing_is_ignored(self, told: timedelta) -> None:
        assert next_retry(1, seed=7, retry_after=told) == next_retry(1, seed=7)

    def test_a_hostile_retry_after_is_bounded(self) -> None:
        wait = next_retry(1, seed=7, retry_after=timedelta(days=9999))
        assert timedelta(hours=72) <= wait < timedelta(hours=72, seconds=5)

    @pytest.mark.parametrize(
        ("attempt", "age", "is_over"),
        [
            (1, timedelta(0), False),
            (11, timedelta(hours=71, minutes=59), False),
            (12, timedelta(0), True),
            (2, timedelta(hours=72), True),
        ],
    )
    def test_it_gives_up_after_twelve_tries_or_three_days(
        self, attempt: int, age: timedelta, is_over: bool
    ) -> None:
        """R-029."""
        assert gives_up(attempt, NOON - age, NOON) is is_over
