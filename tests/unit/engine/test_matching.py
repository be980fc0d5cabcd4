"""The trigger index."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automation.engine.matching import TriggerIndex
from automation.engine.rules import CompiledTrigger
from automation.engine.samples import event, facts
from automation.engine.types import Mode, Priority, Verdict
from tests.unit.engine.documents import attribute, compiled, happens, row, scalars

properties = settings(max_examples=80, deadline=None, database=None, derandomize=True)


def ids(found: Any) -> list[int]:
    return [trigger.trigger_id for trigger in found]


def product(trigger_id: int, value: Any, **more: Any) -> CompiledTrigger:
    return compiled(
        happens("product_view", row("product_id", "equals", value)), trigger_id=trigger_id, **more
    )


def test_candidates_by_name_and_value_urgent_first() -> None:
    """H-048: only triggers that may match are asked."""
    index = TriggerIndex(
        [
            product(1, 7),
            product(2, 8),
            product(3, "7", priority="critical"),
            compiled(happens("product_view"), trigger_id=4, priority="low"),
            compiled(happens("search"), trigger_id=5),
            compiled({"type": "event_match", "data_conditions": [row("x", "exists")]}, trigger_id=6),
            compiled(attribute("country", "exists"), trigger_id=7, type="lifecycle"),
        ]
    )
    assert ids(index.candidates(event("product_view", data={"product_id": 7}))) == [3, 1, 6, 4]
    assert ids(index.candidates(event("product_view", data={"product_id": "8"}))) == [2, 6, 4]
    assert ids(index.candidates(event("product_view"))) == [6, 4]
    assert ids(index.candidates(event("search"))) == [5, 6]
    assert ids(index.candidates(event("unheard_of"))) == [6]
    assert sorted(index.by_id) == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("mode", [Mode.DRAFT, Mode.PAUSED, Mode.ARCHIVED])
def test_inactive_triggers_are_no_candidates(mode: Mode) -> None:
    """S-115: only live and shadow triggers are in the index."""
    index = TriggerIndex([product(1, 7, mode=mode), product(2, 7, mode=Mode.SHADOW)])
    assert ids(index.candidates(event("product_view", data={"product_id": 7}))) == [2]
    assert index.by_id[1].mode is mode


def test_lane_is_the_most_urgent_listener() -> None:
    """S-115, H-048: critical, high, medium, low; None when nobody listens."""
    index = TriggerIndex(
        [product(1, 7, priority="low"), product(2, 8, priority="critical"), product(3, 9, mode=Mode.DRAFT)]
    )
    assert index.lane("product_view") is Priority.CRITICAL
    assert index.lane("search") is None
    assert TriggerIndex().lane("product_view") is None


@properties
@given(expected=st.lists(scalars.filter(lambda v: v is not None), min_size=1, max_size=6), seen=scalars)
def test_index_agrees_with_asking_every_trigger(expected: list[Any], seen: Any) -> None:
    """S-129, H-048: the index knows the equality of the operators: "5" is 5, booleans are not numbers."""
    triggers = [
        compiled(happens("product_view", row("product_id", "equals", value)), trigger_id=number)
        for number, value in enumerate(expected)
        if value == value and abs(value if isinstance(value, (int, float)) else 0) != float("inf")
    ]
    now = facts("product_view", {"product_id": seen})
    asked = {t.trigger_id for t in triggers if t.full(now).verdict is Verdict.MET}
    found = ids(TriggerIndex(triggers).candidates(now.event))
    assert set(found) == asked
    assert len(found) == len(asked)


@properties
@given(
    values=st.lists(st.tuples(st.sampled_from(["product_view", "search"]), scalars), min_size=1, max_size=8),
    changes=st.lists(
        st.tuples(
            st.integers(0, 9), st.sampled_from(["product_view", "search"]), st.sampled_from(list(Mode))
        ),
        max_size=4,
        unique_by=lambda change: change[0],
    ),
    removed=st.sets(st.integers(0, 9), max_size=3),
    seen=scalars,
)
def test_replacing_is_building_anew(
    values: list[tuple[str, Any]], changes: list[tuple[int, str, Mode]], removed: set[int], seen: Any
) -> None:
    """H-048: a replaced index answers like one built from scratch, and the old one is unchanged."""
    before = {
        number: compiled(happens(name, row("product_id", "equals", value)), trigger_id=number)
        for number, (name, value) in enumerate(values)
        if value is None or value == value
    }
    changed = {
        number: compiled(happens(name), trigger_id=number, mode=mode) for number, name, mode in changes
    }
    old = TriggerIndex(before.values())
    events = [event(name, data={"product_id": seen}) for name in ("product_view", "search")]
    answers = [ids(old.candidates(one)) for one in events]
    new = old.replace(changed.values(), removed)
    kept = {number: t for number, t in before.items() if number not in removed} | changed
    anew = TriggerIndex(kept.values())
    for one in events:
        assert ids(new.candidates(one)) == ids(anew.candidates(one))
        assert new.lane(one.name) is anew.lane(one.name)
    assert dict(new.by_id) == kept
    assert [ids(old.candidates(one)) for one in events] == answers


def test_replace_keeps_the_rest_as_it_is() -> None:
    """H-048: nothing else is compiled or built again."""
    kept, gone = product(1, 7), compiled(happens("search"), trigger_id=2)
    index = TriggerIndex([kept, gone]).replace([], [2])
    assert index.candidates(event("product_view", data={"product_id": 7}))[0] is kept
    assert index.candidates(event("search")) == ()
    assert len(index) == 1


def test_cancelled_by_finds_waiting_triggers_of_any_mode() -> None:
    """S-117: a paused trigger may still have executions that wait."""
    index = TriggerIndex(
        [
            product(1, 7, cancel_when=["purchase_completed"], mode=Mode.PAUSED),
            product(2, 7, cancel_when=[attribute("traits.plan", "equals", "pro")]),
            product(3, 7),
        ]
    )
    assert ids(index.cancelled_by("purchase_completed")) == [1, 2]
    assert ids(index.cancelled_by("search")) == [2]


def test_a_thousand_triggers_cost_no_more_than_the_hits() -> None:
    """H-048: told apart by one value, a thousand triggers are looked up like one."""

    def fastest(index: TriggerIndex) -> float:
        one = event("product_view", data={"product_id": 77})
        times = []
        for _ in range(20):
            start = time.perf_counter()
            for _ in range(50):
                index.candidates(one)
            times.append(time.perf_counter() - start)
        return min(times)

    few = TriggerIndex([product(number, number) for number in (77, 78)])
    template = product(0, 0)
    many = TriggerIndex(_copies(template, 1000))
    assert ids(many.candidates(event("product_view", data={"product_id": 77}))) == [77]
    assert fastest(many) < 5 * fastest(few)


def _copies(template: CompiledTrigger, count: int) -> list[CompiledTrigger]:

    return [replace(template, trigger_id=number, equality=("product_id", number)) for number in range(count)]
