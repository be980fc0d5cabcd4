"""Links by which a customer ends a topic on a channel: signed, without an address, valid for ever (R-047)."""

from __future__ import annotations

from typing import NamedTuple

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.urls import reverse

_SALT = "beckon.unsubscribe"  # Of this purpose alone.


class Subscription(NamedTuple):
    """What a link is about."""

    profile_id: int
    topic: str
    channel: str
    delivery: str = (
        ""  # Id of the message that carries the link, whose arrival its use proves; older links: none.
    )


def token(subscription: Subscription) -> str:
    """The part of the link that names the subscription and cannot be forged."""
    parts = list(subscription) if subscription.delivery else list(subscription[:3])
    return _signer().sign_object(parts, compress=False)


def read(text: str) -> Subscription | None:
    """The subscription of a token; None for anything we did not sign."""
    try:
        profile_id, topic, channel, *rest = _signer().unsign_object(text)
    except (BadSignature, ValueError, TypeError):
        return None
    is_whole = isinstance(profile_id, int) and all(isinstance(part, str) for part in (topic, channel, *rest))
    return Subscription(profile_id, topic, channel, *rest) if is_whole and len(rest) <= 1 else None


def link(subscription: Subscription) -> str:
    """The address customers and their mail programs call."""
    return settings.PUBLIC_URL + reverse("unsubscribe", args=[token(subscription)])


def _signer() -> Signer:
    """By the keys of now; SECRET_KEY_FALLBACKS keep the links of former keys alive."""
    return Signer(salt=_SALT, sep=".")
