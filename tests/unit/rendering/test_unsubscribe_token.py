"""The token of an unsubscribe link."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from django.core.signing import Signer

from automation.rendering.unsubscribe import Subscription, link, read, token

SUBSCRIPTION = Subscription(42, "news", "email")


def test_a_token_gives_back_what_it_was_made_of() -> None:
    """R-047."""
    assert read(token(SUBSCRIPTION)) == SUBSCRIPTION


def test_a_token_is_the_same_tomorrow() -> None:
    """R-047: it names no time, so it never expires."""
    assert token(SUBSCRIPTION) == token(SUBSCRIPTION)


def test_a_token_holds_no_address() -> None:
    """R-047: an opaque number, the topic and the channel."""
    body = token(SUBSCRIPTION).split(".")[0]
    assert base64.urlsafe_b64decode(body + "==") == b'[42,"news","email"]'


def test_a_token_may_name_its_message_and_those_of_before_do_not() -> None:
    """R-026, R-047: its use settles whether the message arrived; links in old mail work for ever."""
    named = SUBSCRIPTION._replace(delivery="0190163d-8694-739b-aea5-966c26f8ad91")
    assert read(token(named)) == named
    old = Signer(salt="beckon.unsubscribe", sep=".").sign_object([42, "news", "email"])
    assert read(old) == SUBSCRIPTION


BAD = [
    ["42", "news", "email"],
    [42],
    {"a": 1},
    42,
    None,
    [42, 1, "email"],
    [42, "a", "b", 7],
    [42, "a", "b", "c", "d"],
]


@pytest.mark.parametrize("value", BAD)
def test_something_else_that_we_signed_is_no_subscription(value: Any) -> None:
    """R-047: one salt per purpose, and the shape is checked."""
    assert read(Signer(salt="beckon.unsubscribe", sep=".").sign_object(value)) is None
    assert read(Signer(salt="beckon.click", sep=".").sign_object([42, "news", "email"])) is None


def test_the_link_stands_on_the_public_address(settings: Any) -> None:
    """R-047: absolute, without a query."""
    settings.PUBLIC_URL = "https://mail.shop.test"
    assert link(SUBSCRIPTION) == f"https://mail.shop.test/unsubscribe/{token(SUBSCRIPTION)}/"
