"""Send events over HTTP as a shop would: batches on a few connections, repeated until each is answered.

A batch that was not answered is sent again unchanged; its message ids make that harmless.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from threading import Event, Lock
from typing import Any, Final

import httpx
import msgspec

Body = dict[str, Any]

PATH: Final = "/api/v1/events/"
CONNECTIONS: Final = 4
BATCH: Final = 400
FIRST_WAIT, LONGEST_WAIT = 0.25, 10.0  # Seconds between tries without a Retry-After; doubles.
GIVE_UP_SECONDS: Final = 60.0


class ReplayError(RuntimeError):
    """The server does not take events; the message says what it answered last."""


class Replay:
    """Sends bodies and counts what became of them. Safe to use from several threads."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        ended: Event,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self._client = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            timeout=30.0,
            transport=transport,
            trust_env=False,  # A proxy of this machine has no business with its own address.
        )
        self._ended = ended
        self._sleep = sleep or ended.wait
        self._lock = Lock()
        self._taken: set[str] = set()
        self.doubles = 0  # Answers that said: known already.
        self.refused: list[str] = []

    @property
    def accepted(self) -> int:
        """Events that the server answered for, each counted once however often it was sent."""
        return len(self._taken)

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *exception: object) -> None:
        self._client.close()

    def flood(
        self,
        bodies: Sequence[Body],
        *,
        connections: int = CONNECTIONS,
        batch: int = BATCH,
        pace: Callable[[], None] = lambda: None,
        tell: Callable[[int], None] = lambda count: None,
    ) -> None:
        """Send `bodies` in batches, `connections` at a time; asks `pace` before each, tells after each."""
        with ThreadPoolExecutor(connections) as pool:
            running: dict[Future[None], int] = {}
            try:
                for group in (bodies[start : start + batch] for start in range(0, len(bodies), batch)):
                    if len(running) >= connections:
                        _reap(running, tell)
                    pace()
                    if self._ended.is_set():
                        return
                    running[pool.submit(self.send, group)] = len(group)
                while running:
                    _reap(running, tell)
            except BaseException:
                self._ended.set()  # The other connections stop trying.
                raise

    def drip(
        self, bodies: Iterable[Body], *, per_second: float, tell: Callable[[int], None] = lambda count: None
    ) -> None:
        """Send `bodies` one by one at an even pace, as they come on an ordinary day."""
        due = time.monotonic()
        for body in bodies:
            self._sleep(max(0.0, due - time.monotonic()))
            if self._ended.is_set():
                return
            self.send((body,))
            tell(1)
            due += 1 / per_second

    def send(self, bodies: Sequence[Body]) -> None:
        """Send one request until it is answered. Raises ReplayError when that does not happen."""
        content = msgspec.json.encode({"events": bodies} if len(bodies) > 1 else bodies[0])
        give_up_at = time.monotonic() + GIVE_UP_SECONDS
        for wait in _waits():
            try:
                answer = self._client.post(PATH, content=content)
            except httpx.TransportError as error:
                problem, pause = f"{type(error).__name__}: {error}", wait
            else:
                if answer.status_code < 300:
                    self._note(answer.json(), bodies)
                    return
                problem = f"{answer.status_code}: {answer.text[:300]}"
                if answer.status_code not in (429, 502, 503, 504):
                    raise ReplayError(f"{PATH} answered {problem}")
                pause = _retry_after(answer) or wait
            if self._ended.is_set():
                return
            if time.monotonic() + pause > give_up_at:
                raise ReplayError(f"{PATH} takes no events: {problem}")
            self._sleep(pause)

    def _note(self, answer: dict[str, Any], bodies: Sequence[Body]) -> None:
        results: list[dict[str, Any]] = answer.get("results", [answer])
        with self._lock:
            for body, result in zip(bodies, results, strict=True):
                if result["status"] in ("accepted", "duplicate"):
                    self._taken.add(result["message_id"])
                    self.doubles += result["status"] == "duplicate"
                else:
                    self.refused.append(f"{body['event_type']}: {result}"[:300])


def _reap(running: dict[Future[None], int], tell: Callable[[int], None]) -> None:
    """Wait for one of the running requests; its error is raised here."""
    done = next(as_completed(running))
    count = running.pop(done)
    done.result()
    tell(count)


def _waits() -> Iterator[float]:
    wait = FIRST_WAIT
    while True:
        yield wait
        wait = min(wait * 2, LONGEST_WAIT)


def _retry_after(answer: httpx.Response) -> float | None:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else None
