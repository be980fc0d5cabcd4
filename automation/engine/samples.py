"""Facts for examples and fixtures: a customer at noon on Monday the 2nd of June 2025, UTC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from automation.engine.types import Event, Facts, Sent

NOON = datetime(2025, 6, 2, 12, tzinfo=UTC)

Past = tuple[float, str] | tuple[float, str, Mapping[str, Any]]


def event(name: str, at: datetime = NOON, data: Mapping[str, Any] | None = None, **fields: Any) -> Event:
    """An event of customer 1; its message id makes the order of equal times that of the minutes."""
    message_id = fields.pop("message_id", f"{name}@{at.isoformat()}")
    return Event(
        id=fields.pop("id", 1),
        message_id=message_id,
        name=name,
        profile_id=1,
        occurred_at=at,
        received_at=at,
        data=data or {},
        **fields,
    )


def facts(
    name: str = "page_view",
    data: Mapping[str, Any] | None = None,
    *,
    profile: Mapping[str, Any] | None = None,
    before: Mapping[str, Any] | None = None,
    past: Sequence[Past] = (),
    later: Sequence[Past] = (),
    segments: Mapping[str, datetime] | None = None,
    sends: Sequence[Sent] = (),
    zone: tzinfo = UTC,
    at: datetime = NOON,
    now: datetime | None = None,
    context: Mapping[str, Any] | None = None,
    session_id: str = "",
) -> Facts:
    """Facts around one event; `past` and `later` are (hours before or after it, name, data)."""
    return Facts(
        event=event(name, at, data, context=context or {}, session_id=session_id),
        profile={} if profile is None else profile,
        before=before or {},
        now=now or at,
        zone=zone,
        history=_events(at, past, -1),
        later=_events(at, later, 1),
        segments=segments or {},
        sends=sends,
        is_recheck=now is not None,
    )


def _events(at: datetime, rows: Sequence[Past], sign: int) -> tuple[Event, ...]:
    events = []
    for row in rows:
        data = dict(row[2]) if len(row) == 3 else {}
        session = str(data.pop("session_id", ""))
        events.append(event(row[1], at + sign * timedelta(hours=row[0]), data, session_id=session))
    return tuple(sorted(events, key=lambda one: one.order))
