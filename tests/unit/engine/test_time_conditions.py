"""time_based, date, segment, customer_attribute, event_match."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from automation.engine.conditions import node_adapter
from automation.engine.samples import NOON, facts
from automation.engine.types import Facts, Result, Sent, Verdict
from tests.unit.engine.documents import attribute, happens, row

NO, YES, BROKEN = Verdict.NOT_MET, Verdict.MET, Verdict.BROKEN
BERLIN, NEW_YORK, TOKYO = (ZoneInfo(name) for name in ("Europe/Berlin", "America/New_York", "Asia/Tokyo"))


def ask(document: dict[str, Any], seen: Facts) -> Result:
    return node_adapter.validate_python(document).is_met(seen)


def clock(**fields: Any) -> dict[str, Any]:
    return {"type": "time_based", "time_condition_type": "time_of_day", **fields}


def at(hour: int, minute: int = 0, day: int = 2, zone: Any = UTC) -> Facts:
    return facts(at=datetime(2025, 6, day, hour, minute, tzinfo=UTC), zone=zone)


@pytest.mark.parametrize(
    ("fields", "hour", "minute", "verdict"),
    [
        ({}, 0, 0, YES),
        ({}, 23, 59, YES),
        ({"start_hour": 0, "end_hour": 23}, 23, 30, YES),  # The source's defaults mean the whole day.
        ({"start_hour": 9, "end_hour": 17}, 9, 0, YES),
        ({"start_hour": 9, "end_hour": 17}, 16, 59, YES),
        ({"start_hour": 9, "end_hour": 17}, 17, 0, NO),  # H-036: not until 17:59.
        ({"start_hour": 9, "end_hour": 17}, 8, 59, NO),
        ({"start_hour": 22, "end_hour": 6}, 23, 0, YES),
        ({"start_hour": 22, "end_hour": 6}, 5, 59, YES),
        ({"start_hour": 22, "end_hour": 6}, 6, 0, NO),
        ({"start_hour": 22, "end_hour": 6}, 12, 0, NO),
        ({"start_hour": 10}, 23, 59, YES),
        ({"start_hour": 10, "end_hour": 23}, 23, 0, NO),
        ({"end_hour": 24}, 23, 59, YES),
        ({"start": "09:30", "end": "17:15"}, 9, 29, NO),
        ({"start": "09:30", "end": "17:15"}, 9, 30, YES),
        ({"start": "09:30", "end": "17:15"}, 17, 14, YES),
        ({"start": "09:30", "end": "17:15"}, 17, 15, NO),
        ({"start": "22:30", "end": "24:00"}, 23, 59, YES),
        ({"start": "22:30", "end_hour": 6}, 2, 0, YES),
        ({"end": "06:00"}, 5, 0, YES),
    ],
)
def test_time_of_day(fields: dict[str, Any], hour: int, minute: int, verdict: Verdict) -> None:
    """S-126, H-036: half-open, minutes, past midnight."""
    assert ask(clock(**fields), at(hour, minute)).verdict is verdict


@pytest.mark.parametrize(
    ("zone", "verdict", "seen"), [(UTC, NO, "08:30"), (BERLIN, YES, "10:30"), (NEW_YORK, NO, "04:30")]
)
def test_time_of_day_is_the_customers(zone: Any, verdict: Verdict, seen: str) -> None:
    """S-126, H-035: not the server's and not the event's."""
    result = ask(clock(start="10:00", end="11:00"), at(8, 30, zone=zone))
    assert (result.verdict, result.seen) == (verdict, seen)


@pytest.mark.parametrize(
    ("moment", "verdict"),
    [
        (datetime(2025, 3, 30, 0, 59, tzinfo=UTC), YES),  # 01:59 in Berlin, then the clock jumps to 03:00.
        (datetime(2025, 3, 30, 1, 0, tzinfo=UTC), NO),
        (datetime(2025, 10, 26, 0, 30, tzinfo=UTC), YES),  # 02:30 happens twice.
        (datetime(2025, 10, 26, 1, 30, tzinfo=UTC), YES),
        (datetime(2025, 10, 26, 2, 0, tzinfo=UTC), NO),
    ],
)
def test_time_of_day_follows_the_clock_on_the_wall(moment: datetime, verdict: Verdict) -> None:
    """S-126, H-036: daylight saving is no special case."""
    assert ask(clock(start="01:30", end="03:00"), facts(at=moment, zone=BERLIN)).verdict is verdict


def test_times_are_judged_at_the_moment_of_judgement() -> None:
    """S-126, H-035: on recheck that is the due moment, not the event's."""
    seen = facts(at=NOON, now=NOON + timedelta(hours=8))
    assert ask(clock(start="19:00", end="21:00"), seen).verdict is YES


