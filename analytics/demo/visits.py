"""One visit of one customer, event by event: look, put into the cart, pay or leave."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from analytics.demo.goods import BOUGHT, LOOKED_AT, PRODUCTS, SHOP_URL, Product
from analytics.demo.people import Customer

ABANDONED_AFTER: Final = timedelta(minutes=30)  # The shop's own rule, as in the source article's example.
_QUERIES: Final = ("espresso", "green tea", "grinder", "gift", "decaf", "kettle", "mug")
_PAGES: Final = ("/", "/coffee", "/tea", "/gear", "/offers", "/journal")


class Happening(NamedTuple):
    """One event of the shop: when it happened, when it reaches us, and the body that is sent."""

    at: datetime
    arrives_at: datetime
    body: dict[str, Any]


def happening(customer_id: str, name: str, at: datetime, data: dict[str, Any], **more: Any) -> Happening:
    """An event in the source article's shape."""
    body = {
        "customer_id": customer_id,
        "event_type": name,
        "event_data": data,
        "timestamp": at.isoformat(timespec="milliseconds"),
        "source": "website",
        **more,
    }
    return Happening(at, at, body)


def visit(rng: random.Random, customer: Customer, number: int, start: datetime) -> Iterator[Happening]:
    """The events of visit `number`; some follow hours or days later (abandonment, refund)."""
    moment, session = start, f"s{number:06d}"

    def event(name: str, data: dict[str, Any], after: float = 0, **more: Any) -> Happening:
        """What happens `after` seconds, with up to half of that on top."""
        nonlocal moment
        moment += timedelta(seconds=after * rng.uniform(1, 1.5))
        return happening(customer.customer_id, name, moment, data, session_id=session, **more)

    place = {"country": customer.country, "city": customer.city}
    page = {"page_url": SHOP_URL + rng.choice(_PAGES)}
    yield event("page_view", page, device_info=customer.device, location_data=place, metadata=page)
    if rng.random() < 0.25:
        yield event("search", {"query": rng.choice(_QUERIES)}, 8)
    for product in rng.choices(PRODUCTS, LOOKED_AT, k=rng.choice((1, 1, 2, 2, 3, 4))):
        yield event("product_view", product.viewed(), 20, metadata={"page_url": product.url})
    if rng.random() < (0.15 if customer.is_asleep else 0.36):
        yield from _cart(rng, customer, number, event)


def _cart(rng: random.Random, customer: Customer, number: int, event: Any) -> Iterator[Happening]:
    lines = []
    for product in _basket(rng):
        lines.append(product.line(rng.choice((1, 1, 1, 2))))
        yield event("add_to_cart", {**lines[-1], "cart_id": f"cart{number:06d}"}, 25)
    total = round(sum(line["price"] * line["quantity"] for line in lines), 2)
    order = {"order_id": f"B{100000 + number}", "total": total, "currency": "EUR", "items": lines}
    if rng.random() < 0.62:
        yield event("checkout_started", {"cart_id": f"cart{number:06d}", "total_value": total}, 40)
        if rng.random() < 0.08:
            reason = rng.choice(("card_declined", "insufficient_funds", "expired_card"))
            failed = {**order, "reason": reason, "retry_url": f"{SHOP_URL}/pay/{order['order_id']}"}
            yield event("payment_failed", failed, 50)
            if rng.random() < 0.4:
                return
        if rng.random() < 0.85:
            yield event("purchase_completed", order, 60)
            if rng.random() < 0.05:
                refund = {"order_id": order["order_id"], "refund_amount": total, "reason": "returned"}
                yield event("refund_issued", refund, rng.uniform(1, 4) * 86_400)
            return
    abandoned = {
        "cart_id": f"cart{number:06d}",
        "items": lines,
        "total_value": total,
        "cart_recovery_url": f"{SHOP_URL}/cart/{number:06d}",
        "abandonment_duration_minutes": ABANDONED_AFTER.total_seconds() / 60,
    }
    yield event("cart_abandonment", abandoned, ABANDONED_AFTER.total_seconds())
    if rng.random() < 0.2:
        yield event("purchase_completed", order, rng.uniform(1, 20) * 3600)


def _basket(rng: random.Random) -> list[Product]:
    wanted = rng.choices(PRODUCTS, BOUGHT, k=rng.choice((1, 1, 2, 2, 3)))
    return list(dict.fromkeys(wanted))
