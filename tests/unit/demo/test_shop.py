"""The made-up shop: the same each time, and with the stories that it promises."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest

from analytics.demo.goods import BOUGHT, LOOKED_AT, PRODUCTS
from analytics.demo.shop import DAYS, Shop, open_shop
from automation.api import article, limits

NOW = datetime(2026, 11, 24, 21, 0, tzinfo=UTC)
SIZES = {"seed": 7, "customers": 400, "events": 6000, "now": NOW}


@pytest.fixture(scope="module")
def shop() -> Shop:
    return open_shop(**SIZES)  # type: ignore[arg-type]


def test_the_same_seed_and_moment_give_the_same_bytes(shop: Shop) -> None:
    again = open_shop(**SIZES)  # type: ignore[arg-type]
    assert msgspec.json.encode(again.events) == msgspec.json.encode(shop.events)
    assert msgspec.json.encode(again.address_book) == msgspec.json.encode(shop.address_book)


@pytest.mark.parametrize("change", [{"seed": 8}, {"now": NOW + timedelta(minutes=1)}])
def test_another_seed_or_moment_never_reuses_a_message_id(shop: Shop, change: dict[str, object]) -> None:
    other = open_shop(**{**SIZES, **change})  # type: ignore[arg-type]
    ids = {body["message_id"] for body in shop.address_book + shop.events}
    assert ids.isdisjoint(body["message_id"] for body in other.address_book + other.events)


def test_the_events_are_as_many_as_asked_for_and_lie_in_the_two_weeks(shop: Shop) -> None:
    assert 6000 <= len(shop.events) - shop.doubles < 6020
    times = [datetime.fromisoformat(body["timestamp"]) for body in shop.events]
    inside = [at for at in times if NOW - timedelta(days=DAYS) <= at <= NOW]
    assert len(times) - len(inside) == sum(at < NOW - timedelta(days=DAYS) for at in times)
    assert 0 < len(times) - len(inside) < 20


def test_events_that_are_sent_twice_are_sent_unchanged(shop: Shop) -> None:
    sent: dict[str, list[bytes]] = {}
    for body in shop.events:
        sent.setdefault(body["message_id"], []).append(msgspec.json.encode(body))
    repeated = [bodies for bodies in sent.values() if len(bodies) > 1]
    assert len(repeated) == shop.doubles > 10
    assert all(len(bodies) == 2 and bodies[0] == bodies[1] for bodies in repeated)


def test_every_body_is_what_the_api_takes(shop: Shop) -> None:
    received_at = NOW + timedelta(seconds=5)
    for body in (*shop.address_book, *shop.events):
        raw = msgspec.json.encode(body)
        item = article.read(raw, received_at)
        assert item.message_id == body["message_id"]
        assert item.name == body["event_type"]
    batch = msgspec.json.encode({"events": shop.events[:400]})
    assert len(batch) < limits.BODY_BYTES


def test_all_the_events_that_recipes_wait_for_occur(shop: Shop) -> None:
    seen = Counter(body["event_type"] for body in shop.events)
    for name in (
        "signup", "product_view", "add_to_cart", "cart_abandonment", "purchase_completed", "payment_failed",
        "refund_issued", "security_alert",
    ):  # fmt: skip
        assert seen[name] > 0, name


def test_customers_without_consent_without_address_asleep_and_with_a_dead_address_exist(shop: Shop) -> None:
    consents = Counter(customer.has_consented for customer in shop.customers)
    assert consents == {True: 368, None: 16, False: 16}
    assert sum(not customer.email for customer in shop.customers) == 9
    assert sum(customer.is_asleep for customer in shop.customers) == 10
    assert len(shop.dead_addresses) == 7
    names = [body["event_type"] for body in shop.address_book]
    assert Counter(names) == {"identify": 400, "consent_changed": 384, "email_delivered": 60}


def test_there_is_an_evening_peak(shop: Shop) -> None:
    hours = Counter(datetime.fromisoformat(body["timestamp"]).hour for body in shop.events)
    evening, night = sum(hours[h] for h in range(18, 22)), sum(hours[h] for h in range(1, 5))
    assert evening > 8 * night


def test_the_last_hour_has_a_wave_of_security_alerts(shop: Shop) -> None:
    alerts = [
        datetime.fromisoformat(body["timestamp"])
        for body in shop.events
        if body["event_type"] == "security_alert"
    ]
    assert sum(NOW - at <= timedelta(hours=1) for at in alerts) >= 4
    assert len(alerts) >= 13 + 4


def test_offline_customers_make_arrival_differ_from_order_of_time(shop: Shop) -> None:
    times = [datetime.fromisoformat(body["timestamp"]) for body in shop.events]
    backwards = sum(later < earlier for earlier, later in pairwise(times))
    assert 0 < backwards < len(times) / 20


def test_an_order_is_worth_what_its_lines_are(shop: Shop) -> None:
    orders = [body["event_data"] for body in shop.events if body["event_type"] == "purchase_completed"]
    assert orders
    for order in orders:
        cents = sum(round(line["price"] * 100) * line["quantity"] for line in order["items"])
        assert round(order["total"] * 100) == cents


def test_prices_print_as_written_and_every_product_has_its_weights() -> None:
    assert all(f"{product.price}" == f"{product.price:.2f}" for product in PRODUCTS)
    assert len(PRODUCTS) == len(LOOKED_AT) == len(BOUGHT) == len({product.id for product in PRODUCTS})


@pytest.mark.parametrize("customers", [1, 5, 60])
def test_a_tiny_shop_opens_too(customers: int) -> None:
    small = open_shop(seed=1, customers=customers, events=120, now=NOW)
    assert len(small.events) >= 120
    assert len({body["customer_id"] for body in small.address_book}) == customers
