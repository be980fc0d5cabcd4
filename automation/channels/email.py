"""E-mail by Django's backends; SMTP is told apart finely, because its failures decide about repeats."""

from __future__ import annotations

from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection

from automation.channels import console, mime, smtp
from automation.channels.base import Channel, DeliveryError, Email, Receipt, channel

SMTP_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
CONSOLE_BACKEND = "django.core.mail.backends.console.EmailBackend"


@channel
class EmailChannel(Channel):
    """EMAIL_URL chooses the way: SMTP, the console, or any other backend of Django."""

    name = "email"
    label = "E-mail"
    address = "email"

    def __init__(self) -> None:
        self._session: smtp.Session | None = None

    def send(self, message: Email) -> Receipt:
        """The Message-ID, once the server has accepted the message."""
        built = mime.build(message)
        if settings.EMAIL_BACKEND == SMTP_BACKEND:
            self._session = self._session or smtp.Session()
            sender = parseaddr(built.from_email)[1]
            self._session.deliver(sender, message.to, _wire(built, message))
        elif settings.EMAIL_BACKEND == CONSOLE_BACKEND:
            console.show(message)
        else:
            _by_backend(built)
        return Receipt(mime.message_id(message))

    @classmethod
    def host_of(cls, of: object) -> str:
        """The SMTP server, which all messages share."""
        return str(settings.EMAIL_HOST)

    def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            self._session.close()
            self._session = None


def _by_backend(message: EmailMultiAlternatives) -> None:
    """Hand the message to another backend of Django, for example a provider's HTTP API by django-anymail."""
    try:
        get_connection().send_messages([message])
    except Exception as error:  # Each backend has its own; none may be taken for "not sent".
        status = getattr(error, "status_code", None)  # django-anymail's errors carry the HTTP answer.
        if not isinstance(status, int):
            text = f"The backend failed ({type(error).__name__})."
            raise DeliveryError(
                text, permanent=False, maybe_sent=True, outage=True, kind="backend"
            ) from error
        is_final = 400 <= status < 500 and status not in (408, 425, 429)
        raise DeliveryError(
            f"The provider answered {status}.",
            permanent=is_final,
            outage=status >= 500,
            kind=f"http_{status}",
        ) from error


def _wire(message: EmailMultiAlternatives, email: Email) -> bytes:
    built: Any = message.message()  # Django's subclass takes the line ending; the stubs say otherwise.
    if built.is_multipart():
        # Else one is drawn and sought in the body by a fresh regular expression: a quarter of all the work.
        built.set_boundary(f"=_{email.delivery_id.hex}")
    raw: bytes = built.as_bytes(linesep="\r\n")
    return raw
