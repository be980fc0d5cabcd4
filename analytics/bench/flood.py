"""A flood of events over HTTP, from a process of its own: `python -m analytics.bench.flood <job.json>`.

Keeps between `least` and `most` events waiting until its stdin ends. The events are those of two lanes, medium and
low, so that two bells are always in flight; it notes how few ever waited in each, and how often none did.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from analytics.bench import client
from analytics.bench.accounting import Sent
from analytics.bench.databases import connected
from analytics.bench.errors import BenchError, FloodError
from analytics.bench.workload import STEP, Item, Moments, Stream, batches, body, by_connection

CONNECTIONS = 2
CHUNK = 2_000
BATCH = 500
_WAITING = "SELECT lane, count(*) FROM automation_queuedevent WHERE lane IN (3, 4) GROUP BY lane"


def chunk(number: int, customers: int, first: datetime) -> tuple[list[Item], Moments]:
    """The events of a chunk; chunk follows chunk without overlap."""
    moments = Moments(f"f{number}", first + number * CHUNK * STEP)
    return Stream(CHUNK, customers, seed=number).items(), moments


class Flood:
    """The bench's end of a flood."""

    def __init__(self, base: Path, job: Mapping[str, Any]) -> None:
        self._customers, self._first = job["customers"], datetime.fromisoformat(job["first"])
        file = base / "flood.json"
        file.write_text(json.dumps(dict(job)))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "analytics.bench.flood", str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "flowing":
            raise FloodError("the flood did not start")

    def stop(self) -> tuple[list[Sent], dict[str, int], float]:
        """End it. Returns what was sent, the fewest events that waited in each lane, and percent of time a lane
        was empty."""
        output, _ = self._process.communicate("", timeout=120)
        if self._process.returncode:
            raise FloodError("the flood broke off")
        answer = json.loads(output)
        sent: list[Sent] = [chunk(n, self._customers, self._first) for n in range(answer["chunks"])]
        return sent, answer["fewest"], answer["dry"]

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.communicate()


def main() -> None:
    """Send chunks until stdin ends."""
    job = json.loads(Path(sys.argv[1]).read_text())
    ending = threading.Event()
    threading.Thread(target=_await_end, args=(ending,), daemon=True).start()
    gauge = _Gauge(job["database_url"], job["least"], job["most"])
    first, number = datetime.fromisoformat(job["first"]), 0
    connections = [client.Connection(job["url"]) for _ in range(CONNECTIONS)]
    is_flowing = False
    while not ending.is_set():
        if gauge.is_full():
            time.sleep(0.02)
            continue
        items, when = chunk(number, job["customers"], first)
        number += 1
        _send(connections, items, when, job)
        if not is_flowing and gauge.is_high():
            is_flowing = True
            gauge.begin()
            print("flowing", flush=True)
    gauge.stop()
    print(json.dumps({"chunks": number, "fewest": gauge.fewest, "dry": gauge.dry_percent()}))


def _await_end(ending: threading.Event) -> None:
    sys.stdin.read()
    ending.set()


def _send(
    connections: list[client.Connection], items: list[Item], when: Moments, job: Mapping[str, Any]
) -> None:
    failed: list[BaseException] = []

    def work(connection: client.Connection, mine: list[Item]) -> None:
        try:
            for batch in batches(mine, BATCH):
                status, answer = connection.send(client.request(job["url"], body(batch, when), job["token"]))
                if status != 200 or f'"accepted":{len(batch)},'.encode() not in answer:
                    raise FloodError(f"{status} {answer[:200]!r}")
        except (OSError, BenchError) as error:
            failed.append(error)

    threads = [
        threading.Thread(target=work, args=pair)
        for pair in zip(connections, by_connection(items, CONNECTIONS), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


class _Level(NamedTuple):
    medium: int
    low: int


class _Gauge:
    """Counts, ten times a second, what waits."""

    def __init__(self, url: str, least: int, most: int) -> None:
        self.fewest: dict[str, int] = {}
        self._least, self._most = least, most
        self._level = _Level(0, 0)
        self._is_full = self._counts = False
        self._looks = self._dry = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(url,), daemon=True)
        self._thread.start()

    def begin(self) -> None:
        """From now on the fewest are noted."""
        self._counts = True

    def is_high(self) -> bool:
        """Whether enough waits in both lanes to begin."""
        return sum(self._level) >= self._least and min(self._level) > 0

    def dry_percent(self) -> float:
        """Percent of the looks at which a lane was empty."""
        return round(100 * self._dry / self._looks, 2) if self._looks else 100.0

    def is_full(self) -> bool:
        """Whether `most` was reached and it has not sunk below `least` since."""
        level = sum(self._level)
        self._is_full = level > (self._least if self._is_full else self._most)
        return self._is_full

    def stop(self) -> None:
        """Stop counting."""
        self._ending.set()
        self._thread.join()

    def _watch(self, url: str) -> None:
        with connected(url) as cursor:
            while not self._ending.wait(0.1):
                cursor.execute(_WAITING)
                found = dict(cursor.fetchall())
                self._level = _Level(found.get(3, 0), found.get(4, 0))
                if self._counts:
                    self._looks += 1
                    self._dry += min(self._level) == 0
                    for lane, waiting in self._level._asdict().items():
                        self.fewest[lane] = min(waiting, self.fewest.get(lane, waiting))


HOUR_BACK = timedelta(hours=1)  # The flood's own clock begins so long ago and runs by STEP.

if __name__ == "__main__":
    main()
