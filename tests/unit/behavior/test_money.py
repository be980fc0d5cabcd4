"""Orders, refunds and lifetime value."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from profiles.behavior import view
from profiles.behavior.money import amount
from tests.unit.behavior.events import NOON, after, event


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (19.99, "19.99"),
        ("19.99", "19.99"),
        (" 20 ", "20.00"),
        (20, "20.00"),
        (Decimal("7.5"), "7.50"),
        (0.1 + 0.2, "0.30"),
        ("1e2", "100.00"),
        (-4, "-4.00"),
        (0.125, "0.12"),  # Half to even.
        (1_000_000_000, "1000000000.00"),
    ],
)
def test_numbers_and_decimal_texts_are_amounts(value: Any, expected: str) -> None:
    assert str(amount(value)) == expected


@pytest.mark.parametrize(
    "value",
    [None, True, False, "", "abc", "12 EUR", "1_000", float("nan"), float("inf"), "NaN", "sNaN", "-Infinity",
     [], {}, 10**12, 10**400, "9" * 40, "1e400", b"5"],
)  # fmt: skip
def test_everything_else_is_no_amount(value: Any) -> None:
    assert amount(value) is None


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"total": 124.98}, "124.98"),
        ({"total_value": "10.50"}, "10.50"),
        ({"revenue": 7}, "7.00"),
        ({"total": 5, "revenue": 9}, "5.00"),
        ({"total": "much", "revenue": 9}, "9.00"),
        ({"total": -5, "total_value": 6}, "6.00"),
        ({"total": "much"}, "0.00"),
        ({}, "0.00"),
    ],
)
def test_a_purchase_adds_its_value_and_always_counts(data: dict[str, Any], expected: str) -> None:
    """S-103."""
    state = after(event("purchase_completed", data=data))
    assert state["lifetime_value"] == Decimal(expected)
    assert state["orders_count"] == 1
    assert view(state, NOON)["last_order_value"] == float(expected)


@pytest.mark.parametrize("name", ["refund_issued", "order_refunded"])
@pytest.mark.parametrize("refund", [{"amount": 5}, {"total": -5}, {"refund_amount": "5.00", "total": 9}])
def test_a_refund_takes_its_value_back_and_the_order_stays_an_order(
    name: str, refund: dict[str, Any]
) -> None:
    state = after(event(name, data=refund), event("purchase_completed", data={"total": 20}))
    assert state["lifetime_value"] == Decimal("15.00")
    assert state["orders_count"] == 1


def test_sums_are_exact() -> None:
    cents = [event("purchase_completed", minutes=n, data={"total": 0.1}) for n in range(1000)]
    assert after(*cents)["lifetime_value"] == Decimal("100.00")


def test_the_last_purchase_is_the_latest_one_whatever_came_last() -> None:
    late = event("purchase_completed", days=-9, data={"total": 1})
    state = after(event("purchase_completed", data={"total": 50}), late)
    seen = view(state, NOON + timedelta(days=3))
    assert seen["last_purchase_at"] == NOON
    assert seen["last_order_value"] == 50.0
    assert seen["days_since_last_purchase"] == 3.0
    assert seen["average_order_value"] == 25.5
    assert seen["days_between_orders"] == 9.0


def test_without_a_purchase_its_attributes_are_unknown_not_zero() -> None:
    seen = view(after(event("page_view")), NOON)
    for name in ("last_purchase_at", "last_order_value", "days_since_last_purchase", "average_order_value"):
        assert seen[name] is None
    assert seen["days_between_orders"] is None
    assert seen["orders_count"] == 0
