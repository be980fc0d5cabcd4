"""The law of all reducers: the order of events never matters, and nothing is changed in place."""

from __future__ import annotations

import copy
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automation.engine.types import Event
from profiles.behavior import EMPTY, apply, merge, patterns, places, sessions, traits
from tests.unit.behavior.events import NOON, after, event, fingerprint, replay

NAMES = (
    "page_view",
    "product_view",
    "purchase_completed",
    "refund_issued",
    "email_delivered",
    "email_opened",
    "email_complained",
    "identify",
    "profile_updated",
    "zebra_fed",
    "aardvark_fed",
    "churn_risk_changed",
)
VALUES = st.sampled_from(
    [None, "", "Ann", "Bob\n", 3, 2.5, True, ["x"], {"a": 1}, "Europe/Berlin", "Nowhere/Land"]
)
TRAITS = st.dictionaries(
    st.sampled_from(["email", "first_name", "firstName", "time_zone", "timezone", "plan", "tier", "aim"]),
    VALUES,
)
MONEY = st.sampled_from(["19.99", 19.99, 5, 0.1, "abc", None, float("nan"), -4, True, [1], "1e400"])
DATA = st.fixed_dictionaries(
    {},
    optional={
        "traits": TRAITS,
        "total": MONEY,
        "revenue": MONEY,
        "category": st.sampled_from(["shoes", "hats", "bags", "", 7]),
        "items": st.lists(
            st.fixed_dictionaries({"category": st.sampled_from(["belts", "hats"])}), max_size=3
        ),
        "is_machine": st.booleans(),
    },
)
CONTEXT = st.fixed_dictionaries(
    {},
    optional={
        "device": st.sampled_from(["mobile", {"type": "Desktop", "os": "Linux"}, {"type": "tablet"}, 7]),
        "location": st.sampled_from(
            [
                {"country": "DE", "city": "Bonn"},
                {"country": "FR", "timezone": "Europe/Paris"},
                {"timezone": "UTC"},
            ]
        ),
        "timezone": st.sampled_from(["Asia/Tokyo", "Asia/Seoul", "Mars/Base", ""]),
    },
)


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    count = draw(st.integers(1, 12))
    events = []
    for n in range(count):
        at = NOON + timedelta(minutes=draw(st.integers(0, 6)) * 20000)  # Few moments: many ties.
        events.append(
            Event(
                id=n,
                message_id=f"m{n}",
                name=draw(st.sampled_from(NAMES)),
                profile_id=1,
                occurred_at=at,
                received_at=at,
                data=draw(DATA),
                context=draw(CONTEXT),
                session_id=draw(st.sampled_from(["", "a", "b", "c", "d"])),
            )
        )
    return events


@pytest.fixture(autouse=True)
def _narrow_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds so small that every history exceeds them."""
    monkeypatch.setattr(patterns, "MAX_NAMES", 4)
    monkeypatch.setattr(patterns, "MAX_CATEGORIES", 2)
    monkeypatch.setattr(patterns, "MAX_DEVICES", 1)
    monkeypatch.setattr(traits, "MAX_TRAITS", 3)
    monkeypatch.setattr(sessions, "SKETCH_SIZE", 3)


@settings(max_examples=80)
@given(histories().flatmap(lambda events: st.tuples(st.just(events), st.permutations(events))))
def test_any_permutation_of_the_same_events_gives_the_same_profile(
    both: tuple[list[Event], list[Event]],
) -> None:
    """R-008, S-170, H-053."""
    events, shuffled = both
    assert fingerprint(replay(shuffled)) == fingerprint(replay(events))


@settings(max_examples=80)
@given(histories(), st.lists(st.booleans(), min_size=12, max_size=12))
def test_merging_two_profiles_equals_one_profile_of_all_their_events(
    events: list[Event], sides: list[bool]
) -> None:
    """R-008: an anonymous profile may be merged at any time, before or after its events."""
    known = replay([one for one, is_known in zip(events, sides, strict=False) if is_known])
    anonymous = replay([one for one, is_known in zip(events, sides, strict=False) if not is_known])
    together = fingerprint(replay(events))
    assert fingerprint(merge(known, anonymous)) == together
    assert fingerprint(merge(anonymous, known)) == together


@settings(max_examples=30)
@given(histories())
def test_applying_changes_neither_the_state_nor_the_event(events: list[Event]) -> None:
    state = replay(events[:-1])
    before, last = copy.deepcopy(state), copy.deepcopy(events[-1])
    apply(state, events[-1])
    assert repr(state) == repr(before)  # repr, because the NaN of a bad total equals nothing.
    assert repr(events[-1]) == repr(last)


@settings(max_examples=30)
@given(histories())
def test_patterns_traits_and_stamps_are_always_json(events: list[Event]) -> None:
    state = replay(events)
    for column in ("patterns", "traits", "trait_stamps", "preferences"):
        assert json.loads(json.dumps(state[column], allow_nan=False)) == state[column]


@settings(max_examples=30)
@given(histories())
def test_bounds_hold_after_every_history(events: list[Event]) -> None:
    """H-056: what is kept of one customer is bounded."""
    state = replay(events)
    kept = state["patterns"]
    assert len([name for name in kept["events"] if name != "other"]) <= 4
    assert len([name for name in kept.get("categories", {}) if name != "other"]) <= 2
    assert len([name for name in kept.get("devices", {}) if name != "other"]) <= 1
    assert len(kept.get("sessions", [])) <= 3
    assert len(state["trait_stamps"]) <= 3
    assert sum(span[0] for span in kept["events"].values()) == len(events)


@pytest.mark.parametrize("key", ["first_name", "plan"])
def test_one_message_id_from_two_sources_is_settled_without_regard_to_order(key: str) -> None:
    """R-008: (occurred_at, message_id) may tie; the larger value then wins both ways."""
    a = event("identify", message_id="same", data={"traits": {key: "Ann"}})
    b = event("identify", message_id="same", data={"traits": {key: "Bob"}})
    assert fingerprint(after(a, b)) == fingerprint(after(b, a))
    state = after(a, b)
    assert (state[key] if key in state else state["traits"][key]) == "Bob"


@pytest.mark.parametrize("field", ["location", "device"])
def test_a_tie_of_two_places_is_settled_without_regard_to_order(field: str) -> None:
    values: tuple[Any, Any] = (
        ({"city": "Bonn"}, {"city": "Oslo"}) if field == "location" else ({"os": "Android"}, {"os": "Linux"})
    )
    a, b = (event("page_view", message_id="same", context={field: value}) for value in values)
    assert after(a, b)["patterns"][field] == after(b, a)["patterns"][field]
    assert after(a, b)["patterns"][field][2] == values[1]


def test_the_empty_state_is_not_changed_and_gives_json_safe_states() -> None:
    """S-174."""
    state = apply(EMPTY, event("page_view"))
    assert EMPTY["patterns"] == {}
    assert EMPTY["last_activity"] is None
    assert json.dumps(state["traits"]) == "{}"
    assert places.later(None, ["a", "b", {}])
