"""The token of an unsubscribe link."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from typing import Any

import pytest
from django.core import signing
from django.core.signing import BadSignature, Signer, TimestampSigner
from django.utils.crypto import salted_hmac

from automation.rendering.unsubscribe import Subscription, link, read, token
from profiles import tombstones

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


PARTS = [42, "news", "email"]
FOREIGN: dict[str, Callable[[], str]] = {
    "a signature without a purpose": lambda: Signer(sep=".").sign_object(PARTS),
    "a click": lambda: Signer(salt="beckon.click", sep=".").sign_object(PARTS),
    "a session": lambda: Signer(salt="django.contrib.sessions.SessionStore", sep=".").sign_object(PARTS),
    "a message for staff": lambda: Signer(salt="django.contrib.messages", sep=".").sign_object(PARTS),
    "a dated signature": lambda: TimestampSigner(salt="beckon.unsubscribe", sep=".").sign_object(PARTS),
    "signing.dumps": lambda: signing.dumps(PARTS, salt="beckon.unsubscribe"),
    "the hash of a tombstone": lambda: (
        f"{token(SUBSCRIPTION).split('.')[0]}.{tombstones.digest('customer', '42')}"
    ),
}


@pytest.mark.parametrize("purpose", FOREIGN)
def test_what_was_signed_for_another_purpose_is_no_subscription(purpose: str) -> None:
    """R-047: the same values under the same key."""
    assert read(FOREIGN[purpose]()) is None


@pytest.mark.parametrize(
    "open_it",
    [
        lambda text: Signer(sep=".").unsign(text),
        lambda text: Signer(salt="beckon.click", sep=".").unsign(text),
        lambda text: Signer(salt="django.contrib.messages", sep=".").unsign(text),
        lambda text: signing.loads(text.replace(".", ":"), salt="django.contrib.messages"),
    ],
)
def test_a_subscription_opens_nothing_else(open_it: Callable[[str], object]) -> None:
    """R-047: a link that everybody with the mail holds is good for one thing."""
    with pytest.raises(BadSignature):
        open_it(token(SUBSCRIPTION))


def test_a_hash_of_a_tombstone_is_of_its_kind_and_key_alone(settings: Any) -> None:
    """R-047, R-052: a name as a customer id, as an anonymous id and as an address have three hashes, none of
    which is a signature or a plain HMAC under the secret key."""
    kinds = ("customer", "anonymous", tombstones.ADDRESS)
    found = {tombstones.digest(kind, "42") for kind in kinds}
    assert len(found) == 3
    plain = {
        hmac.digest(settings.SECRET_KEY.encode(), f"{kind}\0{42}".encode(), "sha256").hex() for kind in kinds
    }
    salted = {salted_hmac("beckon.unsubscribe", f"{kind}\0{42}").hexdigest() for kind in kinds}
    assert not found & (plain | salted)
