"""E-mail shown on the console, for a look at what would be sent (EMAIL_URL=consolemail://)."""

from __future__ import annotations

import sys

from automation.channels import mime
from automation.channels.base import Email

_LINE = "-" * 72


def show(email: Email) -> None:
    """Write one message to standard output."""
    lines = [
        _LINE,
        f"Message-ID: {mime.message_id(email)}",
        f"To: {email.to}",
        f"Subject: {email.subject}",
        "",
    ]
    sys.stdout.write("\n".join([*lines, email.text, _LINE, ""]))
    sys.stdout.flush()
