"""The events of one customer in a stretch of time, from frozen facts. Everything here is bounded."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from automation.engine.types import Event, Facts

MAX_EVENTS = 1000  # Read per evaluation.


def hours(value: float) -> timedelta:
    """A duration in hours; fields bound it, so that it never overflows."""
    return timedelta(hours=value)


def earlier(facts: Facts, names: Collection[str] | None, start: datetime) -> list[Event]:
    """The newest events of these names before the current one, not before `start`, ascending."""
    found: list[Event] = []
    for event in reversed(facts.history):
        if event.occurred_at < start or len(found) == MAX_EVENTS:
            break
        if names is None or event.name in names:
            found.append(event)
    found.reverse()
    return found


def later(facts: Facts, names: Collection[str] | None, end: datetime) -> list[Event]:
    """The events of these names after the current one, up to `end`, ascending; empty on arrival."""
    found: list[Event] = []
    for event in facts.later:
        if event.occurred_at > end or len(found) == MAX_EVENTS:
            break
        if names is None or event.name in names:
            found.append(event)
    return found


def up_to_now(facts: Facts, names: Collection[str] | None, window: timedelta) -> list[Event]:
    """The events of these names in the window that ends now, the current one included, ascending."""
    start = facts.now - window
    found = earlier(facts, names, start)
    current = facts.event
    if (names is None or current.name in names) and start <= current.occurred_at <= facts.now:
        found.append(current)
    return found + later(facts, names, facts.now)
