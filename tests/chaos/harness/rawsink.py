"""A server on a loopback address of its own that misbehaves on the wire, and counts what it sent."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

Behave = Callable[["RawSink", socket.socket], int]  # Returns how many bytes were sent.
GIGABYTE = 10**9


class RawSink:
    """Reads each request, then behaves. `calls` has the bytes sent in answer to each."""

    def __init__(self, host: str, port: int, behave: Behave) -> None:
        self.host, self.behave = host, behave
        self.calls: list[int] = []
        self.is_ending = threading.Event()
        self._listener = socket.create_server((host, port), backlog=256)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://{host}:{self.port}/hook"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Stop listening; what hangs ends."""
        self.is_ending.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while not self.is_ending.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        sent = 0
        with connection, contextlib.suppress(OSError, ValueError):
            connection.settimeout(30)
            head = b""
            while b"\r\n\r\n" not in head:
                part = connection.recv(65_536)
                if not part:
                    return
                head += part
            self.calls.append(0)
            place = len(self.calls) - 1
            sent = self.behave(self, connection)
            self.calls[place] = sent


def answers(head: str, body: bytes = b"") -> Behave:
    """A status line with headers, and a body."""

    def behave(sink: RawSink, connection: socket.socket) -> int:
        text = f"HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        connection.sendall(text)
        return len(text)

    return behave


def hangs(sink: RawSink, connection: socket.socket) -> int:
    """Never a word."""
    sink.is_ending.wait(30)
    return 0


def drips(sink: RawSink, connection: socket.socket) -> int:
    """Headers without end, a byte at a time."""
    sent = 0
    with contextlib.suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not sink.is_ending.wait(0.2):
            connection.sendall(b"x")
            sent += 1
    return sent


def floods(sink: RawSink, connection: socket.socket) -> int:
    """A gigabyte, no faster than it is read: what was sent is what was read, but for a few blocks on the way."""
    sent = 0
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    with contextlib.suppress(OSError):
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {GIGABYTE}\r\n\r\n".encode())
        while sent < GIGABYTE and not sink.is_ending.wait(0.005):
            connection.sendall(b"x" * 4096)
            sent += 4096
    return sent


@contextlib.contextmanager
def raw_sinks(**behaviours: Behave) -> Iterator[dict[str, RawSink]]:
    """One sink for each name, all on one port: 127.0.0.11, 127.0.0.12 …"""
    sinks: dict[str, RawSink] = {}
    port = 0
    try:
        for number, (name, behave) in enumerate(behaviours.items()):
            sinks[name] = RawSink(f"127.0.0.{11 + number}", port, behave)
            port = sinks[name].port
        yield sinks
    finally:
        for sink in sinks.values():
            sink.close()
