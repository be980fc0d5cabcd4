"""Which events an attribute follows from: who needs a few attributes need not replay everything.

An attribute that is not here follows from all events.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from profiles.behavior.view import ATTRIBUTES
from profiles.behavior.vocabulary import DELIVERED, IDENTIFY, PROFILE_UPDATES, PURCHASES, REFUNDS

_TRAITS: Final = IDENTIFY | PROFILE_UPDATES
_MONEY: Final = PURCHASES | REFUNDS

SOURCES: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(("email", "phone", "first_name", "last_name", "locale", "traits"), _TRAITS),
    **dict.fromkeys(("orders_count", "lifetime_value", "average_order_value"), _MONEY),
    **dict.fromkeys(
        ("last_order_value", "last_purchase_at", "days_since_last_purchase", "days_between_orders"), PURCHASES
    ),
    "messages_received": DELIVERED,
    "preferences": frozenset(),
}


def sources_of(attributes: Iterable[str]) -> frozenset[str] | None:
    """The names of the events that these attributes (or traits) follow from; None: all events."""
    names: frozenset[str] = frozenset()
    for attribute in attributes:
        if attribute in ATTRIBUTES and attribute not in SOURCES:
            return None
        names |= SOURCES.get(attribute, _TRAITS)
    return names
