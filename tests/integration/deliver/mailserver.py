"""A real SMTP server on a free port, and one that answers by script."""

from __future__ import annotations

import contextlib
import email
import logging
import socket
import threading
from collections.abc import Iterator
from email.message import Message
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller


class Ledger:
    """Keeps what the server accepted."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.recipients: list[list[str]] = []
        self.peers: set[Any] = set()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.messages.append(email.message_from_bytes(envelope.content, policy=default))
        self.recipients.append(list(envelope.rcpt_tos))
        self.peers.add(session.peer)
        return "250 Ok"


@contextlib.contextmanager
def mail_server() -> Iterator[tuple[Ledger, int]]:
    """aiosmtpd; gives the ledger and the port."""
    ledger = Ledger()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    logging.getLogger("mail.log").setLevel(logging.WARNING)  # It logs every command, addresses too.
    controller = Controller(ledger, hostname="127.0.0.1", port=port, ready_timeout=20)
    controller.start()
    try:
        yield ledger, port
    finally:
        controller.stop()


class Scripted:
    """Answers each SMTP command by its script: verb -> reply, or `drop` to hang up, or `hang`.

    `body` is the answer to the whole message.
    """

    def __init__(self, **script: str) -> None:
        self.script = script
        self.commands: list[str] = []
        self.bodies = 0
        self.drop_after = 0  # Hang up after so many messages of a connection; 0: never.
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        taken = 0
        if not self._answer(connection, "connect", "220 ready"):
            return
        for line in stream:
            verb = line.strip().split(b" ")[0].decode().lower().split(":")[0]
            self.commands.append(verb)
            usual = {"data": "354 go on", "ehlo": "250 hello", "quit": "221 bye"}.get(verb, "250 ok")
            if not self._answer(connection, verb, usual):
                return
            if verb == "data" and self.script.get("data", usual).startswith("354"):
                for part in stream:
                    if part == b".\r\n":
                        break
                self.bodies += 1
                taken += 1
                if not self._answer(connection, "body", "250 kept") or taken == self.drop_after:
                    return

    def _answer(self, connection: socket.socket, step: str, usual: str) -> bool:
        answer = self.script.get(step, usual)
        if answer == "hang":
            self._stop.wait(30)
            return False
        if answer == "drop":
            return False
        if answer.startswith("drip"):
            while not self._stop.wait(0.2):
                connection.sendall(b"2")
            return False
        connection.sendall(answer.encode() + b"\r\n")
        return not answer.startswith("421")
