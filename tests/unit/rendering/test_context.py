"""The variables of a message: the source article's, and nothing that can do harm."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from automation.engine.types import Event
from automation.rendering.context import TriggerFacts, build, safe_url
from profiles.behavior.state import empty

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
TRIGGER = TriggerFacts(7, "cart", "Cart recovery", "behavioral", NOW)
MISSING = object()


def context(name: str = "page_view", data: dict[str, Any] | None = None, **profile: Any) -> dict[str, Any]:
    state = {key: value for key, value in {**empty(), **profile}.items() if value is not MISSING}
    event = Event(41, "m1", name, 9, NOW, NOW, data or {}, {"page": {"url": "https://shop.test/a"}})
    return build(event=event, profile=state, customer_id="c-1", trigger=TRIGGER, now=NOW, unsubscribe_url="U")


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (MISSING, "Valued Customer"),
        (None, "Valued Customer"),
        ("", "Valued Customer"),
        ("   ", "Valued Customer"),
        ("\t\n", "Valued Customer"),
        (17, "Valued Customer"),
        ("Alice", "Alice"),
        (" Alice ", "Alice"),
        ("null", "null"),
    ],
)
def test_nobody_is_greeted_with_a_blank(stored: Any, shown: str) -> None:
    """H-063, S-160: missing, null, empty and blank names."""
    assert context(first_name=stored)["first_name"] == shown


@pytest.mark.parametrize(
    ("stored", "shown"), [(MISSING, ""), (None, ""), ("", ""), ("  ", ""), ("Doe", "Doe")]
)
def test_a_missing_last_name_is_empty(stored: Any, shown: str) -> None:
    """S-160."""
    assert context(last_name=stored)["last_name"] == shown


def test_the_fields_of_the_source_article_are_all_there() -> None:
    """S-154, S-160, S-164."""
    given = context(
        "page_view", email="a@example.com", behavior_segment="loyal", lifetime_value=Decimal("250.00")
    )
    assert given["customer_id"] == "c-1"
    assert given["email"] == "a@example.com"
    assert given["trigger_name"] == "Cart recovery"
    assert given["event_type"] == "page_view"
    assert given["event_timestamp"] == "2025-03-01T12:00:00+00:00"
    assert given["behavior_segment"] == "loyal"
    assert given["engagement_score"] == 0.5
    assert given["lifetime_value"] == 250
    assert given["unsubscribe_url"] == "U"
    assert given["trigger"]["key"] == "cart"
    assert given["customer"]["email"] == "a@example.com"


@pytest.mark.parametrize("stored", [MISSING, None, ""])
def test_what_is_not_known_has_its_default(stored: Any) -> None:
    """S-164: segment 'unknown', value 0."""
    given = context(behavior_segment=stored, lifetime_value=MISSING if stored == "" else stored)
    assert (given["behavior_segment"], given["lifetime_value"]) == ("unknown", 0)


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        (
            "cart_abandonment",
            {"items": [{"sku": "A"}], "total_value": 9.5, "cart_recovery_url": "https://shop.test/c"},
            {"cart_items": [{"sku": "A"}], "cart_value": 9.5, "cart_url": "https://shop.test/c"},
        ),
        ("cart_abandonment", {}, {"cart_items": [], "cart_value": 0, "cart_url": ""}),
        ("cart_abandonment", {"items": None, "total_value": None}, {"cart_items": [], "cart_value": 0}),
        ("cart_abandonment", {"cart_recovery_url": "javascript:alert(1)"}, {"cart_url": ""}),
        (
            "product_view",
            {"product_name": "Shoe", "product_url": "http://shop.test/s", "price": 20},
            {"product_name": "Shoe", "product_url": "http://shop.test/s", "product_price": 20},
        ),
        ("product_view", {}, {"product_name": "", "product_url": "", "product_price": 0}),
        (
            "purchase_completed",
            {"order_id": "o1", "total": 99, "items": [1]},
            {"order_id": "o1", "order_total": 99, "items_purchased": [1]},
        ),
        ("purchase_completed", {}, {"order_id": "", "order_total": 0, "items_purchased": []}),
    ],
)
def test_known_events_add_their_variables(name: str, data: dict[str, Any], expected: dict[str, Any]) -> None:
    """S-161, S-162, S-163, H-064: from one table."""
    given = context(name, data)
    assert {key: given[key] for key in expected} == expected


def test_any_event_is_served_by_its_own_data() -> None:
    """S-163, H-064."""
    given = context("wishlist_shared", {"friends": [{"name": "Bo"}], "deep": {"a": {"b": 1}}})
    assert given["event"]["friends"][0]["name"] == "Bo"
    assert given["event"]["deep"]["a"]["b"] == 1
    assert given["event"]["name"] == "wishlist_shared"
    assert "cart_items" not in given


def test_data_named_like_our_fields_do_not_hide_them() -> None:
    """The whole of the data is under event.data."""
    given = context("page_view", {"name": "x", "occurred_at": "y"})
    assert given["event"]["name"] == "page_view"
    assert given["event"]["data"] == {"name": "x", "occurred_at": "y"}


def test_traits_stand_beside_the_columns_and_do_not_hide_them() -> None:
    """Whoever sends a trait `lifetime_value` does not change ours."""
    given = context(
        traits={"plan": "pro", "lifetime_value": 10**6, "email": "eve@example.com"}, email="a@example.com"
    )
    assert given["customer"]["plan"] == "pro"
    assert given["customer"]["lifetime_value"] == 0
    assert given["customer"]["email"] == "a@example.com"
    assert given["customer"]["traits"]["lifetime_value"] == 10**6


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://shop.test/a?b=1#c", "https://shop.test/a?b=1#c"),
        ("HTTP://shop.test", "HTTP://shop.test"),
        ("  https://shop.test/ ", "https://shop.test/"),
        ("javascript:alert(1)", ""),
        ("JavaScript:alert(1)", ""),
        ("data:text/html,x", ""),
        ("vbscript:x", ""),
        ("ftp://shop.test/", ""),
        ("//shop.test/", ""),
        ("/cart", ""),
        ("shop.test", ""),
        ("https://", ""),
        ("https://user:pass@shop.test/", ""),
        ("https://good.test@evil.test/", ""),
        ("https://shop.test/\r\nX: y", ""),
        ("https://shop.test/ x", ""),
        ('https://shop.test/"><script>', ""),
        ("https://shop.test\\@evil.test", ""),
        ("https://[::1", ""),
        ("", ""),
        (None, ""),
        (5, ""),
        (["https://shop.test"], ""),
    ],
)
def test_only_web_addresses_survive(given: Any, kept: str) -> None:
    """H-062: the URL allow-list."""
    assert safe_url(given) == kept


@pytest.mark.parametrize(
    ("key", "value", "kept"),
    [
        ("url", "javascript:1", ""),
        ("imageUrl", "javascript:1", ""),
        ("image_url", "/relative", ""),
        ("links", ["ftp://x", "https://ok.test/"], ["", "https://ok.test/"]),
        ("note", "java\nscript:alert(1)", ""),
        ("note", " \x01javascript :alert(1)", ""),
        ("note", "data:text/html;base64,xx", ""),
        ("note", "Data: the facts", "Data: the facts"),
        ("title", "JavaScript: The Good Parts", ""),
        ("blink", "182", "182"),
    ],
)
def test_links_anywhere_in_the_data_are_made_harmless(key: str, value: Any, kept: Any) -> None:
    """H-062: by their key, and by what they would run."""
    given = context("page_view", {"items": [{key: value}]})
    assert given["event"]["items"][0][key] == kept
