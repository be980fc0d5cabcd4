"""What an SMTP error means: a table (R-028)."""

from __future__ import annotations

import smtplib

import pytest

from automation.channels.smtp import failure


@pytest.mark.parametrize(
    ("error", "is_body_sent", "permanent", "maybe_sent", "suppress"),
    [
        (ConnectionRefusedError(), False, False, False, False),
        (TimeoutError(), False, False, False, False),
        (smtplib.SMTPServerDisconnected("x"), False, False, False, False),
        (smtplib.SMTPServerDisconnected("x"), True, False, True, False),
        (TimeoutError(), True, False, True, False),
        (smtplib.SMTPConnectError(421, b"busy"), False, False, False, False),
        (smtplib.SMTPConnectError(554, b"no"), False, False, False, False),
        (smtplib.SMTPAuthenticationError(535, b"5.7.8 bad"), False, False, False, False),
        (smtplib.SMTPHeloError(502, b"no"), False, False, False, False),
        (smtplib.SMTPSenderRefused(451, b"later", "a@b.c"), False, False, False, False),
        (smtplib.SMTPSenderRefused(553, b"5.1.8 no", "a@b.c"), False, True, False, False),
        (smtplib.SMTPRecipientsRefused({"a@b.c": (450, b"4.2.1 busy")}), False, False, False, False),
        (smtplib.SMTPRecipientsRefused({"a@b.c": (550, b"5.1.1 gone")}), False, True, False, True),
        (smtplib.SMTPRecipientsRefused({"a@b.c": (550, b"5.1.6 moved")}), False, True, False, True),
        (smtplib.SMTPRecipientsRefused({"a@b.c": (550, b"5.1.7 sender")}), False, True, False, False),
        (smtplib.SMTPRecipientsRefused({"a@b.c": (550, b"5.11.1 other")}), False, True, False, False),
        (smtplib.SMTPRecipientsRefused({"a@b.c": (450, b"5.1.1 odd")}), False, False, False, False),
        (smtplib.SMTPDataError(451, b"greylisted"), True, False, False, False),
        (smtplib.SMTPDataError(554, b"spam"), True, True, False, False),
        (smtplib.SMTPDataError(550, b"5.1.1 gone"), True, True, False, True),
        (smtplib.SMTPNotSupportedError("SMTPUTF8"), False, True, False, False),
    ],
)
def test_each_error_has_one_meaning(
    error: Exception, is_body_sent: bool, permanent: bool, maybe_sent: bool, suppress: bool
) -> None:
    """R-028: an answer counts, whenever it comes; only silence after the whole message is uncertain."""
    meaning = failure(error, is_body_sent=is_body_sent)
    assert (meaning.permanent, meaning.maybe_sent, meaning.suppress_address) == (
        permanent,
        maybe_sent,
        suppress,
    )
