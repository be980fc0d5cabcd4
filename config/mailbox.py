"""A local SMTP server that delivers nothing: `python -m config.mailbox --port 1025 --ledger mail.jsonl`.

Used when no EMAIL_URL is set. Each accepted message is appended to the ledger before it is acknowledged, so
the ledger tells what really arrived, also after a crash of either side.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import socket
import sys
from collections import deque
from datetime import UTC, datetime
from email import message_from_bytes, policy
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from config.logging import TextFormatter

HOST = "127.0.0.1"
READY = "mailbox ready"
KEPT_HEADERS = (
    "From",
    "To",
    "Reply-To",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "X-Entity-Ref",
    "Feedback-ID",
    "Precedence",
    "Auto-Submitted",
)


class Mailbox:
    """aiosmtpd's handler: a JSON line per message, and the newest `keep` messages as .eml files beside it."""

    def __init__(self, ledger: Path, keep: int = 0) -> None:
        ledger.parent.mkdir(parents=True, exist_ok=True)
        self.folder = ledger.parent
        self.keep = keep
        self._kept = deque(sorted(self.folder.glob("*.eml")))
        self._ledger = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Write first, then answer; one write per line, so that several mailboxes may share a ledger."""
        content = envelope.original_content or b""
        received_at = datetime.now(UTC)
        line = json.dumps(describe(content, envelope, received_at), ensure_ascii=False)
        os.write(self._ledger, line.encode("utf-8", "replace") + b"\n")
        if self.keep:
            self._keep(content, received_at)
        return "250 2.0.0 Written to the ledger"

    def close(self) -> None:
        """Close the ledger."""
        os.close(self._ledger)

    def _keep(self, content: bytes, received_at: datetime) -> None:
        newest = self.folder / f"{received_at:%Y%m%dT%H%M%S.%fZ}.eml"
        newest.write_bytes(content)
        self._kept.append(newest)
        while len(self._kept) > self.keep:
            self._kept.popleft().unlink(missing_ok=True)


def describe(content: bytes, envelope: Envelope, received_at: datetime) -> dict[str, object]:
    """The ledger's line for one message."""
    message = message_from_bytes(content, policy=policy.default)
    return {
        "received_at": received_at.isoformat(),
        "mail_from": envelope.mail_from,
        "rcpt": list(envelope.rcpt_tos),
        "message_id": str(message.get("Message-ID", "")),
        "subject": str(message.get("Subject", "")),
        "size": len(content),
        "headers": {name: str(message[name]) for name in KEPT_HEADERS if name in message},
    }


async def serve(listener: socket.socket, ledger: Path, keep: int) -> None:
    """Serve on this socket until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    mailbox = Mailbox(ledger, keep)
    server = await loop.create_server(
        lambda: SMTP(mailbox, hostname="localhost", ident="Beckon mailbox", enable_SMTPUTF8=True, loop=loop),
        sock=listener,
    )
    host, port = listener.getsockname()[:2]
    sys.stdout.write(f"{READY} on {host}:{port}, ledger {ledger}\n")
    sys.stdout.flush()
    try:
        await ended.wait()
    finally:
        server.close()
        mailbox.close()


def _log_without_addresses() -> None:
    """aiosmtpd tells of every command below WARNING, and quotes what it was sent in its errors."""
    handler = logging.StreamHandler()
    handler.setFormatter(TextFormatter("%(levelname)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description="A local SMTP server that writes down what it is given.")
    parser.add_argument("--port", type=int, default=1025, help="port to listen on, on 127.0.0.1")
    parser.add_argument("--fd", type=int, help="descriptor of a listening socket, instead of --port")
    parser.add_argument("--ledger", type=Path, required=True, help="file that gets one JSON line per message")
    parser.add_argument("--keep", type=int, default=0, help="newest messages kept whole as .eml beside it")
    options = parser.parse_args()
    _log_without_addresses()
    if options.fd is None:
        listener = socket.create_server((HOST, options.port))
    else:
        listener = socket.socket(fileno=options.fd)
    asyncio.run(serve(listener, options.ledger, options.keep))


if __name__ == "__main__":
    main()
