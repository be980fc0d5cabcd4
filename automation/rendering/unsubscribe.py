"""Links by which a customer ends a topic on a channel: signed, without an address, valid for ever (R-047)."""

from __future__ import annotations

from typing import NamedTuple

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.urls import reverse

_SIGNER = Signer(
    salt="beckon.unsubscribe", sep="."
)  # SECRET_KEY_FALLBACKS keep the links of former keys alive.


class Subscription(NamedTuple):
    """What a link is about."""

    profile_id: int
    topic: str
    channel: str


def token(subscription: Subscription) -> str:
    """The part of the link that names the subscription and cannot be forged."""
    return _SIGNER.sign_object(list(subscription), compress=False)


def read(text: str) -> Subscription | None:
    """The subscription of a token; None for anything we did not sign."""
    try:
        profile_id, topic, channel = _SIGNER.unsign_object(text)
    except (BadSignature, ValueError, TypeError):
        return None
    is_whole = isinstance(profile_id, int) and isinstance(topic, str) and isinstance(channel, str)
    return Subscription(profile_id, topic, channel) if is_whole else None


def link(subscription: Subscription) -> str:
    """The address customers and their mail programs call."""
    return settings.PUBLIC_URL + reverse("unsubscribe", args=[token(subscription)])
