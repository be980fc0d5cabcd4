"""An attribute read from the events it follows from is the one read from all events."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from automation.engine.types import Event
from profiles.behavior import ATTRIBUTES, apply, empty, view
from profiles.behavior.sources import SOURCES, sources_of
from profiles.behavior.vocabulary import CORE

START = datetime(2026, 3, 1, tzinfo=UTC)


def events(seed: int) -> list[Event]:
    """Random events of all names that reducers know, and of one they do not."""
    chance = random.Random(seed)
    names = [*sorted(CORE), "refund_issued", "customer_updated", "something_else"]
    found = []
    for number in range(120):
        at = START + timedelta(minutes=chance.randint(0, 50_000))
        traits = {"email": f"{number}@example.com", "plan": chance.choice("abc"), "first_name": "Ada"}
        data = {"traits": traits, "total": chance.randint(1, 90), **traits}
        name = chance.choice(
            names if chance.random() < 0.6 else ["purchase_completed", "identify", "refund_issued"]
        )
        found.append(Event(number, f"m{number}", name, 1, at, at, data, {"timezone": "Asia/Tokyo"}, "s"))
    return found


@pytest.mark.parametrize("seed", range(12))
def test_few_events_say_the_same(seed: int) -> None:
    """So a preview may read a few events instead of all."""
    stream = events(seed)
    for attribute in (*SOURCES, "plan"):
        names = sources_of([attribute])
        assert names is not None
        whole, part = empty(), empty()
        for event in stream:
            whole = apply(whole, event)
            if event.name in names:
                part = apply(part, event)
        at = START + timedelta(days=60)
        assert view(part, at).get(attribute) == view(whole, at).get(attribute), attribute


def test_what_is_not_listed_follows_from_everything() -> None:
    """A new attribute is slow before it is wrong."""
    assert SOURCES.keys() <= ATTRIBUTES.keys()
    assert sources_of(["orders_count", "engagement_score"]) is None
    assert sources_of(["orders_count", "a_trait"]) == SOURCES["orders_count"] | SOURCES["traits"]
