"""The sequence condition."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automation.engine.conditions import node_adapter
from automation.engine.samples import NOON, event, facts
from automation.engine.types import Event, Facts, Lookback, Result, Verdict
from tests.unit.engine.documents import row

NO, YES, BROKEN = Verdict.NOT_MET, Verdict.MET, Verdict.BROKEN


def step(name: str, *rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"event_type": name, "data_conditions": list(rows), **more}


def ask(steps: list[dict[str, Any]], seen: Facts, **more: Any) -> Result:
    return node_adapter.validate_python({"type": "sequence", "sequence": steps, **more}).is_met(seen)


VIEW_CART = [step("view"), step("cart")]
VIEW_NO_BUY_CART = [step("view"), step("buy", absent=True), step("cart")]


@pytest.mark.parametrize(
    ("steps", "past", "current", "verdict"),
    [
        (VIEW_CART, [(1, "view")], "cart", YES),
        (VIEW_CART, [], "cart", NO),
        (VIEW_CART, [(1, "cart")], "view", NO),
        (VIEW_CART, [(2, "view"), (1, "cart")], "other", NO),  # H-039: ends with the current event.
        (VIEW_CART, [(2, "view"), (1, "cart")], "view", NO),
        ([step("view")] * 2, [], "view", NO),  # H-037: one event is one step.
        ([step("view")] * 2, [(1, "view")], "view", YES),
        ([step("view")] * 3, [(1, "view")], "view", NO),
        (VIEW_CART, [(24, "view")], "cart", YES),
        (VIEW_CART, [(24.01, "view")], "cart", NO),
        ([step("a"), step("b"), step("c")], [(3, "b"), (2, "a"), (1, "b")], "c", YES),
        ([step("a"), step("b"), step("c")], [(2, "b"), (1, "a")], "c", NO),
        (VIEW_NO_BUY_CART, [(2, "view")], "cart", YES),
        (VIEW_NO_BUY_CART, [(2, "view"), (1, "buy")], "cart", NO),
        (VIEW_NO_BUY_CART, [(3, "view"), (2, "buy"), (1, "view")], "cart", YES),
        (VIEW_NO_BUY_CART, [(3, "buy"), (2, "view")], "cart", YES),
    ],
)
def test_order_and_end(steps: list[dict[str, Any]], past: list[Any], current: str, verdict: Verdict) -> None:
    """S-127, H-037, H-039: the current event counts once and is the last positive step."""
    assert ask(steps, facts(current, past=past)).verdict is verdict


def test_one_event_can_be_the_step_and_the_forbidden_one() -> None:
    """S-127: what is forbidden between two steps is forbidden strictly between them."""
    steps = [step("view"), step("cart", absent=True), step("cart")]
    assert ask(steps, facts("cart", past=[(1, "view")])).verdict is YES
    assert ask(steps, facts("cart", past=[(2, "view"), (1, "cart")])).verdict is NO


def test_steps_have_filters() -> None:
    """S-128: a step is an event type and data conditions."""
    steps = [step("view", row("price", "greater_than", 50)), step("cart", row("qty", "equals", 2))]
    past = [(1, "view", {"price": 60})]
    assert ask(steps, facts("cart", {"qty": 2}, past=past)).verdict is YES
    assert ask(steps, facts("cart", {"qty": 1}, past=past)).verdict is NO
    assert ask(steps, facts("cart", {"qty": 2}, past=[(1, "view", {"price": 40})])).verdict is NO


def test_steps_are_joined_by_the_same_property() -> None:
    """S-127, H-040: view A, cart B does not count; 7 and "7" are the same product."""
    past = [(2, "view", {"product_id": "7"}), (1, "view", {"product_id": "8"})]
    assert ask(VIEW_CART, facts("cart", {"product_id": 7}, past=past), same="product_id").verdict is YES
    assert ask(VIEW_CART, facts("cart", {"product_id": 9}, past=past), same="product_id").verdict is NO
    lacking = ask(VIEW_CART, facts("cart", past=[(1, "view")]), same="product_id")
    assert lacking.reason == "This event lacks the property that has to be the same."


def test_forbidden_events_are_joined_too() -> None:
    """S-127: no purchase *of that product*, which lies in a list of the order."""
    steps = [step("view"), step("buy", absent=True, same_in="items[].product_id"), step("cart")]
    bought = {"items": [{"product_id": 7}, {"product_id": 9}]}
    past = [(2, "view", {"product_id": 7}), (1, "buy", bought)]
    assert ask(steps, facts("cart", {"product_id": 7}, past=past), same="product_id").verdict is NO
    past = [(2, "view", {"product_id": 8}), (1, "buy", bought)]
    assert ask(steps, facts("cart", {"product_id": 8}, past=past), same="product_id").verdict is YES


def test_gap_between_steps_is_limited() -> None:
    """S-127, H-040: the latest event that fits counts, not the first."""
    steps = [step("a"), step("b"), step("c")]
    past = [(5, "a"), (2, "a"), (1, "b")]
    assert ask(steps, facts("c", past=past), max_gap_minutes=60).verdict is YES
    assert ask(steps, facts("c", past=past), max_gap_minutes=59).verdict is NO
    assert ask(steps, facts("c", past=[(5, "a"), (1, "b")]), max_gap_minutes=60).verdict is NO


def test_event_that_cannot_be_compared_breaks_only_what_it_decides() -> None:
    """S-128, H-047: a broken filter is not 'did not match'."""
    steps = [step("view", row("price", "greater_than", 50)), step("cart")]
    odd = (2, "view", {"price": "much"})
    assert ask(steps, facts("cart", past=[odd])).verdict is BROKEN
    assert ask(steps, facts("cart", past=[odd, (1, "view", {"price": 60})])).verdict is YES
    assert ask(steps, facts("other", past=[odd])).verdict is NO
    forbidden = [step("view"), step("buy", row("total", "greater_than", 9), absent=True), step("cart")]
    assert ask(forbidden, facts("cart", past=[(2, "view"), (1, "buy", {"total": []})])).verdict is BROKEN


def test_trace_says_how_far_it_came() -> None:
    """S-127: seen and reason."""
    result = ask([step("a"), step("b"), step("c")], facts("c", past=[(1, "a")]))
    assert (result.seen, result.reason) == (1, "1 of 3 steps happened in order.")
    assert ask(VIEW_CART, facts("cart", past=[(1, "view")])).seen == 2


def test_lookback_names_the_steps_and_the_window() -> None:
    """S-127, H-038: only these events are read."""
    node = node_adapter.validate_python(
        {"type": "sequence", "sequence": VIEW_NO_BUY_CART, "timeframe_hours": 48}
    )
    assert node.lookback() == Lookback(timedelta(hours=48), frozenset({"view", "buy", "cart"}), 1000)
    assert node.describe() == "view, then no buy, then cart within 2 days"


def test_later_events_are_not_the_past() -> None:
    """H-038: on recheck, what happened after the event cannot complete the sequence."""
    seen = facts("cart", later=[(1, "view")], now=NOON + timedelta(hours=2))
    assert ask(VIEW_CART, seen).verdict is NO


def test_hundred_thousand_events_take_a_bounded_time() -> None:
    """T18, S-127, H-038, H-040: linear, whatever the steps; R-045 allows 100 ms."""
    one = event("a", NOON - timedelta(hours=1), {"n": 1})
    seen = facts("a", {"n": 1})
    history: list[Event] = [one] * 100_000
    steps = [step("a", row("n", "equals", 1)) for _ in range(9)]
    steps[4:4] = [step("b", absent=True)]

    check = node_adapter.validate_python({"type": "sequence", "sequence": steps}).compile()
    crowded = replace(seen, history=history)
    start = time.perf_counter()
    assert check(crowded).verdict is YES
    assert time.perf_counter() - start < 0.1


def brute_force(steps: list[tuple[str, bool]], seen: Facts, gap: float | None) -> bool:
    """All ways of choosing events for the steps, tried one after the other."""
    events = [*seen.history, seen.event]
    positive = [name for name, absent in steps if not absent]
    forbidden: list[set[str]] = [set() for _ in positive]
    position = -1
    for name, absent in steps:
        position += not absent
        if absent:
            forbidden[position].add(name)
    for chosen in combinations(range(len(events)), len(positive)):
        if chosen[-1] != len(events) - 1:
            continue
        if [events[i].name for i in chosen] != positive:
            continue
        pairs = list(pairwise(chosen))
        if gap is not None and any(
            events[b].occurred_at - events[a].occurred_at > timedelta(minutes=gap) for a, b in pairs
        ):
            continue
        if all(
            events[between].name not in forbidden[number]
            for number, (a, b) in enumerate(pairs)
            for between in range(a + 1, b)
        ):
            return True
    return False


@settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(
    inner=st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=3),
    ends=st.tuples(st.sampled_from("abc"), st.sampled_from("abc")),
    names=st.text("abc", max_size=7),
    current=st.sampled_from("abc"),
    gap=st.sampled_from([None, 60, 120]),
)
def test_automaton_finds_what_brute_force_finds(
    inner: list[tuple[str, bool]], ends: tuple[str, str], names: str, current: str, gap: float | None
) -> None:
    """S-127, H-040: one pass is enough."""
    steps = [(ends[0], False), *inner, (ends[1], False)]
    seen = facts(current, past=[(len(names) - index, name) for index, name in enumerate(names)])
    documents = [step(name, absent=absent) for name, absent in steps]
    more = {} if gap is None else {"max_gap_minutes": gap}
    assert (ask(documents, seen, **more).verdict is YES) is brute_force(steps, seen, gap)
