"""Celery workers to be hurt like the workers of a scene, and what is left in their Redis afterwards."""

from __future__ import annotations

import json
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

import pytest
import redis

from config.children import Child
from config.programs import Program
from config.servers import Servers
from tests.chaos.baseline.worker import EFFECT, QUEUE, make_app
from tests.chaos.harness.report import Report
from tests.chaos.harness.sinks import HttpSink

QUIET_SECONDS = 3.0  # Without a call, with an empty queue and all workers up: nothing more comes by itself.


class Peer:
    """Two workers of one process each, and a client that publishes to them."""

    def __init__(self, servers: Servers, mode: str, folder: Path, sink: HttpSink) -> None:
        self.redis = redis.Redis.from_url(servers.redis_url)
        self.redis.flushall()
        self.sink = sink
        self.published: list[str] = []
        broker = servers.paths.broker_url
        self._app = make_app(broker, mode)
        self.workers = {
            name: Child(
                Program(name, 2, ("tests.chaos.baseline.worker", broker, mode, name), r"@\S+ ready\."),
                lambda name, line: None,
                folder / f"{name}.log",
            )
            for name in ("worker", "worker-2")
        }

    def __enter__(self) -> Self:
        for child in self.workers.values():
            child.start({})
        return self

    def __exit__(self, *_: object) -> None:
        for child in self.workers.values():
            child.ask_to_end()
        for child in self.workers.values():
            child.await_end(time.monotonic() + 5)
        self._app.close()
        self.redis.close()

    def publish(self, keys: Iterable[str]) -> None:
        """One task for each key; a key counts as accepted when Celery's call has returned."""
        with self._app.producer_or_acquire() as producer:
            for key in keys:
                self._app.send_task(EFFECT, [self.sink.url, key], producer=producer)
                self.published.append(key)

    @property
    def alive(self) -> list[str]:
        """Workers that say they are ready."""
        return [name for name, child in self.workers.items() if child.is_ready]

    def wait_ready(self) -> None:
        """Until both workers are."""
        self.wait_until(lambda: len(self.alive) == len(self.workers), 30)

    def kill_and_revive(self, name: str) -> None:
        """kill -9 of a worker and its pool, and a new one in its place at once."""
        self.workers[name].kill()
        self.workers[name].start({})

    def wait_until(self, condition: Callable[[], object], seconds: float) -> None:
        """Wait for `condition`; fails the test when it never came true."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                said = [line for child in self.workers.values() for line in [*child.tail][-5:]]
                pytest.fail(f"not within {seconds} s; {self.queued()} queued; the workers said last: {said}")
            time.sleep(0.02)

    def queued(self) -> int:
        """Tasks that wait in the list."""
        return int(self.redis.llen(QUEUE))

    def held(self) -> list[str]:
        """Keys of tasks that no list holds and no living worker has: back after the visibility timeout."""
        messages = [json.loads(text)[0] for text in self.redis.hvals("unacked")]
        return [json.loads(b64decode(message["body"]))[0][1] for message in messages]

    def settle(self) -> None:
        """Wait until the queue is empty and no call has come for QUIET_SECONDS."""
        self.wait_ready()
        deadline, quiet_since, before = time.monotonic() + 60, time.monotonic(), -1
        while time.monotonic() - quiet_since < QUIET_SECONDS:
            now = sum(self.sink.keys().values())
            if self.queued() or now != before:
                quiet_since, before = time.monotonic(), now
            if time.monotonic() > deadline:
                pytest.fail(f"does not settle: {self.queued()} queued, {now} done")
            time.sleep(0.1)

    def into(self, report: Report) -> None:
        """The same questions that Beckon is asked."""
        calls: Counter[str] = self.sink.keys()
        held = set(self.held())
        missing = set(self.published) - calls.keys()
        report.lost = len(missing - held)
        report.duplicates = sum(n - 1 for n in calls.values())
        report.figures |= {
            "done": len(calls),
            "stuck_for_1h": len(missing & held),
            "repeated_after_1h": len(held & calls.keys()),
        }