@pytest.mark.parametrize(
    ("days", "hour", "zone", "verdict"),
    [
        ([0], 12, UTC, YES),
        ([1], 12, UTC, NO),
        ([1], 20, TOKYO, YES),
        ([0], 20, TOKYO, NO),
        ([6], 2, NEW_YORK, YES),
    ],
)
def test_day_of_week(days: list[int], hour: int, zone: Any, verdict: Verdict) -> None:
    """S-125, H-035: Monday is 0, in the customer's zone."""
    document = {"type": "time_based", "time_condition_type": "day_of_week", "allowed_days": days}
    assert ask(document, at(hour, zone=zone)).verdict is verdict


SENDS = [
    Sent(NOON - timedelta(hours=1), "sms", "marketing", "cart"),
    Sent(NOON - timedelta(hours=5), "email", "transactional", "receipt"),
    Sent(NOON - timedelta(hours=30), "email", "marketing", "cart"),
    Sent(NOON - timedelta(hours=50), "email", "marketing", "welcome"),
]


@pytest.mark.parametrize(
    ("hours", "more", "verdict"),
    [
        (5, {}, YES),
        (5.01, {}, NO),
        (30, {"message_class": "marketing"}, YES),
        (31, {"message_class": "marketing"}, NO),
        (1, {"channel": "sms"}, YES),
        (2, {"channel": "sms"}, NO),
        (50, {"trigger_key": "welcome"}, YES),
        (51, {"trigger_key": "welcome"}, NO),
        (8760, {"channel": "push"}, YES),  # Never sent.
    ],
)
def test_time_since_last_email(hours: float, more: dict[str, Any], verdict: Verdict) -> None:
    """S-124: by channel, class and trigger; no earlier message is long enough."""
    document = {"type": "time_based", "time_condition_type": "time_since_last_email", "hours": hours, **more}
    assert ask(document, facts(sends=SENDS)).verdict is verdict
    assert node_adapter.validate_python(document).needs_sends


def test_time_since_last_email_of_a_late_event() -> None:
    """S-124, H-046: a message sent after the event's time is simply not long ago."""
    document = {"type": "time_based", "time_condition_type": "time_since_last_email", "hours": 1}
    late = facts(sends=[Sent(NOON + timedelta(hours=2), "email", "marketing", "cart")])
    assert ask(document, late).verdict is NO


def when(comparison: str, **more: Any) -> dict[str, Any]:
    return {"type": "date", "attribute": "traits.day", "comparison": comparison, **more}


def with_day(value: Any, moment: datetime = NOON, zone: Any = UTC) -> Facts:
    return facts(profile={"traits": {"day": value}}, at=moment, zone=zone)


@pytest.mark.parametrize(
    ("document", "day", "verdict"),
    [
        (when("before", value="2025-06-01"), "2025-05-31", YES),
        (when("before", value="2025-06-01"), "2025-06-01", NO),
        (when("after", value="2025-06-01"), "2025-06-01T23:59:59Z", NO),
        (when("after", value="2025-06-01"), "2025-06-02T00:00:00Z", YES),
        (when("within_last", days=0), "2025-06-02", YES),
        (when("within_last", days=7), "2025-05-26", YES),
        (when("within_last", days=7), "2025-05-25", NO),
        (when("within_last", days=7), "2025-06-03", NO),
        (when("within_next", days=7), "2025-06-09", YES),
        (when("within_next", days=7), "2025-06-10", NO),
        (when("within_next", days=7), date(2025, 6, 3), YES),
        (when("anniversary"), "1990-06-02", YES),
        (when("anniversary"), "1990-06-03", NO),
        (when("anniversary"), "2025-06-02", NO),  # The day itself is no anniversary.
        (when("anniversary"), datetime(2024, 6, 2, 9, tzinfo=UTC), YES),
        (when("anniversary", days_before=7), "1990-06-09", YES),
        (when("anniversary", days_before=7), "1990-06-02", NO),
        (when("anniversary"), "soon", BROKEN),
        (when("anniversary"), 19900602, BROKEN),
        (when("anniversary"), None, NO),
    ],
)
def test_date(document: dict[str, Any], day: Any, verdict: Verdict) -> None:
    """S-139, H-044: relative dates by calendar days."""
    assert ask(document, with_day(day)).verdict is verdict


