"""Joining events by a property (*the same product*), with the equality of the operator laws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from automation.engine.paths import getter, parse
from automation.engine.types import Event, Facts
from automation.engine.values import Key, actual_keys, expected_keys

KeyReader = Callable[[Event, Facts], frozenset[Key]]


def _reader(path: str, keys: Callable[[Any], tuple[Key, ...]]) -> KeyReader:
    parsed = parse(path)
    read = getter(parsed)
    if not parsed.is_array:
        return lambda event, facts: frozenset(keys(read(event, facts)))

    def gather(event: Event, facts: Facts) -> frozenset[Key]:
        values = read(event, facts)
        return frozenset(key for value in values or () for key in keys(value))

    return gather


def wanted_keys(path: str) -> KeyReader:
    """What the other events must have in common with this one; empty when this one lacks the property."""
    return _reader(path, expected_keys)


def offered_keys(path: str) -> KeyReader:
    """What an event has to offer; a list (`items[].product_id`) offers each of its items."""
    return _reader(path, actual_keys)
