"""Compiling a trigger, three-valued logic, and the trace."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings

from automation.engine.conditions import CONDITIONS, node_adapter
from automation.engine.operators import MET
from automation.engine.rules import describe, describe_conditions
from automation.engine.samples import NOON, facts
from automation.engine.tracing import MAX_BYTES
from automation.engine.types import Facts, Lookback, Mode, Verdict
from tests.unit.engine.documents import (
    BROKEN_LEAF,
    attribute,
    compiled,
    condition_lists,
    facts_of_examples,
    group,
    happens,
    row,
)

NO, YES, BROKEN = Verdict.NOT_MET, Verdict.MET, Verdict.BROKEN
WORDS = {"met": YES, "not_met": NO, "broken": BROKEN}
properties = settings(max_examples=80, deadline=None, database=None, derandomize=True)

met, unmet, broken = happens("page_view"), happens("other"), BROKEN_LEAF
SEEN = facts("page_view", {"broken": 1})


@pytest.mark.parametrize(
    ("nodes", "verdict"),
    [
        ([met, met], YES),
        ([met, unmet], NO),
        ([broken, met], BROKEN),
        ([broken, unmet], NO),
        ([unmet, broken], NO),
        ([group("any", broken, met)], YES),
        ([group("any", met, broken)], YES),
        ([group("any", broken, unmet)], BROKEN),
        ([group("any", unmet, unmet)], NO),
        ([group("all", met, broken)], BROKEN),
        ([group("all", unmet, broken)], NO),
        ([group("not", met)], NO),
        ([group("not", unmet)], YES),
        ([group("not", broken)], BROKEN),
        ([group("not", broken, met)], NO),
        ([group("not", broken, unmet)], BROKEN),
        ([group("not", group("not", broken))], BROKEN),
        ([group("not", group("any", group("all", met, met), broken))], NO),
    ],
)
def test_three_valued_logic(nodes: list[dict[str, Any]], verdict: Verdict) -> None:
    """S-140, H-044, H-047: the list is AND; broken has no veto in any and is never turned into an answer."""
    result = compiled(*nodes).full(SEEN)
    assert result.verdict is verdict
    assert bool(result.reason) is (verdict is BROKEN)


class Exploding(Mapping[str, Any]):
    """A profile whose attributes cannot be computed."""

    def __getitem__(self, key: str) -> Any:
        raise ZeroDivisionError

    def __iter__(self) -> Any:
        raise ZeroDivisionError

    def __len__(self) -> int:
        return 1


def test_fault_in_the_data_is_broken_and_spares_the_siblings() -> None:
    """H-047: an evaluation error is not 'not matched'; in any it has no veto."""
    seen = facts("page_view", profile=Exploding())
    result = compiled(met, attribute("country", "equals", "DE")).full(seen)
    assert (result.verdict, result.reason) == (BROKEN, "This could not be checked (ZeroDivisionError).")
    assert compiled(group("any", attribute("country", "equals", "DE"), met)).full(seen) is MET
    trace = compiled(met, attribute("country", "equals", "DE")).trace(seen)
    assert trace["first_failing"] == "/conditions/1"
    assert trace["/conditions/1"] == {
        "result": "broken",
        "seen": "(ZeroDivisionError)",
        "reason": "This could not be checked (ZeroDivisionError).",
    }


def test_compiled_trigger_says_what_it_needs() -> None:
    """S-118, H-048: names, equality, look-backs, sends, segments, before, wait."""
    trigger = compiled(
        happens("cart_abandonment", row("total_value", "greater_than", 50), row("shop", "equals", 7)),
        attribute("traits.plan", "changed"),
        group("all", {"type": "segment", "segment": "vip"}),
        {"type": "time_based", "time_condition_type": "time_since_last_email", "hours": 24},
        {"type": "event_count", "event_type": "page_view", "value": 2},
        {"type": "absence", "event_type": "purchase_completed", "within_minutes": 30, "after": True},
        cancel_when=["purchase_completed", attribute("traits.plan", "equals", "pro")],
    )
    assert (trigger.trigger_id, trigger.version_id, trigger.mode) == (1, 10, Mode.LIVE)
    assert trigger.event_names == {"cart_abandonment"}
    assert trigger.equality == ("shop", 7)
    assert trigger.needs == (
        Lookback(timedelta(hours=24), frozenset({"page_view"})),
        Lookback(timedelta(minutes=30), frozenset({"purchase_completed"})),
    )
    assert (trigger.needs_sends, trigger.needs_segments, trigger.needs_before) == (True, True, True)
    assert trigger.wait == timedelta(minutes=30)
    assert trigger.cancel_names == {"purchase_completed", "*"}


def test_trigger_that_needs_nothing_is_cheap_as_a_whole() -> None:
    """H-048: nothing is loaded for it."""
    trigger = compiled(met, attribute("country", "equals", "DE"))
    assert trigger.cheap is trigger.full
    assert (trigger.needs, trigger.needs_sends, trigger.needs_segments, trigger.wait) == (
        (),
        False,
        False,
        None,
    )


def test_cheap_leaves_out_what_needs_loading() -> None:
    """H-048: the cheap part decides alone when it is not met, and only then."""
    trigger = compiled(met, {"type": "segment", "segment": "vip"})
    assert trigger.cheap(facts("page_view")) is MET
    assert trigger.full(facts("page_view")).verdict is NO
    assert trigger.cheap(facts("other")).verdict is NO


@pytest.mark.parametrize(
    ("nodes", "names"),
    [
        ([met], {"page_view"}),
        ([attribute("country", "exists"), met], {"page_view"}),
        ([group("any", met, happens("search"))], {"page_view", "search"}),
        ([group("any", met, attribute("country", "exists"))], set()),
        ([group("not", met)], set()),
        ([group("all", attribute("country", "exists"), met)], {"page_view"}),
        ([attribute("country", "exists")], set()),
        ([{"type": "event_match", "data_conditions": [row("x", "exists")]}], {"*"}),
        ([{"type": "event_match", "data_conditions": [row("x", "exists")]}, met], {"page_view"}),
        ([{"type": "sequence", "sequence": [{"event_type": "a"}, {"event_type": "b"}]}], {"b"}),
    ],
)
def test_entry_names(nodes: list[dict[str, Any]], names: set[str]) -> None:
    """S-118, H-048: which events a trigger listens to; none means it is entered otherwise."""
    assert compiled(*nodes).event_names == names


@pytest.mark.parametrize(
    "condition",
    [
        row("shop", "not_equals", 7),
        row("items[].shop", "equals", 7),
        row("profile.shop", "equals", 7),
        row("context.shop", "equals", 7),
        row("shop", "greater_than", 7),
    ],
)
def test_only_equality_on_event_data_is_indexed(condition: dict[str, Any]) -> None:
    """H-048: anything else could differ from what the index can look up."""
    assert compiled(happens("page_view", condition)).equality is None


def test_cancelling_events() -> None:
    """S-117: an event name or conditions on a later event."""
    trigger = compiled(
        met, cancel_when=["purchase_completed", happens("cart_emptied", row("shop", "equals", 7))]
    )
    assert trigger.cancels(facts("purchase_completed")) is MET
    assert trigger.cancels(facts("cart_emptied", {"shop": 7})) is MET
    assert trigger.cancels(facts("cart_emptied", {"shop": 8})).verdict is NO
    assert trigger.cancels(facts("page_view")).verdict is NO


def kleene(document: dict[str, Any], seen: Facts) -> Verdict:
    """The meaning of groups written down once more, in the plainest way."""
    if document["type"] not in ("all", "any", "not"):
        return node_adapter.validate_python(document).is_met(seen).verdict
    inside = [kleene(node, seen) for node in document["conditions"]]
    deciding, otherwise = (NO, YES) if document["type"] == "all" else (YES, NO)
    verdict = deciding if deciding in inside else BROKEN if BROKEN in inside else otherwise
    return {YES: NO, NO: YES, BROKEN: BROKEN}[verdict] if document["type"] == "not" else verdict


@properties
@given(nodes=condition_lists, seen=facts_of_examples)
def test_closures_and_trace_agree_with_the_meaning(nodes: list[dict[str, Any]], seen: Facts) -> None:
    """S-140, H-044, H-047: closures, trace and first failing place are one evaluation."""
    trigger = compiled(*nodes)
    verdict = kleene(group("all", *nodes), seen)
    assert trigger.full(seen).verdict is verdict
    if trigger.cheap(seen).verdict is NO:
        assert verdict is NO
    trace = trigger.trace(seen)
    assert WORDS[trace["result"]] is verdict
    for index, node in enumerate(nodes):
        assert WORDS[trace[f"/conditions/{index}"]["result"]] is kleene(node, seen)
    failing = trace["first_failing"]
    assert (failing is None) is (verdict is YES)
    if failing is not None:
        assert WORDS[trace[failing]["result"]] is verdict
    assert len(json.dumps(trace)) <= MAX_BYTES


def test_trace_shows_values_and_the_first_failing_leaf() -> None:
    """H-047: pointer -> result, seen, reason."""
    trigger = compiled(
        happens("cart_abandonment", row("total_value", "greater_than", 50), row("currency", "equals", "EUR")),
        group("all", attribute("country", "equals", "DE"), attribute("orders", "greater_than", 1)),
    )
    seen = facts("cart_abandonment", {"total_value": 74.5, "currency": "EUR"}, profile={"country": "DE"})
    assert trigger.trace(seen) == {
        "result": "not_met",
        "first_failing": "/conditions/1/conditions/1",
        "/conditions/0": {"result": "met", "seen": "cart_abandonment"},
        "/conditions/0/event_type": {"result": "met", "seen": "cart_abandonment"},
        "/conditions/0/data_conditions/0": {"result": "met", "seen": 74.5},
        "/conditions/0/data_conditions/1": {"result": "met", "seen": "EUR"},
        "/conditions/1": {"result": "not_met"},
        "/conditions/1/conditions/0": {"result": "met", "seen": "DE"},
        "/conditions/1/conditions/1": {"result": "not_met", "seen": "(missing)"},
    }


def test_first_failing_leaf_is_the_row_and_in_any_the_group() -> None:
    """H-047: down through and, not into any, where no single leaf decides."""
    trigger = compiled(happens("page_view", row("a", "exists"), row("b", "exists")))
    assert trigger.trace(facts("page_view", {"a": 1}))["first_failing"] == "/conditions/0/data_conditions/1"
    assert trigger.trace(facts("search", {"a": 1}))["first_failing"] == "/conditions/0/event_type"
    trigger = compiled(met, group("any", unmet, unmet))
    assert trigger.trace(SEEN)["first_failing"] == "/conditions/1"


def test_trace_stays_small_however_much_was_seen() -> None:
    """H-047: values get shorter first, then deep lines go; what decided stays."""
    rows = [row(f"field_{index}", "contains", "z") for index in range(20)]
    nodes = [happens("page_view", *rows[:3])] * 3 + [happens("page_view", *rows)] * 4
    data = {f"field_{index}": "z" + '"ü' * 4000 for index in range(19)}
    trace = compiled(*nodes).trace(facts("page_view", data))
    assert len(json.dumps(trace)) <= MAX_BYTES
    assert trace["first_failing"] == "/conditions/3/data_conditions/19"
    assert trace[trace["first_failing"]]["result"] == "not_met"
    assert trace["omitted"] > 0
    assert {f"/conditions/{index}" for index in range(7)} <= trace.keys()


def test_trace_of_odd_values_is_json() -> None:
    """H-047: dates, NaN, huge numbers and lone surrogates can be stored."""
    odd = {"a": float("nan"), "b": 10**5000, "c": "\ud800", "d": NOON, "e": [[[[1]]]], "f": {1: {2: {3: 4}}}}
    trigger = compiled(happens("page_view", *(row(name, "exists") for name in odd)))
    text = json.dumps(trigger.trace(facts("page_view", odd)), allow_nan=False)
    text.encode("utf-8")
    assert "(a very large number)" in text


def test_description_reads_as_english() -> None:
    """S-140: when and if."""
    trigger = compiled(
        attribute("profile.lifetime_value", "greater_than", 1000),
        happens("cart_abandonment", row("items[].price", "greater_than", 50, over="sum")),
        group("any", attribute("country", "in_list", ["DE", "AT"]), attribute("traits.vip", "equals", True)),
    )
    assert describe(trigger.definition) == {
        "when": "When cart abandonment happens where the sum of items price is more than 50",
        "if": ["lifetime value is more than 1,000", "(country is one of “DE” or “AT” or vip is yes)"],
    }
    lonely = [node_adapter.validate_python({"type": "segment", "segment": "vip"})]
    assert describe_conditions(lonely)["when"] == "When a schedule, segment or score enters it"


def test_every_node_describes_itself_without_names_of_the_code() -> None:
    """S-140: no braces, underscores or brackets in sentences."""
    for plugin in CONDITIONS.values():
        for example in plugin.examples:
            text = node_adapter.validate_python(example.document).describe()
            assert text
            assert not set("{}[]") & set(text)
            assert "_" not in text.replace("“at_risk”", "")
