"""What looks like an address or a telephone number, and what only nearly does."""

from __future__ import annotations

import time
from typing import Any

import pytest

from profiles.masking import hidden, masked, without_personal


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("alice@example.com", "a…@example.com"),
        ("Write to alice.b+tag@mail.example.co.uk.", "Write to a…@mail.example.co.uk."),
        ("https://x.test/?email=alice%40example.com&a=1", "https://x.test/?email=a…@example.com&a=1"),
        ("550 5.1.1 <alice@example.com>: unknown", "550 5.1.1 <a…@example.com>: unknown"),
        ("call +49 170 1234567 now", "call …67 now"),
        ("+4917012345678", "…78"),
        ("0049 30 123456", "…56"),
        ("(030) 123 45 67", "…67"),
        ("0170/1234567", "…67"),
        ("555-123-4567", "…67"),
    ],
)
def test_addresses_and_numbers_are_masked_inside_text(text: str, shown: str) -> None:
    """R-049."""
    assert hidden(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "2026-05-06T07:08:09Z",
        "2026-05-06 12:00:00",
        "73.91",
        "1,234,567",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
        "01970e2c-7b1a-7c3e-9f00-0123456789ab",
        "192.0.2.17",
        "order 20240001234",
        "condition 3 @ 12:00",
        "0.25",
        "a@b",
        "",
    ],
)
def test_what_is_no_address_stays(text: str) -> None:
    """Masking everything would leave nothing to work with."""
    assert hidden(text) == text


def test_json_is_masked_by_value_and_by_key() -> None:
    """R-049: deep, in lists, and where a number stands under the key of one."""
    value: dict[str, Any] = {
        "email": "alice@example.com",
        "phone": 491701234567,
        "first_name": "Alice",
        "billing_address": {"street": "Elm Street 5", "city": "Bonn"},
        "note": ["ask alice@example.com", 5, None, True],
        "total": 73.91,
        "items": [{"name": "Shoe", "contact": {"e-mail": "bob@example.com"}}],
        "alice@example.com": 1,
    }
    assert without_personal(value) == {
        "email": "a…@example.com",
        "phone": "…67",
        "first_name": "…",
        "billing_address": "…",
        "note": ["ask a…@example.com", 5, None, True],
        "total": 73.91,
        "items": [{"name": "Shoe", "contact": {"e-mail": "b…@example.com"}}],
        "a…@example.com": 1,
    }


def test_masking_again_changes_nothing() -> None:
    assert hidden(hidden("alice@example.com")) == "a…@example.com"
    assert masked("") == ""


@pytest.mark.parametrize("text", ["a" * 20_000, "a@" * 10_000, "0 " * 10_000, "(" * 20_000, "+1-" * 8_000])
def test_hostile_text_is_masked_quickly(text: str) -> None:
    """Values come from anybody; 20 kB take less than a second."""
    began = time.perf_counter()
    hidden(text)
    assert time.perf_counter() - began < 1
