"""What conditions and templates see of a profile: a flat, read-only mapping, computed when asked.

Attributes win over traits of the same name; all traits are also under `traits`. What is unknown is
None or absent, never a made-up number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from profiles.behavior.engagement import engagement_score
from profiles.behavior.segments import segment_of
from profiles.behavior.sessions import session_count
from profiles.behavior.tally import OTHER
from profiles.behavior.vocabulary import PURCHASES

_State = Mapping[str, Any]
_Attribute = Callable[[_State, datetime], Any]
_DAY: Final = 86400.0


def _column(name: str) -> _Attribute:
    return lambda state, at: state[name]


def _pattern(name: str, default: Any = None) -> _Attribute:
    return lambda state, at: state["patterns"].get(name, default)


def _place(key: str, field: str) -> _Attribute:
    def read(state: _State, at: datetime) -> Any:
        stamp = state["patterns"].get(key)
        return stamp[2].get(field) if stamp else None

    return read


def _favourite(key: str) -> _Attribute:
    def read(state: _State, at: datetime) -> Any:
        named = [(-n, name) for name, n in state["patterns"].get(key, {}).items() if name != OTHER]
        return min(named)[1] if named else None

    return read


def _days_since(moment: datetime | None, at: datetime) -> float | None:
    return None if moment is None else max(0.0, (at - moment).total_seconds() / _DAY)


def _last_purchase_at(state: _State, at: datetime) -> datetime | None:
    stamp = state["patterns"].get("purchase")
    return datetime.fromisoformat(stamp[0]) if stamp else None


def _last_order_value(state: _State, at: datetime) -> float | None:
    stamp = state["patterns"].get("purchase")
    return float(stamp[2]) if stamp else None


def _average_order_value(state: _State, at: datetime) -> float | None:
    orders = state["orders_count"]
    return float(state["lifetime_value"]) / orders if orders else None


def _days_between_orders(state: _State, at: datetime) -> float | None:
    spans = [span for name, span in state["patterns"].get("events", {}).items() if name in PURCHASES]
    orders: int = sum(span[0] for span in spans)
    if orders < 2:
        return None
    first = datetime.fromisoformat(min(span[1] for span in spans))
    last = datetime.fromisoformat(max(span[2] for span in spans))
    return (last - first).total_seconds() / _DAY / (orders - 1)


def _event_counts(state: _State, at: datetime) -> dict[str, int]:
    return {name: span[0] for name, span in state["patterns"].get("events", {}).items()}


ATTRIBUTES: Final[Mapping[str, _Attribute]] = {
    **{
        name: _column(name)
        for name in (
            "email",
            "phone",
            "first_name",
            "last_name",
            "locale",
            "time_zone",
            "time_zone_source",
            "first_seen",
            "last_activity",
            "orders_count",
            "preferences",
            "traits",
        )
    },
    "behavior_segment": segment_of,
    "engagement_score": engagement_score,
    "lifetime_value": lambda state, at: float(state["lifetime_value"]),
    "average_order_value": _average_order_value,
    "last_order_value": _last_order_value,
    "last_purchase_at": _last_purchase_at,
    "days_since_first_seen": lambda state, at: _days_since(state["first_seen"], at),
    "days_since_last_activity": lambda state, at: _days_since(state["last_activity"], at),
    "days_since_last_purchase": lambda state, at: _days_since(_last_purchase_at(state, at), at),
    "days_between_orders": _days_between_orders,
    "messages_received": _pattern("messages_received", 0),
    "sessions_count": lambda state, at: session_count(state["patterns"].get("sessions", ())),
    "event_counts": _event_counts,
    "favorite_category": _favourite("categories"),
    "favorite_device": _favourite("devices"),
    "country": _place("location", "country"),
    "region": _place("location", "region"),
    "city": _place("location", "city"),
    "device_type": _place("device", "type"),
    "device_os": _place("device", "os"),
    "behavioral_patterns": _column("patterns"),
}


class ProfileView(Mapping[str, Any]):
    """A state seen at a moment. Building it costs nothing; each attribute is computed when read."""

    __slots__ = ("_at", "_state")

    def __init__(self, state: _State, at: datetime) -> None:
        self._state = state
        self._at = at

    def __getitem__(self, key: str) -> Any:
        attribute = ATTRIBUTES.get(key)
        if attribute is not None:
            return attribute(self._state, self._at)
        return self._state["traits"][key]

    def __contains__(self, key: object) -> bool:
        return key in ATTRIBUTES or key in self._state["traits"]

    def __iter__(self) -> Iterator[str]:
        yield from ATTRIBUTES
        yield from (key for key in self._state["traits"] if key not in ATTRIBUTES)

    def __len__(self) -> int:
        return len(self._state["traits"].keys() | ATTRIBUTES.keys())


def view(state: _State, at: datetime) -> ProfileView:
    """The attributes of a profile as of a moment; `dict(view(…))` computes them all."""
    return ProfileView(state, at)
