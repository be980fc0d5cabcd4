"""The state of one profile, and what every reducer promises.

A `State` is a plain dict. `COLUMNS` are its keys and the columns of the profile table; everything a
reducer keeps beyond them lies in `patterns`, the `behavioral_patterns` JSON, and is JSON-safe.

The law of all reducers (R-008): any permutation of the same events gives the same final state. So a
reducer may only add (counters, sums), take a maximum or minimum, or let the last write win by the
key (occurred_at, message_id). The same message delivered twice is removed before it gets here, by
the unique (source, message_id) of the event table.

Nothing here changes its input: a reducer copies the containers it writes to, and shares the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, Protocol

State = dict[str, Any]  # Keys are COLUMNS.
Stamp = list[Any]  # [moment as text, message_id, ...]: the key by which the last write wins.


class BehaviorEvent(Protocol):
    """The attributes that reducers read; the engine's Event has them."""

    @property
    def message_id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def occurred_at(self) -> datetime: ...

    @property
    def data(self) -> Mapping[str, Any]: ...

    @property
    def context(self) -> Mapping[str, Any]: ...

    @property
    def session_id(self) -> str: ...


EMPTY: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "email": "",
        "phone": "",
        "first_name": "",
        "last_name": "",
        "locale": "",
        "time_zone": "",  # IANA name, or empty: the default of the installation holds.
        "time_zone_source": "default",  # explicit > event > geo > default.
        "last_activity": None,  # Latest moment the customer did something; empty until they did.
        "first_seen": None,  # Earliest moment of any event.
        "engagement_value": 0.0,  # Raw decayed sum as of `engagement_at`; read it by engagement_score().
        "engagement_at": None,
        "lifetime_value": Decimal("0.00"),
        "orders_count": 0,
        "behavior_segment": "new",  # As of `last_activity`; segment_of() gives it for any moment.
        "traits": MappingProxyType({}),
        "trait_stamps": MappingProxyType({}),  # Trait -> [moment, message_id] of its last write.
        "patterns": MappingProxyType({}),
        "preferences": MappingProxyType({}),  # Written by the preference centre, never by an event.
    }
)
"""A customer of whom nothing is known: segment 'new', value 0, and an engagement that reads 0.5."""

COLUMNS: Final[tuple[str, ...]] = tuple(EMPTY)


def empty() -> State:
    """A fresh, JSON-safe copy of EMPTY (its nested mappings are ordinary dicts)."""
    return {key: dict(value) if isinstance(value, Mapping) else value for key, value in EMPTY.items()}


def moment_text(at: datetime) -> str:
    """UTC with six decimals and '+00:00': such texts sort like the moments they name."""
    if at.tzinfo is not UTC:
        at = at.astimezone(UTC)
    return at.isoformat(timespec="microseconds")
