"""What has to fire: the same rules in plain Python, one event at a time, without engine, index, batch or SQL.

The bench compares with this what the database says after every timed run. It knows the shapes of shapes.py and
nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from analytics.bench.workload import Item, Moments

Answer = list[tuple[str, bool]]  # For each trigger that matched: its key, and whether it may act.


@dataclass(slots=True)
class Customer:
    """What decides for one customer."""

    is_mailed: bool = False
    has_bought: bool = False
    was_helped: bool = False
    was_marked: bool = False
    has_searched: bool = False
    views: int = 0


@dataclass(slots=True)
class Reference:
    """Follows a database from its first event on; `decide` takes the next events in order."""

    shape: str
    triggers: int
    events: int = 0
    fired: int = 0
    held: Counter[str] = field(default_factory=Counter)  # Trigger key -> how often it was held back so far.
    customers: dict[int, Customer] = field(default_factory=dict)

    def decide(self, items: Iterable[Item], when: Moments) -> set[tuple[str, str]]:
        """What fires for these events: (trigger key, message id)."""
        found: set[tuple[str, str]] = set()
        one = _one_name if self.shape == "one_name" else _spread
        for item in items:
            self.events += 1
            who = self.customers.setdefault(item.customer, Customer())
            for key, may_act in one(item, who, self.triggers):
                if may_act:
                    found.add((key, when.message_id(item.number)))
                else:
                    self.held[key] += 1
        self.fired += len(found)
        return found


def _one_name(item: Item, who: Customer, triggers: int) -> Answer:
    product = int(item.data["product_id"].removeprefix("prod_"))
    is_hit = item.name == "product_view" and product < triggers and item.data["total_value"] > 230
    return [(f"product-{product}", True)] if is_hit else []


def _spread(item: Item, who: Customer, triggers: int) -> Answer:
    rule = _RULES.get(item.name)
    return rule(item.data, who) if rule else []


def _carts(data: dict[str, Any], who: Customer) -> Answer:
    """One marketing e-mail a day; above 250 the rescue goes before the recovery."""
    answer = []
    for key, least in (("cart-rescue", 250), ("cart-recovery", 100)):
        if data["total_value"] > least:
            answer.append((key, not who.is_mailed))
            who.is_mailed = True
    return answer


def _purchase(data: dict[str, Any], who: Customer) -> Answer:
    who.has_bought = True
    return [("receipt", True)]


def _view(data: dict[str, Any], who: Customer) -> Answer:
    who.views += 1
    return _once("third-view", who, "was_marked") if data["category"] == "audio" and who.views >= 3 else []


def _checkout(data: dict[str, Any], who: Customer) -> Answer:
    return _once("checkout-help", who, "was_helped") if who.has_bought else []


def _search(data: dict[str, Any], who: Customer) -> Answer:
    who.has_searched = True
    return []


def _login(data: dict[str, Any], who: Customer) -> Answer:
    return [("back-to-find", True)] if who.has_searched else []


def _once(key: str, who: Customer, flag: str) -> Answer:
    is_first = not getattr(who, flag)
    setattr(who, flag, True)
    return [(key, is_first)]


_RULES = {
    "cart_abandonment": _carts,
    "purchase_completed": _purchase,
    "product_view": _view,
    "checkout_started": _checkout,
    "search": _search,
    "login": _login,
    "add_to_cart": lambda data, who: [("big-item", True)] if data["total_value"] > 150 else [],
    "review_posted": lambda data, who: [("happy-review", True)] if data["rating"] >= 4 else [],
    "payment_failed": lambda data, who: [("probe-critical", True)],
    "card_expiring": lambda data, who: [("probe-high", True)],
    "support_ticket": lambda data, who: [("urgent-ticket", True)] if data["level"] == "high" else [],
    "wishlist_added": lambda data, who: (
        [("dear-wish", True)] if data["total_value"] > 150 and data["rating"] == 5 else []
    ),
}
