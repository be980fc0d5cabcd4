"""One SMTP conversation: how long it may take, and what its failures mean (R-028, R-031).

Django's backend knows TLS, log-in and settings; it does not say whether the message had been handed over
completely when the connection broke, which decides between "try again" and "may have gone out".
"""

from __future__ import annotations

import contextlib
import io
import re
import smtplib
import time
from typing import Any

from django.core.mail.backends.smtp import EmailBackend

from automation.channels.base import DeliveryError

CONNECT_SECONDS = 3.0
READ_SECONDS = 10.0
TOTAL_SECONDS = 15.0

_NO_SUCH_MAILBOX = re.compile(r"^5\.1\.(?!7\b|8\b)\d{1,3}\b")  # 5.1.7 and 5.1.8 speak of the sender.


class _Conversation:
    """Mixed into smtplib's classes: a deadline for every wait, and whether the body was handed over."""

    deadline = 0.0
    is_body_sent = False
    sock: Any
    file: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.deadline = time.monotonic() + TOTAL_SECONDS
        super().__init__(*args, **kwargs)

    def begin(self) -> None:
        """A new message starts: its time runs, and nothing of it has been handed over."""
        self.deadline = time.monotonic() + TOTAL_SECONDS
        self.is_body_sent = False

    def left(self) -> float:
        """Seconds that the next wait may take; never 0, which would mean not to wait at all."""
        return max(min(READ_SECONDS, self.deadline - time.monotonic()), 0.001)

    def send(self, s: Any) -> None:
        if self.sock:
            self.sock.settimeout(self.left())
        super().send(s)  # type: ignore[misc]
        # smtplib sends commands as text and only the body, with its closing dot, as bytes.
        self.is_body_sent = self.is_body_sent or isinstance(s, bytes)

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = io.BufferedReader(_TimedReader(self))
        return super().getreply()  # type: ignore[misc, no-any-return]


class _TimedReader(io.RawIOBase):
    """Reads the conversation's socket; a server that drips bytes does not get more time by it."""

    def __init__(self, conversation: _Conversation) -> None:
        self._conversation = conversation
        self._sock = conversation.sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._conversation.left())
        return self._sock.recv_into(buffer)  # type: ignore[no-any-return]


class Conversation(_Conversation, smtplib.SMTP):
    """Plain, or encrypted after STARTTLS."""


class SecureConversation(_Conversation, smtplib.SMTP_SSL):
    """Encrypted from the first byte."""


class _Backend(EmailBackend):
    """Django's SMTP settings with our conversation."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.timeout = CONNECT_SECONDS  # Later waits have their own limits.

    @property
    def connection_class(self) -> Any:
        return SecureConversation if self.use_ssl else Conversation


class Session:
    """A connection that serves message after message and is opened again when the server drops it."""

    def __init__(self) -> None:
        self._backend = _Backend()

    def deliver(self, sender: str, to: str, raw: bytes) -> None:
        """Return once the server has accepted the message; raises DeliveryError."""
        is_fresh = self._backend.connection is None
        try:
            self._backend.open()
            self._connection.begin()
            self._connection.sendmail(sender, [to], raw)
        except (smtplib.SMTPException, OSError) as error:
            is_body_sent = bool(self._connection and self._connection.is_body_sent)
            is_refused = isinstance(error, smtplib.SMTPRecipientsRefused | smtplib.SMTPSenderRefused)
            if not (is_refused and self._connection.sock):
                self._drop()
            is_stale = isinstance(error, smtplib.SMTPServerDisconnected) and not (is_fresh or is_body_sent)
            if not is_stale:
                raise failure(error, is_body_sent=is_body_sent) from error
        else:
            return
        # The server closed a connection that had served before (idle, or enough messages), and it has nothing
        # of this message: to open a fresh one is no second attempt.
        self.deliver(sender, to, raw)

    def close(self) -> None:
        """Say goodbye; a server that does not listen any more is no error."""
        with contextlib.suppress(smtplib.SMTPException, OSError):
            self._backend.close()
        self._drop()

    @property
    def _connection(self) -> Any:
        return self._backend.connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._backend.connection = None


def failure(error: Exception, *, is_body_sent: bool) -> DeliveryError:
    """What an SMTP error means: try again, never, or may have gone out."""
    if isinstance(error, smtplib.SMTPAuthenticationError | smtplib.SMTPConnectError | smtplib.SMTPHeloError):
        # The server refuses us, not this message: a matter of settings or of the moment.
        said = _said(error.smtp_code, error.smtp_error)
        return DeliveryError(said, permanent=False, outage=True, kind=f"smtp_{error.smtp_code}")
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, text = next(iter(error.recipients.values()))
        return answered(code, text, is_recipient=True)
    if isinstance(error, smtplib.SMTPSenderRefused):
        return answered(error.smtp_code, error.smtp_error, is_recipient=False)
    if isinstance(error, smtplib.SMTPResponseException):
        return answered(error.smtp_code, error.smtp_error, is_recipient=True)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return DeliveryError(str(error)[:300], permanent=True, kind="smtp_not_supported")
    if is_body_sent:
        return DeliveryError(
            "The server did not answer after it had the whole message.",
            permanent=False,
            maybe_sent=True,
            outage=True,
            unanswered=True,
            kind="smtp_no_answer",
        )
    return DeliveryError(
        f"The server could not be reached or hung up ({type(error).__name__}).",
        permanent=False,
        outage=True,
        unanswered=True,
        kind="smtp_connection",
    )


def answered(code: int, text: bytes | str, *, is_recipient: bool) -> DeliveryError:
    """The meaning of a reply code: 5xx is final, everything else worth another try."""
    said = _text(text)
    is_final = 500 <= code < 600
    return DeliveryError(
        _said(code, text),
        permanent=is_final,
        suppress_address=is_final and is_recipient and bool(_NO_SUCH_MAILBOX.match(said)),
        outage=code == 421,
        kind=f"smtp_{code}",
    )


def _said(code: int, text: bytes | str) -> str:
    return f"The server answered {code} {_text(text)}"[:400]


def _text(text: bytes | str) -> str:
    return (text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)).strip()