@pytest.mark.parametrize(
    ("today", "verdict"),
    [
        (datetime(2025, 2, 28, 12, tzinfo=UTC), YES),
        (datetime(2025, 3, 1, 12, tzinfo=UTC), NO),
        (datetime(2028, 2, 28, 12, tzinfo=UTC), NO),
        (datetime(2028, 2, 29, 12, tzinfo=UTC), YES),
    ],
)
def test_anniversary_of_29_february(today: datetime, verdict: Verdict) -> None:
    """S-139: on the 28th, except in leap years."""
    assert ask(when("anniversary"), with_day("1992-02-29", today)).verdict is verdict


def test_dates_are_seen_from_the_customers_zone() -> None:
    """S-139, H-035: 20:00 UTC is the next day in Tokyo; a date without time is the same day everywhere."""
    evening = NOON + timedelta(hours=8)
    assert ask(when("anniversary"), with_day("1990-06-03", evening, TOKYO)).verdict is YES
    assert ask(when("anniversary"), with_day("1990-06-03", evening, BERLIN)).verdict is NO
    moment = "2024-06-02T20:00:00Z"
    assert ask(when("after", value="2024-06-02"), with_day(moment, zone=TOKYO)).verdict is YES
    assert ask(when("after", value="2024-06-02"), with_day(moment, zone=NEW_YORK)).verdict is NO


@pytest.mark.parametrize(
    ("fields", "since", "verdict"),
    [
        ({}, 1, YES),
        ({}, None, NO),
        ({"since_hours": 48}, 48, YES),
        ({"since_hours": 48}, 47, NO),
        ({"membership": "not_in"}, 1, NO),
        ({"membership": "not_in"}, None, YES),
    ],
)
def test_segment(fields: dict[str, Any], since: float | None, verdict: Verdict) -> None:
    """S-139, H-044: in, not in, since when."""
    segments = {} if since is None else {"vip": NOON - timedelta(hours=since)}
    document = {"type": "segment", "segment": "vip", **fields}
    assert ask(document, facts(segments=segments)).verdict is verdict
    assert node_adapter.validate_python(document).needs_segments


@pytest.mark.parametrize(
    ("document", "verdict"),
    [
        (attribute("country", "equals", "DE"), YES),
        (attribute("profile.country", "equals", "DE"), YES),
        (attribute("traits.plan", "changed_to", "pro"), YES),
        (attribute("before.traits.plan", "equals", "free"), YES),
        (attribute("tags[]", "equals", "a"), YES),
        (attribute("last_activity", "within_last", 24), YES),
        (attribute("unknown.path", "exists"), NO),
        (attribute("country", "greater_than", 5), BROKEN),
    ],
)
def test_customer_attribute(document: dict[str, Any], verdict: Verdict) -> None:
    """S-123, H-045: any profile or trait path, the value after this event; before.… the one before it."""
    profile = {"country": "DE", "traits": {"plan": "pro"}, "tags": ["a"]}
    before = {"traits": {"plan": "free"}}
    for last_activity in (NOON - timedelta(hours=1), "2025-06-02T11:00:00+00:00"):
        seen = facts(profile=profile | {"last_activity": last_activity}, before=before)
        assert ask(document, seen).verdict is verdict


@pytest.mark.parametrize(
    ("document", "verdict"),
    [
        (happens("cart", row("total", "greater_than", 50)), YES),
        (happens("cart", row("total", "greater_than", 50), row("currency", "equals", "USD")), NO),
        (happens("other", row("total", "greater_than", 50)), NO),
        (happens("cart", row("profile.country", "equals", "DE")), YES),
        (happens("cart", row("context.device.type", "equals", "mobile")), YES),
        (happens("cart", row("before.country", "not_exists")), YES),
        ({"type": "event_match", "data_conditions": [row("total", "exists")]}, YES),
        (happens("cart", row("total", "contains", "x"), row("currency", "equals", "USD")), NO),
        (happens("cart", row("total", "contains", "x"), row("currency", "equals", "EUR")), BROKEN),
    ],
)
def test_event_match(document: dict[str, Any], verdict: Verdict) -> None:
    """S-118: name and rows; profile and context are roots, too."""
    seen = facts(
        "cart",
        {"total": 60, "currency": "EUR"},
        profile={"country": "DE"},
        context={"device": {"type": "mobile"}},
    )
    assert ask(document, seen).verdict is verdict
