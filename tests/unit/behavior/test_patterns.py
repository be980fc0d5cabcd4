"""Counters, hours, categories, devices, sessions and places."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from profiles.behavior import view
from profiles.behavior.patterns import MAX_CATEGORIES, MAX_NAMES, hour_of_week
from profiles.behavior.sessions import SKETCH_SIZE, add_session, merge_sketches, session_count
from profiles.behavior.tally import count, count_span, merge_counts, merge_spans
from tests.unit.behavior.events import NOON, after, event


def test_every_event_counts_by_name_with_its_first_and_last_moment() -> None:
    """S-171."""
    state = after(*(event("page_view", minutes=n) for n in (5, 0, 9)), event("email_sent"))
    assert state["patterns"]["events"] == {
        "page_view": [3, "2026-05-04T12:00:00.000000+00:00", "2026-05-04T12:09:00.000000+00:00"],
        "email_sent": [1, "2026-05-04T12:00:00.000000+00:00", "2026-05-04T12:00:00.000000+00:00"],
    }
    assert view(state, NOON)["event_counts"] == {"page_view": 3, "email_sent": 1}


@pytest.mark.parametrize(
    ("at", "hour"),
    [
        (datetime(2026, 5, 4, 0, 0, tzinfo=UTC), 0),
        (datetime(2026, 5, 4, 12, 59, tzinfo=UTC), 12),
        (datetime(2026, 5, 10, 23, 59, tzinfo=UTC), 167),
        (datetime(2026, 5, 4, 1, 0, tzinfo=timezone(timedelta(hours=2))), 167),
    ],
)
def test_hours_of_the_week_are_utc_from_monday(at: datetime, hour: int) -> None:
    """S-171."""
    assert hour_of_week(at) == hour


def test_only_activity_counts_in_the_hours() -> None:
    """S-171."""
    state = after(event("page_view"), event("page_view", minutes=59), event("email_delivered", days=1))
    assert state["patterns"]["hours"] == {"12": 2}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"category": "shoes"}, {"shoes": 1}),
        ({"category": " shoes\n"}, {"shoes": 1}),
        (
            {"items": [{"category": "hats"}, {"category": "hats"}, {"category": "bags"}]},
            {"hats": 1, "bags": 1},
        ),
        ({"category": "shoes", "products": [{"category": "hats"}]}, {"shoes": 1, "hats": 1}),
        ({"category": ["shoes"], "items": "hats"}, None),
        ({"items": [1, None, {"name": "x"}]}, None),
        ({}, None),
    ],
)
def test_categories_are_counted_once_per_event(data: dict[str, Any], expected: Any) -> None:
    """S-171."""
    assert after(event("product_view", data=data))["patterns"].get("categories") == expected


@pytest.mark.parametrize(
    ("device", "counts", "last"),
    [
        ({"type": "desktop", "os": "Windows", "browser": "Chrome"}, {"desktop": 1},
         {"type": "desktop", "os": "Windows", "browser": "Chrome"}),
        ({"type": "Mobile"}, {"mobile": 1}, {"type": "mobile"}),
        ("tablet", {"tablet": 1}, {"type": "tablet"}),
        ({"os": "iOS"}, None, {"os": "iOS"}),
        (7, None, None),
        ({"type": {"x": 1}}, None, None),
    ],
)  # fmt: skip
def test_devices_are_counted_and_the_last_is_kept(device: Any, counts: Any, last: Any) -> None:
    """S-171."""
    found = after(event("page_view", context={"device": device}))["patterns"]
    assert found.get("devices") == counts
    assert (found["device"][2] if "device" in found else None) == last


def test_the_last_location_is_the_one_of_the_latest_event() -> None:
    here = event("page_view", days=1, context={"location": {"country": "FR", "latitude": 48.9, "zip": "7"}})
    late = event("page_view", context={"location": {"country": "DE", "city": "Bonn"}})
    state = after(here, late)
    assert state["patterns"]["location"][2] == {"country": "FR", "latitude": 48.9}
    seen = view(state, NOON)
    assert (seen["country"], seen["city"], seen["region"]) == ("FR", None, None)


@pytest.mark.parametrize(
    "location", ["Berlin", {"country": 7.5e300 * 10}, {"latitude": 91, "longitude": float("nan")}]
)
def test_an_unusable_location_is_ignored_or_harmless(location: Any) -> None:
    found = after(event("page_view", context={"location": location}))["patterns"].get("location")
    assert found is None or found[2] == {"country": "inf"}


@pytest.mark.parametrize("name", ["email_delivered", "sms_delivered", "push_delivered", "in_app_delivered"])
def test_delivered_messages_are_the_evidence_for_engagement(name: str) -> None:
    """H-031."""
    state = after(event(name), event(name, minutes=1), event("email_sent"), event("page_view"))
    assert view(state, NOON)["messages_received"] == 2


class TestSessions:
    def test_each_session_counts_once_however_it_is_interleaved(self) -> None:
        """S-171."""
        state = after(*(event("page_view", minutes=n, session_id="abab"[n]) for n in range(4)))
        assert view(state, NOON)["sessions_count"] == 2
        assert state["patterns"]["session"][2] == "b"

    def test_the_count_is_exact_below_the_size_of_the_sketch(self) -> None:
        sketch: list[int] = []
        for n in range(SKETCH_SIZE - 1):
            sketch = add_session(add_session(sketch, f"s{n}"), f"s{n}")
        assert session_count(sketch) == SKETCH_SIZE - 1
        assert sketch == sorted(set(sketch))

    @pytest.mark.parametrize("n", [100, 1000, 5000])
    def test_beyond_it_the_estimate_is_near(self, n: int) -> None:
        sketch: list[int] = []
        for k in range(n):
            sketch = add_session(sketch, f"session-{k}")
        assert len(sketch) == SKETCH_SIZE
        assert session_count(sketch) == pytest.approx(n, rel=0.3)

    def test_merged_sketches_are_the_sketch_of_all(self) -> None:
        a: list[int] = []
        b: list[int] = []
        both: list[int] = []
        for k in range(150):
            both = add_session(both, f"s{k}")
            a = add_session(a, f"s{k}") if k < 100 else a
            b = add_session(b, f"s{k}") if k > 50 else b
        assert merge_sketches(a, b) == both


class TestBounds:
    """H-028, H-056: nothing in a profile grows without limit."""

    def test_beyond_the_limit_the_smallest_keys_stay_whole_and_the_rest_is_other(self) -> None:
        tally: dict[str, int] = {}
        for key in ["d", "c", "d", "a", "b", "d", "a"]:
            tally = count(tally, key, 2)
        assert tally == {"a": 2, "b": 1, "other": 4}

    def test_protected_names_are_never_pushed_out(self) -> None:
        spans: dict[str, Any] = {}
        for moment, key in enumerate(["z", "a", "b", "z", "c"]):
            spans = count_span(spans, key, str(moment), 2, frozenset({"z"}))
        assert spans == {"z": [2, "0", "3"], "a": [1, "1", "1"], "other": [2, "2", "4"]}

    def test_merging_gives_the_same_members_as_counting_together(self) -> None:
        assert merge_counts({"a": 1, "c": 2}, {"b": 5, "d": 1, "other": 1}, 2) == {"a": 1, "b": 5, "other": 4}
        merged = merge_spans({"a": [1, "1", "1"]}, {"a": [2, "0", "3"], "b": [1, "5", "5"]}, 1)
        assert merged == {"a": [3, "0", "3"], "other": [1, "5", "5"]}

    def test_a_flood_of_names_leaves_a_bounded_profile_and_keeps_purchases(self) -> None:
        events = [event(f"aaa_{n:04}", minutes=n, data={"category": f"c{n:04}"}) for n in range(500)]
        found = after(*events, event("purchase_completed"))["patterns"]
        assert len(found["events"]) == MAX_NAMES + 1
        assert found["events"]["purchase_completed"][0] == 1
        assert found["events"]["other"][0] == 500 - (MAX_NAMES - 1)
        assert len(found["categories"]) == MAX_CATEGORIES + 1
        assert found["categories"]["other"] == 500 - MAX_CATEGORIES

    def test_favourites_are_the_most_frequent_and_never_the_rest(self) -> None:
        names = ["b", "a", "a", "b", "c"]
        state = after(*(event("product_view", minutes=n, data={"category": c}) for n, c in enumerate(names)))
        assert view(state, NOON)["favorite_category"] == "a"
        state["patterns"]["categories"]["other"] = 99
        assert view(state, NOON)["favorite_category"] == "a"
        assert view(state, NOON)["favorite_device"] is None
