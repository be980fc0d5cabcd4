"""Traits and their columns: the last write wins."""

from __future__ import annotations

from typing import Any

import pytest

from profiles.behavior import merge, view
from profiles.behavior.traits import MAX_JSON, MAX_TRAITS, is_zone
from tests.unit.behavior.events import NOON, after, event


def identify(minutes: float = 0, message_id: str | None = None, **traits: Any) -> Any:
    return event("identify", minutes=minutes, message_id=message_id, data={"traits": traits})


@pytest.mark.parametrize(
    ("written", "column", "expected"),
    [
        ({"email": " ann@example.com "}, "email", "ann@example.com"),
        ({"phone": 4930123456}, "phone", "4930123456"),
        ({"first_name": "Ann"}, "first_name", "Ann"),
        ({"firstName": "Ann"}, "first_name", "Ann"),
        ({"firstName": "Old", "first_name": "Ann"}, "first_name", "Ann"),
        ({"lastName": "Lee"}, "last_name", "Lee"),
        ({"locale": "de-DE"}, "locale", "de-DE"),
        ({"timezone": "Europe/Berlin"}, "time_zone", "Europe/Berlin"),
        ({"timezone": "Mars/Base"}, "time_zone", ""),
        ({"timezone": "../../etc/passwd"}, "time_zone", ""),
        ({"first_name": ["Ann"]}, "first_name", ""),
        ({"first_name": True}, "first_name", ""),
        ({"email": "a@example.com\r\nBcc: all@example.com"}, "email", "a@example.com  Bcc: all@example.com"),
        ({"first_name": "x" * 500}, "first_name", "x" * 150),
    ],
)
def test_column_traits_are_cleaned_text(written: dict[str, Any], column: str, expected: str) -> None:
    assert after(identify(**written))[column] == expected


def test_a_later_write_wins_and_an_older_one_that_arrives_late_does_not() -> None:
    """R-008."""
    state = after(identify(0, plan="free", email="old@x"), identify(9, plan="pro", email="new@x"))
    state = after(identify(5, plan="team", email="mid@x"), state=state)
    assert state["traits"] == {"plan": "pro"}
    assert state["email"] == "new@x"
    assert state["trait_stamps"]["plan"][0] == "2026-05-04T12:09:00.000000+00:00"


def test_at_the_same_moment_the_larger_message_id_wins() -> None:
    """R-008."""
    a, b = identify(message_id="a", plan="pro"), identify(message_id="b", plan="free")
    assert after(a, b)["traits"] == after(b, a)["traits"] == {"plan": "free"}


def test_null_removes_a_trait_for_good() -> None:
    state = after(identify(5, plan=None, email=None), identify(0, plan="pro", email="a@x"))
    assert state["traits"] == {}
    assert state["email"] == ""
    assert "plan" not in view(state, NOON)


def test_an_explicit_profile_update_carries_traits_as_its_data() -> None:
    state = after(event("profile_updated", data={"email": "a@x", "plan": "pro"}))
    assert state["email"] == "a@x"
    assert state["traits"] == {"plan": "pro"}
    assert after(event("profile_updated", data={"traits": {"plan": "pro"}}))["traits"] == {"plan": "pro"}


def test_other_events_write_no_traits() -> None:
    assert after(event("page_view", data={"traits": {"plan": "pro"}}))["traits"] == {}
    assert after(event("identify", data={"plan": "pro"}))["traits"] == {}


@pytest.mark.parametrize(
    "value", [float("nan"), {"a": float("inf")}, {1, 2}, "x" * (MAX_JSON + 1), [["y"] * 3000]]
)
def test_what_is_no_json_or_too_large_is_ignored(value: Any) -> None:
    assert after(identify(odd=value, fine=[1, {"a": None}]))["traits"] == {"fine": [1, {"a": None}]}


def test_at_most_two_hundred_traits_and_columns_are_never_pushed_out() -> None:
    many = {f"a{n:04}": n for n in range(MAX_TRAITS + 50)}
    state = after(identify(**many), identify(1, email="a@x", first_name="Ann"))
    assert len(state["trait_stamps"]) == MAX_TRAITS
    assert len(state["traits"]) == MAX_TRAITS - 2
    assert state["email"] == "a@x"
    assert "a0197" in state["traits"]
    assert "a0198" not in state["traits"]


