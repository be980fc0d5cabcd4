"""Events and states for the tests of the reducers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from automation.engine.types import Event
from profiles.behavior import EMPTY, State, apply, empty

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)  # A Monday.


def event(
    name: str,
    *,
    minutes: float = 0,
    days: float = 0,
    message_id: str | None = None,
    data: Mapping[str, Any] | None = None,
    context: Mapping[str, Any] | None = None,
    session_id: str = "",
) -> Event:
    """An event so long after NOON."""
    at = NOON + timedelta(minutes=minutes, days=days)
    return Event(
        id=1,
        message_id=message_id or f"{name}-{at.isoformat()}",
        name=name,
        profile_id=1,
        occurred_at=at,
        received_at=at,
        data=data or {},
        context=context or {},
        session_id=session_id,
    )


def after(*events: Event, state: Mapping[str, Any] = EMPTY) -> State:
    """The state after these events, in this order."""
    for one in events:
        state = apply(state, one)
    return empty() if state is EMPTY else dict(state)


def fingerprint(state: Mapping[str, Any]) -> str:
    """A text that is equal for equal states; floats are compared to nine decimals."""
    return json.dumps(_plain(state), sort_keys=True)


def replay(events: Iterable[Event]) -> State:
    return after(*events)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, float):
        return round(value, 9) + 0.0
    if isinstance(value, datetime | Decimal):
        return str(value)
    return value
