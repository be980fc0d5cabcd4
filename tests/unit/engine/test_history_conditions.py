"""event_count, absence and the three behaviour patterns."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from automation.engine.conditions import node_adapter
from automation.engine.samples import NOON, facts
from automation.engine.types import Facts, Lookback, Result, Verdict
from tests.unit.engine.documents import row

NO, YES, BROKEN = Verdict.NOT_MET, Verdict.MET, Verdict.BROKEN


def ask(seen: Facts, **document: Any) -> Result:
    return node_adapter.validate_python(document).is_met(seen)


def count(seen: Facts, value: float, **more: Any) -> Verdict:
    return ask(seen, type="event_count", event_type="view", value=value, **more).verdict


TWO_PAST = facts(
    "view", {"price": 30}, past=[(1, "view", {"price": 10}), (25, "view", {"price": 5}), (2, "x")]
)


@pytest.mark.parametrize(
    ("value", "more", "verdict"),
    [
        (2, {}, YES),
        (3, {}, NO),
        (3, {"timeframe_hours": 25}, YES),
        (2, {"operator": "equals"}, YES),
        (1, {"operator": "equals"}, NO),
        (2, {"operator": "less_than_or_equal"}, YES),
        (1, {"operator": "less_than_or_equal"}, NO),
        (1, {"data_conditions": [row("price", "greater_than", 20)], "operator": "equals"}, YES),
        (40, {"aggregate": "sum", "field": "price"}, YES),
        (40.01, {"aggregate": "sum", "field": "price"}, NO),
        (20, {"aggregate": "avg", "field": "price", "operator": "equals"}, YES),
        (10, {"aggregate": "min", "field": "price", "operator": "equals"}, YES),
        (30, {"aggregate": "max", "field": "price", "operator": "equals"}, YES),
        (0, {"aggregate": "sum", "field": "unknown", "operator": "equals"}, YES),
        (0, {"aggregate": "min", "field": "unknown"}, NO),
    ],
)
def test_event_count(value: float, more: dict[str, Any], verdict: Verdict) -> None:
    """S-139, H-044: n times in a window, the current event included; sum, avg, min, max."""
    assert count(TWO_PAST, value, **more) is verdict


def test_event_count_on_recheck_includes_what_happened_since() -> None:
    """H-044: the window ends at the moment of judgement."""
    seen = facts("view", later=[(1, "view"), (3, "view")], now=NOON + timedelta(hours=3))
    assert count(seen, 3) is YES
    assert count(seen, 2, timeframe_hours=2, operator="equals") is YES


@pytest.mark.parametrize(
    ("value", "operator", "verdict"),
    [
        (1, "greater_than_or_equal", YES),  # Enough without the odd one.
        (2, "greater_than_or_equal", BROKEN),
        (3, "greater_than_or_equal", NO),  # Too few even with it.
        (1, "equals", BROKEN),
        (2, "less_than_or_equal", YES),
    ],
)
def test_event_count_is_broken_only_when_the_odd_event_decides(
    value: int, operator: str, verdict: Verdict
) -> None:
    """H-047: events whose filter cannot be judged leave the count open."""
    seen = facts("x", past=[(1, "view", {"price": "much"}), (2, "view", {"price": 9})])
    rows = [row("price", "greater_than", 5)]
    assert count(seen, value, operator=operator, data_conditions=rows) is verdict


def test_aggregate_of_texts_is_broken() -> None:
    """H-047: nothing is left out silently."""
    seen = facts("view", {"price": "much"})
    assert count(seen, 1, aggregate="sum", field="price") is BROKEN


def absence(seen: Facts, **more: Any) -> Result:
    return ask(seen, type="absence", event_type="buy", **more)


@pytest.mark.parametrize(
    ("past", "more", "verdict"),
    [
        ([(25, "buy")], {"within_hours": 24}, YES),
        ([(24, "buy")], {"within_hours": 24}, NO),
        ([(0.25, "buy")], {"within_minutes": 10}, YES),
        ([(0.1, "buy")], {"within_minutes": 10}, NO),
        ([(24, "buy")], {"since": "2025-06-02"}, YES),
        ([(24, "buy")], {"since": "2025-06-01T12:00:00Z"}, NO),
        (
            [(1, "buy", {"total": 5})],
            {"within_hours": 24, "data_conditions": [row("total", "greater_than", 9)]},
            YES,
        ),
        (
            [(1, "buy", {"total": "x"})],
            {"within_hours": 24, "data_conditions": [row("total", "greater_than", 9)]},
            BROKEN,
        ),
        ([], {"since": "2020-01-01"}, BROKEN),
    ],
)
def test_absence_before_now(past: list[Any], more: dict[str, Any], verdict: Verdict) -> None:
    """H-044, H-049: did not do X within, since."""
    assert absence(facts("view", past=past), **more).verdict is verdict


def test_absence_does_not_count_the_current_event() -> None:
    """H-049: 'the first purchase in 30 days' can be said."""
    assert absence(facts("buy", past=[(721, "buy")]), within_hours=720).verdict is YES
    assert absence(facts("buy", past=[(719, "buy")]), within_hours=720).verdict is NO


def test_absence_before_on_recheck_sees_what_happened_since() -> None:
    """H-049: judged again at the due moment."""
    seen = facts("view", later=[(1, "buy")], now=NOON + timedelta(hours=2))
    assert absence(seen, within_hours=24).verdict is NO
    assert absence(seen, within_minutes=59).verdict is YES


AFTER = {"within_minutes": 30, "after": True}


@pytest.mark.parametrize(
    ("later", "verdict"),
    [([], YES), ([(0.4, "buy")], NO), ([(0.5, "buy")], NO), ([(0.51, "buy")], YES), ([(0.1, "x")], YES)],
)
def test_absence_after_is_decided_at_the_due_moment(later: list[Any], verdict: Verdict) -> None:
    """H-049: A, and then no B for 30 minutes; quiet hours may make the due moment later."""
    seen = facts("cart", past=[(0.1, "buy")], later=later, now=NOON + timedelta(hours=9))
    assert absence(seen, **AFTER).verdict is verdict


def test_absence_after_waits() -> None:
    """H-049: met on arrival, with the delay it implies; too early a question is broken."""
    node = node_adapter.validate_python({"type": "absence", "event_type": "buy", **AFTER})
    assert node.waits() == timedelta(minutes=30)
    assert node.lookback() == Lookback(timedelta(minutes=30), frozenset({"buy"}), 1000)
    arrival = node.is_met(facts("cart"))
    assert (arrival.verdict, arrival.reason) == (YES, "This is decided when the time is over.")
    assert node.is_met(facts("cart", now=NOON + timedelta(minutes=29))).verdict is BROKEN
    before = node_adapter.validate_python({"type": "absence", "event_type": "buy", "within_hours": 1})
    assert before.waits() is None


def test_absence_joined_needs_the_property() -> None:
    """H-049: without a cart id nobody can tell, and that is known on arrival."""
    lacking = absence(facts("cart"), same="cart_id", **AFTER)
    assert (lacking.verdict, lacking.reason) == (
        BROKEN,
        "This event lacks the property that has to be the same.",
    )
    bought = [(0.1, "buy", {"order": {"cart": "c1"}})]
    seen = facts("cart", {"cart_id": "c1"}, later=bought, now=NOON + timedelta(hours=1))
    assert absence(seen, same="cart_id", same_in="order.cart", **AFTER).verdict is NO
    seen = facts("cart", {"cart_id": "c2"}, later=bought, now=NOON + timedelta(hours=1))
    assert absence(seen, same="cart_id", same_in="order.cart", **AFTER).verdict is YES


def pattern(seen: Facts, kind: str, **more: Any) -> Result:
    return ask(seen, type="behavior_pattern", pattern_type=kind, **more)


def daily(first: int, last: int, name: str = "page_view") -> list[Any]:
    return [(24 * day - 1, name) for day in range(first, last + 1)]


@pytest.mark.parametrize(
    ("past", "more", "verdict", "reason"),
    [
        (daily(8, 37), {}, YES, ""),
        (daily(1, 37), {}, NO, "Engagement changed by +0 %."),
        (daily(5, 37), {}, NO, "Engagement changed by -57 %."),
        (daily(5, 37), {"decline_percent": 57}, YES, ""),
        (daily(8, 11), {}, NO, "Only 4 events before; 5 are needed."),
        (
            daily(8, 13),
            {"min_expected": 2},
            NO,
            "So few events are usual that a window without any says nothing.",
        ),
        (daily(8, 37, "email_delivered"), {}, NO, "Only 0 events before; 5 are needed."),
        (daily(8, 37, "quiz"), {"events": ["quiz"]}, YES, ""),
    ],
)
def test_engagement_decline(past: list[Any], more: dict[str, Any], verdict: Verdict, reason: str) -> None:
    """S-120: the rate in the window against the customer's baseline, with minimum evidence."""
    more = {"timeframe_hours": 168, "decline_percent": 60} | more
    result = pattern(facts("email_delivered", past=past), "engagement_decline", **more)
    assert (result.verdict, result.reason) == (verdict, reason)


