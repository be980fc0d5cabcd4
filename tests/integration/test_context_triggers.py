"""Triggers that no named event starts: they are entered by whatever says where, with what and when."""

from __future__ import annotations

from typing import Any

import pytest

from automation.models import Event, Execution
from tests.factories import decide_all, incoming, make_trigger, outcomes, send

pytestmark = pytest.mark.django_db(transaction=True)


def seen(message_id: str, **context: Any) -> Any:
    return incoming("page_view", message_id=message_id, context=context)


@pytest.mark.parametrize(
    ("condition", "first", "second"),
    [
        (
            {"type": "location", "level": "country", "comparison": "changed"},
            {"location": {"country": "DE"}},
            {"location": {"country": "ES"}},
        ),
        (
            {"type": "device", "part": "type", "comparison": "switched"},
            {"device": {"type": "mobile"}},
            {"device": {"type": "desktop"}},
        ),
    ],
)
def test_a_contextual_trigger_is_entered_by_what_an_event_brings_along(
    condition: dict[str, Any], first: dict[str, Any], second: dict[str, Any]
) -> None:
    """S-052: by any event at all, and once: the state before it is compared with the one after it."""
    trigger = make_trigger(type="contextual", conditions=[condition], cooldown_minutes=None)
    send(seen("a", **first))
    send(seen("b", **second))
    send(seen("c", **second))
    decide_all()
    assert outcomes(trigger) == [("pending", "")]
    assert Execution.objects.get().event_id == Event.objects.get(message_id="b").pk


VIEW = {"type": "event_match", "event_type": "page_view"}


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        ({"type": "location", "comparison": "within", "latitude": 48, "longitude": 11, "radius_km": 50}, 1),
        ({"type": "location", "level": "city", "comparison": "is", "values": ["Munich"]}, 1),
        ({"type": "device", "part": "os", "comparison": "is", "values": ["ios"]}, 1),
        ({"type": "season", "start": "01-01", "end": "12-31"}, 2),
    ],
)
def test_where_with_what_and_when_narrow_an_event_down(condition: dict[str, Any], count: int) -> None:
    """S-052: place, device and season, from what events say of the customer."""
    make_trigger(type="contextual", conditions=[VIEW, condition])
    send(seen("a", location={"latitude": 52.5, "longitude": 13.4, "city": "Berlin"}, device={"os": "macOS"}))
    send(seen("b", location={"latitude": 48.1, "longitude": 11.5, "city": "munich"}, device={"os": "iOS"}))
    decide_all()
    assert len(outcomes()) == count


def test_a_score_that_nobody_has_is_not_met() -> None:
    """Engagement is there from the first event on; what is predicted is not, and that breaks nothing."""
    score = {"type": "score", "comparison": "at_least", "value": 0.1}
    known = make_trigger(type="predictive", conditions=[VIEW, {**score, "score": "engagement"}])
    unknown = make_trigger(type="predictive", conditions=[VIEW, {**score, "score": "churn_risk"}])
    send(seen("a"))
    decide_all()
    assert outcomes(known) == [("pending", "")]
    assert outcomes(unknown) == []
