"""From a rendered e-mail to its MIME form; refuses what could smuggle in a header or a second recipient."""

from __future__ import annotations

from email.utils import formataddr, parseaddr

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMultiAlternatives
from django.core.validators import validate_email

from automation.channels.base import DeliveryError, Email
from automation.engine.types import Reason

_HEADERS = {  # Header -> key of the metadata it carries.
    "X-Beckon-Delivery": "delivery_id",
    "X-Beckon-Event": "event_id",
    "X-Beckon-Trigger": "trigger_id",
}


def message_id(email: Email) -> str:
    """The same on every attempt, so that a receiver can drop repeats (R-027)."""
    return f"<{email.delivery_id}@{settings.MESSAGE_ID_DOMAIN}>"


def build(email: Email) -> EmailMultiAlternatives:
    """The message with all its headers; a permanent DeliveryError for an unsafe header or address."""
    _check_address(email.to)
    headers = {"Message-ID": message_id(email), "X-Entity-Ref": str(email.delivery_id)}
    headers |= {name: email.metadata[key] for name, key in _HEADERS.items() if key in email.metadata}
    if email.unsubscribe_url:
        headers["List-Unsubscribe"] = f"<{email.unsubscribe_url}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    sender = settings.DEFAULT_FROM_EMAIL
    for name, value in (("Subject", email.subject), ("From", email.from_name), *headers.items()):
        _check_header(name, value)
    if email.from_name:
        sender = formataddr((email.from_name, parseaddr(sender)[1]))
    message = EmailMultiAlternatives(email.subject, email.text, sender, [email.to], headers=headers)
    if email.html:
        message.attach_alternative(email.html, "text/html")
    message.metadata = dict(email.metadata)  # type: ignore[attr-defined]  # django-anymail hands it to the provider.
    return message


def _check_header(name: str, value: str) -> None:
    if any(character in value for character in "\r\n\0"):
        raise DeliveryError(
            f"{name} would contain a line break.",
            permanent=True,
            kind="header_injection",
            reason=Reason.TEMPLATE_ERROR,
        )


def _check_address(address: str) -> None:
    try:
        validate_email(address)
    except ValidationError:
        raise DeliveryError("The address is not valid.", permanent=True, kind="invalid_address") from None