def test_engagement_decline_ignores_opens_made_by_machines() -> None:
    """S-120: a mail proxy is not an engaged customer."""
    machine = [(hour, "email_opened", {"is_machine": True}) for hour in range(1, 100)]
    seen = facts("email_delivered", past=[*daily(8, 37), *machine])
    result = pattern(seen, "engagement_decline", timeframe_hours=168)
    assert result.verdict is YES
    assert result.seen == {"recent": 0, "expected": 7.0, "baseline": 30}


def test_engagement_decline_knows_when_its_reading_was_cut_off() -> None:
    """S-120: at the limit of 1,000 events, older events were not read; they are not absent."""
    past = [(hour / 2, "page_view") for hour in range(1, 1400)]
    result = pattern(facts("email_delivered", past=past), "engagement_decline", timeframe_hours=24)
    assert result.verdict is NO
    assert result.seen["expected"] == pytest.approx(48, abs=1)


@pytest.mark.parametrize(
    ("past", "more", "verdict"),
    [
        ([24, 100], {"min_purchases": 2}, YES),
        ([24, 169], {"min_purchases": 2}, NO),
        ([240, 480, 720], {"measure": "overdue", "timeframe_hours": 8760, "min_purchases": 3}, NO),
        ([361, 601, 841], {"measure": "overdue", "timeframe_hours": 8760, "min_purchases": 3}, YES),
        ([360, 600, 840], {"measure": "overdue", "timeframe_hours": 8760, "min_purchases": 3}, NO),
        ([361, 601], {"measure": "overdue", "timeframe_hours": 8760, "min_purchases": 3}, NO),
        ([20, 40, 60], {"measure": "interval", "max_interval_hours": 20}, YES),
        ([20, 41, 62], {"measure": "interval", "max_interval_hours": 20}, NO),
        ([20], {"measure": "interval", "max_interval_hours": 20, "min_purchases": 1}, NO),
    ],
)
def test_purchase_frequency(past: list[float], more: dict[str, Any], verdict: Verdict) -> None:
    """S-121: count, interval, overdue against the own median interval."""
    seen = facts(past=[(hours, "purchase_completed") for hours in past])
    assert pattern(seen, "purchase_frequency", **{"timeframe_hours": 168, **more}).verdict is verdict


