"""The product as it is run: web server, workers and clock as processes, events over HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any

import msgspec

from analytics.bench import accounting, client, fill
from analytics.bench.databases import connected
from analytics.bench.errors import AnswerError, StuckError
from analytics.bench.reference import Reference
from analytics.bench.workload import Item, Moments, Stream, batches, body, by_connection, moments, wire

EVERY_LANE = "critical,high,medium,low,periodic"
POLL = 0.005
LONGEST = 300.0  # Seconds until a run that does not end is given up.
_runs = count(1)


@dataclass(slots=True)
class Run:
    """One repetition: how long it took from the first request to the last decision, and what was sent."""

    seconds: float
    accepted_in: float
    events: int

    @property
    def rate(self) -> float:
        """Events per second."""
        return self.events / self.seconds


class Product:
    """A running Beckon on a database of its own; `supervisor` is config.supervisor.Supervisor, already made."""

    def __init__(self, supervisor: Any, database_url: str, token: str, reference: Reference) -> None:
        self.supervisor = supervisor
        self.database_url = database_url
        self.token = token
        self._shape = (reference.shape, reference.triggers)
        self._reference = reference

    @property
    def url(self) -> str:
        """Where it takes events."""
        return f"{self.supervisor.url}/api/v1/events/"

    def pids(self, name: str) -> list[int]:
        """Main processes of the children whose names begin with `name`."""
        return [process.pid for child, process in self.supervisor.processes.items() if child.startswith(name)]

    def reset(self, customers: int) -> None:
        """Forget everything that happened."""
        with connected(self.database_url) as cursor:
            fill.reset(cursor, customers)
        self._reference = Reference(*self._shape)

    def forget_events(self) -> None:
        """Empty the tables of a product without workers: its customers have not changed."""
        with connected(self.database_url) as cursor:
            fill.forget_events(cursor)

    def run(self, stream: Stream, size: int, *, decide: bool = True) -> Run:
        """Send a stream in batches of `size` (1: each event alone); accounts for every event, or raises."""
        items = stream.items()
        when = moments(f"r{next(_runs)}", stream.count, datetime.now(UTC))
        requests = self._requests(items, when, size)
        with connected(self.database_url) as cursor:
            started = time.perf_counter()
            sent = client.send_all(self.url, requests)
            if decide:
                wait_until(lambda: not accounting.waiting(cursor), "decided")
            seconds = time.perf_counter() - started
            sent.check(sum(map(len, requests)))
            _check_accepted(sent.answers, len(items), is_batch=size > 1)
            if decide:
                accounting.settle(cursor, [(items, when)], self._reference)
            else:
                accounting.stored(cursor, items, when)
        return Run(seconds, sent.seconds, len(items))

    def _requests(self, items: Sequence[Item], when: Moments, size: int) -> list[list[bytes]]:
        if size == 1:
            return [
                [client.request(self.url, msgspec.json.encode(wire(item, when)), self.token) for item in mine]
                for mine in by_connection(items)
            ]
        return [
            [client.request(self.url, body(batch, when), self.token) for batch in batches(mine, size)]
            for mine in by_connection(items)
        ]

    def settle(self, sent: Sequence[accounting.Sent]) -> None:
        """Account for events that were sent by other means, in order; waits until they are decided."""
        with connected(self.database_url) as cursor:
            wait_until(lambda: not accounting.waiting(cursor), "decided")
            accounting.settle(cursor, sent, self._reference)

    def noop(self, requests_count: int) -> float:
        """Requests per second of a view that does nothing, with the bodies of single events."""
        items = Stream(requests_count, 1000).items()
        when = moments("noop", requests_count, datetime.now(UTC))
        url = f"{self.supervisor.url}/noop"
        requests = [
            [client.request(url, msgspec.json.encode(wire(item, when)), self.token) for item in mine]
            for mine in by_connection(items)
        ]
        sent = client.send_all(url, requests)
        sent.check(requests_count)
        return requests_count / sent.seconds

    def stop(self) -> None:
        """End its processes."""
        self.supervisor.stop()


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    """Poll until it is so; StuckError after LONGEST seconds."""
    deadline = time.monotonic() + LONGEST
    while not is_so():
        if time.monotonic() > deadline:
            raise StuckError(f"not {what} after {LONGEST:.0f} s")
        time.sleep(POLL)


def _check_accepted(answers: Sequence[bytes], events: int, *, is_batch: bool) -> None:
    """Every event was answered with `accepted`, none as a duplicate, conflict or rejected."""
    documents: list[Mapping[str, Any]] = [msgspec.json.decode(answer) for answer in answers]
    accepted = (
        sum(document["accepted"] for document in documents)
        if is_batch
        else sum(document["status"] == "accepted" for document in documents)
    )
    if accepted != events:
        raise AnswerError(f"{accepted} of {events} events were accepted")