def test_attributes_win_over_traits_of_the_same_name() -> None:
    state = after(identify(orders_count=99, plan="pro", email="a@x"))
    seen = view(state, NOON)
    assert seen["orders_count"] == 0
    assert seen["traits"]["orders_count"] == 99
    assert seen["plan"] == "pro"
    assert "plan" in seen
    assert "nothing" not in seen
    assert dict(seen)["email"] == "a@x"
    assert len(seen) == len(list(seen)) == len(dict(seen))
    with pytest.raises(KeyError):
        seen["nothing"]


class TestTimeZone:
    EVENT = event("page_view", minutes=30, context={"timezone": "Asia/Tokyo"})
    GEO = event("page_view", minutes=60, context={"location": {"country": "FR", "timezone": "Europe/Paris"}})
    EXPLICIT = identify(0, timezone="America/New_York")

    @pytest.mark.parametrize(
        ("events", "zone", "source"),
        [
            ((), "", "default"),
            ((GEO,), "Europe/Paris", "geo"),
            ((GEO, EVENT), "Asia/Tokyo", "event"),
            ((EXPLICIT, EVENT, GEO), "America/New_York", "explicit"),
            ((event("page_view", context={"timezone": "Nowhere"}),), "", "default"),
            ((EVENT, identify(90, timezone=None)), "Asia/Tokyo", "event"),
            ((EXPLICIT, identify(90, timezone=None)), "", "default"),
        ],
    )
    def test_the_strongest_source_wins_whatever_came_last(
        self, events: tuple[Any, ...], zone: str, source: str
    ) -> None:
        for order in (events, events[::-1]):
            state = after(event("page_view"), *order)
            assert (state["time_zone"], state["time_zone_source"]) == (zone, source)

    def test_a_zone_that_no_event_wrote_stays_until_a_source_as_strong_speaks(self) -> None:
        loaded = {**after(event("page_view")), "time_zone": "Asia/Tokyo", "time_zone_source": "explicit"}
        assert after(self.GEO, state=loaded)["time_zone"] == "Asia/Tokyo"
        assert after(self.EXPLICIT, state=loaded)["time_zone"] == "America/New_York"
        loaded["time_zone_source"] = "event"
        assert after(self.GEO, state=loaded)["time_zone"] == "Asia/Tokyo"

    @pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Ushuaia"])
    def test_known_names_are_zones(self, name: str) -> None:
        assert is_zone(name)

    @pytest.mark.parametrize("name", ["", "Europe", "Berlin", "/etc/passwd", "../UTC", "UTC\x00", "x" * 300])
    def test_unknown_names_are_not(self, name: str) -> None:
        assert not is_zone(name)


class TestMerge:
    def test_the_later_write_wins_and_known_wins_ties(self) -> None:
        known = after(identify(0, "m", plan="free", name="K"))
        anonymous = after(identify(0, "m", plan="pro"), identify(5, "n", name="A", tier=1))
        assert merge(known, anonymous)["traits"] == {"plan": "free", "name": "A", "tier": 1}
        assert merge(anonymous, known)["traits"] == {"plan": "pro", "name": "A", "tier": 1}

    def test_values_without_a_stamp_count_as_the_oldest(self) -> None:
        loaded = {**after(event("page_view")), "email": "known@x", "traits": {"plan": "free"}}
        other = {**after(event("page_view")), "email": "other@x", "phone": "7", "traits": {"plan": "pro"}}
        both = merge(loaded, other)
        assert (both["email"], both["phone"], both["traits"]) == ("known@x", "7", {"plan": "free"})
        assert merge(loaded, after(identify(email="said@x")))["email"] == "said@x"

    def test_no_wish_to_hear_less_is_lost(self) -> None:
        known = {**after(event("page_view")), "preferences": {"channels_off": ["sms"], "theme": "dark"}}
        wishes = {"channels_off": ["push"], "at_most_weekly": True, "pause_until": "2026-06-01", "theme": "x"}
        anonymous = {**after(event("page_view")), "preferences": wishes}
        assert merge(known, anonymous)["preferences"] == {
            "channels_off": ["push", "sms"],
            "at_most_weekly": True,
            "pause_until": "2026-06-01",
            "theme": "dark",
        }
