"""A lean HTTP client: the load must not eat the cores that are measured."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from analytics.bench.errors import AnswerError, BenchError

TIMEOUT = 60.0
IDLE = (
    2.0  # A connection that was not used for so long is opened anew: servers close them after five seconds.
)


def request(url: str, body: bytes, token: str = "") -> bytes:
    """A whole POST of JSON, ready to be sent."""
    parts = urlsplit(url)
    lines = [
        f"POST {parts.path} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *([f"Authorization: Bearer {token}"] if token else []),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Connection:
    """One kept-alive connection to a server; opened again when the server closed it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._socket: socket.socket | None = None
        self._used_at = 0.0

    def send(self, whole: bytes) -> tuple[int, bytes]:
        """Send a whole request; returns (status, body)."""
        if time.monotonic() - self._used_at > IDLE:
            self.close()
        if self._socket is None:
            self._socket = socket.create_connection(self._address, TIMEOUT)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(whole)
        answer = self._answer(self._socket)
        self._used_at = time.monotonic()
        return answer

    def close(self) -> None:
        """Close it."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _answer(self, connected: socket.socket) -> tuple[int, bytes]:
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._more(connected)
        head = received[:end].lower()
        status = int(received.split(b" ", 2)[1])
        length = (
            int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            if b"content-length:" in head
            else 0
        )
        body = [received[end + 4 :]]
        missing = length - len(body[0])
        while missing > 0:
            body.append(self._more(connected))
            missing -= len(body[-1])
        if b"connection: close" in head:
            self.close()
        return status, b"".join(body)

    @staticmethod
    def _more(connected: socket.socket) -> bytes:
        part = connected.recv(262_144)
        if not part:
            raise AnswerError("the server closed the connection in the middle of an answer")
        return part


@dataclass(slots=True)
class Sent:
    """What came back."""

    seconds: float = 0.0  # From the first request to the last answer.
    statuses: Counter[int] = field(default_factory=Counter)
    answers: list[bytes] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)

    def check(self, expected: int) -> None:
        """Raises AnswerError unless there are `expected` answers, all of them 2xx."""
        if self.errors:
            raise AnswerError(f"a connection failed: {self.errors[0]!r}") from self.errors[0]
        bad = {status: count for status, count in self.statuses.items() if not 200 <= status < 300}
        if bad or self.statuses.total() != expected:
            first = next((answer for answer in self.answers if b'"status":4' in answer), b"")[:300]
            raise AnswerError(f"{self.statuses.total()} answers of {expected}, not 2xx: {bad} {first!r}")


def send_all(url: str, requests: Sequence[Sequence[bytes]], *, keep_answers: bool = True) -> Sent:
    """Send each list of whole requests over a connection of its own, one after the other; all lists at once."""
    sent = Sent()
    lock = threading.Lock()

    def work(mine: Sequence[bytes]) -> None:
        connection = Connection(url)
        statuses: Counter[int] = Counter()
        answers: list[bytes] = []
        try:
            for whole in mine:
                status, answer = connection.send(whole)
                statuses[status] += 1
                if keep_answers:
                    answers.append(answer)
        except (OSError, BenchError) as error:
            sent.errors.append(error)
        finally:
            connection.close()
        with lock:
            sent.statuses += statuses
            sent.answers += answers

    threads = [threading.Thread(target=work, args=(mine,)) for mine in requests if mine]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sent.seconds = time.perf_counter() - started
    return sent
