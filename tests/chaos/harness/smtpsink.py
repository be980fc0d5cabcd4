"""A mail server that takes messages into a ledger, and misbehaves by script."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator

_RCPT = re.compile(rb"rcpt to:\s*<([^>]*)>", re.IGNORECASE)
_ID = re.compile(rb"^message-id:\s*(\S+)", re.IGNORECASE | re.MULTILINE)


class SmtpSink:
    """Speaks SMTP with many at once. The address says what happens: `drop-after.17@…` is hung up upon after the
    whole message, at the first attempt; `later` addresses are served normally. With `spell` every message of a
    kind is met so, as long as it is set.

    Kinds: 421, 450, 550, 554 (answers to RCPT), drop-before, drop-after, hang, drip, ok.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        self.url = f"smtp://127.0.0.1:{self.port}"
        self.ledger: list[tuple[str, str]] = []  # Address and Message-ID of each whole message.
        self.attempts: Counter[str] = Counter()  # By address.
        self.is_ending = threading.Event()
        self._is_down = False
        threading.Thread(target=self._serve, daemon=True).start()

    def go_down(self) -> None:
        """Refuse every connection."""
        self._is_down = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def come_up(self) -> None:
        """Listen on the same port again."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        self._is_down = False
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """End; what hangs is let go."""
        self.is_ending.set()
        self.go_down()

    def _serve(self) -> None:
        listener = self._listener
        while not self._is_down:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(60)
            stream = connection.makefile("rb")
            connection.sendall(b"220 ready\r\n")
            address, kind = "", "ok"
            for line in stream:
                verb = line[:4].lower()
                if verb == b"rcpt":
                    found = _RCPT.match(line)
                    address = found[1].decode() if found else ""
                    kind = self._kind(address)
                    if kind in ("421", "450", "550", "554"):
                        text = {"550": "550 5.1.1 no such mailbox", "554": "554 5.7.1 not wanted"}
                        connection.sendall(f"{text.get(kind, kind + ' later')}\r\n".encode())
                        if kind == "421":
                            return
                        continue
                elif verb == b"data":
                    if kind == "drop-before":
                        return  # Before the client could have sent any of it.
                    connection.sendall(b"354 go on\r\n")
                    if not self._take(connection, stream, address, kind):
                        return
                    continue
                answer = {b"ehlo": b"250 hello", b"quit": b"221 bye"}.get(verb, b"250 ok")
                connection.sendall(answer + b"\r\n")
                if verb == b"quit":
                    return

    def _kind(self, address: str) -> str:
        self.attempts[address] += 1
        kind = address.partition(".")[0]
        is_lasting = kind in ("hang", "drip", "550", "554")
        return kind if is_lasting or self.attempts[address] == 1 else "ok"

    def _take(self, connection: socket.socket, stream: Iterator[bytes], address: str, kind: str) -> bool:
        body = b""
        for part in stream:
            if part == b".\r\n":
                break
            body += part
        else:
            return False
        found = _ID.search(body)
        if kind not in ("hang", "drip"):
            self.ledger.append((address, found[1].decode() if found else ""))
        if kind == "drop-after":
            return False
        if kind == "hang":
            self.is_ending.wait(30)
            return False
        if kind == "drip":
            ends = time.monotonic() + 30
            while time.monotonic() < ends and not self.is_ending.wait(0.2):
                connection.sendall(b"2")
            return False
        connection.sendall(b"250 kept\r\n")
        return True


@contextlib.contextmanager
def smtp_sink() -> Iterator[SmtpSink]:
    """A running sink."""
    sink = SmtpSink()
    try:
        yield sink
    finally:
        sink.close()
