"""The stream of events that everything is measured with: a small shop, the same in every run.

An event's payload is the source article's cart (about 400 bytes) with a few fields more. Events are numbered;
their order of occurrence is their number. A customer's events all go over one connection, so that they arrive
in order and the decisions do not depend on luck.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

CONNECTIONS = 4  # Customer n belongs to connection n % CONNECTIONS.
SECONDS_BACK = 5.0  # The newest event lies so long back: no clock may call it the future.
STEP = timedelta(microseconds=500)  # Between two events.

# Name -> share in percent.
SHOP = {
    "product_view": 20,
    "cart_abandonment": 15,
    "page_view": 14,
    "add_to_cart": 10,
    "checkout_started": 8,
    "purchase_completed": 8,
    "search": 6,
    "login": 6,
    "wishlist_added": 5,
    "review_posted": 4,
    "support_ticket": 4,
}
ONE_NAME = {"product_view": 100}
CATEGORIES = ("audio", "phones", "tablets", "cases")
LEVELS = ("low", "normal", "high", "normal")


class Item(NamedTuple):
    """One event of a stream, before it gets its moment and its message id."""

    number: int
    customer: int
    name: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stream:
    """`count` events of `customers` customers; `products` is how many product ids there are."""

    count: int
    customers: int
    names: tuple[tuple[str, int], ...] = tuple(SHOP.items())
    products: int = 1000
    seed: int = 1

    def items(self) -> list[Item]:
        """The events in order; the same list for the same stream."""
        draw = random.Random(self.seed)
        names = draw.choices([n for n, _ in self.names], [w for _, w in self.names], k=self.count)
        return [
            Item(number, draw.randrange(self.customers), name, _payload(number, draw, self.products))
            for number, name in enumerate(names)
        ]


class Moments(NamedTuple):
    """When the events of one repetition happened, and what their message ids begin with."""

    prefix: str
    first: datetime

    def at(self, number: int) -> datetime:
        return self.first + number * STEP

    def message_id(self, number: int) -> str:
        return f"{self.prefix}-{number:07d}"


def moments(prefix: str, count: int, now: datetime) -> Moments:
    """The moments of a repetition that starts now."""
    return Moments(prefix, now - timedelta(seconds=SECONDS_BACK) - count * STEP)


def customer_id(customer: int) -> str:
    """The id of a customer as the shop sends it."""
    return f"customer_{customer:07d}"


def wire(item: Item, when: Moments) -> dict[str, Any]:
    """An event as the article's API takes it."""
    return {
        "message_id": when.message_id(item.number),
        "customer_id": customer_id(item.customer),
        "event_type": item.name,
        "event_data": item.data,
        "timestamp": when.at(item.number),
        "session_id": f"session_{item.customer % 9973}",
        "source": "website",
        "device_info": {"type": "desktop", "os": "Windows", "browser": "Chrome"},
        "metadata": {"page_url": "https://example.com/checkout"},
    }


def by_connection(items: Sequence[Item], connections: int = CONNECTIONS) -> list[list[Item]]:
    """The events of each connection, in order."""
    return [[item for item in items if item.customer % connections == n] for n in range(connections)]


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Slices of `size`; the last may be shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def body(items: Sequence[Item], when: Moments) -> bytes:
    """A batch as it goes over the wire."""
    return msgspec.json.encode({"events": [wire(item, when) for item in items]})


def _payload(number: int, draw: random.Random, products: int) -> dict[str, Any]:
    total = round(draw.uniform(20, 320), 2)
    return {
        "cart_id": f"cart_{number}",
        "items": [
            {"product_id": f"prod_{draw.randrange(500)}", "name": "Wireless Headphones", "price": 99.99},
            {"product_id": f"prod_{draw.randrange(500)}", "name": "Phone Case", "price": 24.99},
        ],
        "total_value": total,
        "total": total,
        "product_id": f"prod_{draw.randrange(products)}",
        "category": draw.choice(CATEGORIES),
        "level": draw.choice(LEVELS),
        "rating": draw.randint(1, 5),
        "cart_recovery_url": f"https://example.com/cart/recover/{number}",
        "abandonment_duration_minutes": 30,
    }