@pytest.mark.parametrize(("measure", "value"), [("views", 5), ("sessions", 3), ("active_minutes", 30)])
def test_browsing_intensity_measures(measure: str, value: float) -> None:
    """S-122: views, sessions, active minutes in the window."""
    past: list[Any] = [
        (10.0, "page_view", {"session_id": "s1"}),
        (9.75, "search", {"session_id": "s1"}),
        (5.0, "product_view"),
        (4.75, "product_view"),
        (30.0, "page_view"),
    ]
    seen = facts("page_view", past=past)
    result = pattern(seen, "browsing_intensity", measure=measure, at_least=value)
    assert (result.verdict, result.seen) == (YES, value)
    assert pattern(seen, "browsing_intensity", measure=measure, at_least=value + 0.5).verdict is NO


def test_browsing_intensity_against_the_own_norm() -> None:
    """S-122: a z-score; steady customers need more than one view above their mean."""
    steady = [(24 * day + 1, "page_view") for day in range(1, 15)]
    two = facts("page_view", past=[*steady, (1, "page_view")])
    five = facts("page_view", past=[*steady, *((hour, "page_view") for hour in range(1, 5))])
    for seen, verdict in ((two, NO), (five, YES)):
        assert pattern(seen, "browsing_intensity", min_z_score=3).verdict is verdict
    new = pattern(facts("page_view", past=steady[:2]), "browsing_intensity", min_z_score=3)
    assert (new.verdict, new.reason) == (NO, "Activity in 2 earlier windows; 3 are needed.")


def test_window_border_belongs_to_the_later_window() -> None:
    """S-122: an event exactly one window old counts in the current one, as everywhere."""
    result = pattern(facts("x", past=[(24, "page_view")]), "browsing_intensity", at_least=1)
    assert result.verdict is YES


@pytest.mark.parametrize("kind", ["engagement_decline", "purchase_frequency", "browsing_intensity"])
def test_timeframe_defaults_to_a_day(kind: str) -> None:
    """S-119: timeframe_hours 24."""
    node: Any = node_adapter.validate_python({"type": "behavior_pattern", "pattern_type": kind})
    assert node.timeframe_hours == 24
    assert node.lookback().max_events == 1000
