"""Place, device, season and score: edges that the examples do not show."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from automation.engine.advice import advised
from automation.engine.conditions import node_adapter
from automation.engine.conditions.location import kilometres
from automation.engine.samples import facts
from automation.engine.types import Verdict
from automation.engine.validate import validate_conditions
from tests.unit.engine.documents import happens, trigger

MET, NOT_MET, BROKEN = Verdict.MET, Verdict.NOT_MET, Verdict.BROKEN


def placed(**place: Any) -> dict[str, Any]:
    return {"behavioral_patterns": {"location": ["2025-06-02T12:00:00+00:00", "m", place]}}


def with_device(at: str, **device: str) -> dict[str, Any]:
    return {"behavioral_patterns": {"device": [at, "m", device]}}


@pytest.mark.parametrize(
    ("now", "before", "level", "verdict", "reason"),
    [
        (placed(country="ES"), placed(country="DE"), "country", MET, ""),
        (placed(country="de"), placed(country="DE "), "country", NOT_MET, ""),
        (placed(country="ES"), {}, "country", NOT_MET, "No earlier place of the customer is known."),
        ({}, placed(country="DE"), "country", NOT_MET, "It is not known where the customer is."),
        (placed(country="US", city="Paris"), placed(country="FR", city="Paris"), "city", MET, ""),
        (placed(region="Ile", city="Paris"), placed(country="FR", city="Paris"), "city", NOT_MET, ""),
        (placed(country="FR", city="Lyon"), placed(country="FR", city="Paris"), "country", NOT_MET, ""),
        ({"behavioral_patterns": {"location": [1]}}, {"behavioral_patterns": 5}, "city", NOT_MET, None),
    ],
)
def test_a_place_changes(now: Any, before: Any, level: str, verdict: Verdict, reason: str | None) -> None:
    """S-052: by name, never from or to what is not known."""
    node = node_adapter.validate_python({"type": "location", "level": level, "comparison": "changed"})
    assert node.needs_before
    result = node.is_met(facts(profile=now, before=before))
    assert result.verdict is verdict
    if reason is not None:
        assert result.reason == reason


def test_a_radius_is_measured_on_the_globe() -> None:
    """S-052: across the date line, and from pole to pole."""
    assert kilometres((52.52, 13.405), (48.137, 11.575)) == pytest.approx(504, abs=1)
    assert kilometres((0, 179.9), (0, -179.9)) == pytest.approx(22.2, abs=0.1)
    assert kilometres((90, 0), (-90, 0)) == pytest.approx(20_015, abs=1)
    node = node_adapter.validate_python(
        {"type": "location", "comparison": "within", "latitude": 0, "longitude": 179.9, "radius_km": 22}
    )
    assert node.is_met(facts(profile=placed(latitude=0.0, longitude=-179.9))).verdict is NOT_MET
    nowhere = node.is_met(facts(profile=placed(country="DE")))
    assert (nowhere.verdict, nowhere.reason) == (NOT_MET, "No coordinates of the customer are known.")


@pytest.mark.parametrize(
    ("document", "pointers"),
    [
        ({"type": "location", "comparison": "is"}, {"/values"}),
        ({"type": "location", "comparison": "changed", "values": ["DE"], "radius_km": 5}, {"/values", "/radius_km"}),
        ({"type": "location", "comparison": "within"}, {"/radius_km", "/latitude", "/longitude"}),
        ({"type": "location", "comparison": "within", "latitude": 91, "longitude": 0, "radius_km": 5}, {"/latitude"}),
        ({"type": "device", "comparison": "is", "within_hours": 2}, {"/values", "/within_hours"}),
        ({"type": "device", "comparison": "switched", "values": ["mobile"]}, {"/values"}),
        ({"type": "season", "start": "02-30", "end": "13-01"}, {"/end"}),
        ({"type": "season", "start": "04-31", "end": "05-01"}, {"/start"}),
        ({"type": "score", "score": "engagement", "comparison": "at_least", "value": 60}, {"/value"}),
        ({"type": "score", "score": "churn_risk", "comparison": "below", "value": 0}, {"/value"}),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_at_its_field(document: Any, pointers: set[str]) -> None:
    """S-052: each comparison has its own right side."""
    nodes, problems = validate_conditions([document])
    assert nodes is None
    assert set(problems) == {f"/conditions/0{pointer}" for pointer in pointers}


@pytest.mark.parametrize(
    ("at", "verdict"),
    [("11:59", NOT_MET), ("12:00", MET), ("12:30", MET)],
)
def test_a_switch_of_device_is_one_within_its_time(at: str, verdict: Verdict) -> None:
    """S-052: counted from the last time the earlier device was used."""
    node = node_adapter.validate_python({"type": "device", "comparison": "switched", "within_hours": 1})
    now = with_device("2025-06-02T13:00:00+00:00", type="desktop")
    before = with_device(f"2025-06-02T{at}:00+00:00", type="mobile")
    assert node.is_met(facts(profile=now, before=before)).verdict is verdict
    same = with_device(f"2025-06-02T{at}:00+00:00", type="Desktop")
    assert node.is_met(facts(profile=now, before=same)).verdict is NOT_MET
    unknown = node.is_met(facts(profile=now, before={}))
    assert (unknown.verdict, unknown.reason) == (NOT_MET, "No earlier device of the customer is known.")


@pytest.mark.parametrize(
    ("zone", "verdict"),
    [("UTC", NOT_MET), ("Asia/Tokyo", MET), ("America/New_York", NOT_MET)],
)
def test_a_season_begins_where_the_customer_is(zone: str, verdict: Verdict) -> None:
    """S-052: midnight comes earlier in Tokyo."""
    node = node_adapter.validate_python({"type": "season", "start": "12-01", "end": "02-29"})
    at = datetime(2025, 11, 30, 16, tzinfo=UTC)
    assert node.is_met(facts(at=at, zone=ZoneInfo(zone))).verdict is verdict
    assert node.is_met(facts(at=datetime(2025, 2, 28, 12, tzinfo=UTC))).verdict is MET
    assert node.is_met(facts(at=datetime(2025, 3, 1, 12, tzinfo=UTC))).verdict is NOT_MET
    assert node.is_met(facts(at=datetime(2024, 2, 29, 12, tzinfo=UTC))).verdict is MET


@pytest.mark.parametrize(
    ("comparison", "before", "now", "verdict"),
    [
        ("rose_to", 0.5, 0.7, MET),
        ("rose_to", 0.7, 0.8, NOT_MET),
        ("rose_to", None, 0.8, NOT_MET),
        ("fell_below", 0.7, 0.69, MET),
        ("fell_below", 0.6, 0.5, NOT_MET),
        ("at_least", None, 0.7, MET),
        ("at_least", None, "0.7", MET),
        ("below", None, 0.7, NOT_MET),
        ("at_least", None, None, NOT_MET),
        ("below", None, None, NOT_MET),
        ("at_least", None, "high", BROKEN),
        ("rose_to", "high", 0.8, BROKEN),
    ],
)
def test_a_score_is_on_a_side_of_its_line(comparison: str, before: Any, now: Any, verdict: Verdict) -> None:
    """A score that is not known is neither high nor low, and says so; one that is no number is broken."""
    document = {"type": "score", "score": "churn_risk", "comparison": comparison, "value": 0.7}
    result = node_adapter.validate_python(document).is_met(
        facts(profile={"churn_risk": now}, before={"churn_risk": before})
    )
    assert result.verdict is verdict
    if now is None:
        assert result.reason == "This score of the customer is not known."


PLACE = {"type": "location", "comparison": "changed"}


@pytest.mark.parametrize(
    ("kind", "message_class", "nodes", "pointers"),
    [
        ("transactional", "marketing", [], ["/message_class"]),
        ("transactional", "transactional", [], []),
        ("behavioral", "marketing", [], []),
        ("contextual", "marketing", [], ["/type"]),
        ("contextual", "marketing", [{"type": "any", "conditions": [PLACE]}], []),
        ("predictive", "marketing", [PLACE], ["/type"]),
        ("lifecycle", "marketing", [{"type": "segment", "segment": "vip"}], []),
    ],
)
def test_a_type_that_the_rest_does_not_keep_is_named(
    kind: str, message_class: str, nodes: list[Any], pointers: list[str]
) -> None:
    """S-050, S-052: a word, not a refusal."""
    document = trigger(happens("page_view"), *nodes, type=kind, message_class=message_class)
    assert [pointer for pointer, _ in advised(document)] == pointers


def test_what_nothing_starts_is_named() -> None:
    """S-052: a change is brought along by any event, a state by none."""
    changed, state = (
        trigger(PLACE, type="contextual"),
        trigger({"type": "season", "start": "12-01", "end": "12-24"}, type="contextual"),
    )
    assert advised(changed) == []
    assert [pointer for pointer, _ in advised(state)] == ["/conditions"]
