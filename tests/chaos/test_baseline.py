"""T1 and T4 as plain Celery on Redis does them, so that the table of `make chaos` shows both.

The same machine, the versions that requirements.txt pins, the same number of workers (two, of one process each),
the same dice for whom to kill and when, the same restart at once after each kill. The same effect is counted: a
call of an HTTP sink that names its key, with the sink answering after 10 ms. What differs: Beckon's T1 accepts
events over HTTP, decides them, and makes two effects of each, a mail and a call; here a task is one call and nothing
is decided. Celery's client counts a task as accepted when `send_task` has returned.

`lost`: never done, and in no list any more. `stuck_for_1h`: not done, and in the table of unacknowledged
messages; Celery gives those back after `visibility_timeout`, one hour unless told otherwise. Nothing is asserted
about how many: it is measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from config.servers import Servers
from tests.chaos.baseline.peer import Peer
from tests.chaos.baseline.worker import MODES
from tests.chaos.harness.report import Report
from tests.chaos.harness.sinks import http_sink, ok
from tests.chaos.harness.size import WITH_BASELINE, dice

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.timeout(200),
    pytest.mark.skipif(not WITH_BASELINE, reason="only with make chaos ARGS=--with-baseline"),
    pytest.mark.parametrize("mode", MODES),
]

TASKS = 1000
KILLS = 50
WORK_SECONDS = 0.01


def slow_ok(handler: BaseHTTPRequestHandler) -> None:
    """200, after what the receiver has to do."""
    time.sleep(WORK_SECONDS)
    ok(handler)


@pytest.fixture
def peer(
    mode: str, chaos_servers: Servers, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[[Report], Peer]]:
    """A running peer, once its line of the table is there."""
    with http_sink(tmp_path, slow_ok) as sink, Peer(chaos_servers, mode, tmp_path, sink) as running:

        def name(report: Report) -> Peer:
            report.system = f"Celery, {mode}"
            running.wait_ready()
            return running

        yield name


@pytest.mark.matrix("T1", f"kill -9 of workers, {TASKS:,} tasks")
def test_killed_workers(report: Report, peer: Callable[[Report], Peer]) -> None:
    """The peer's T1: 50 kills, each followed by a restart; then whatever is left gets its time."""
    celery = peer(report)
    draw = dice("T1")
    each = TASKS // KILLS
    for turn in range(KILLS):
        celery.publish(f"task-{turn * each + n}" for n in range(each))
        time.sleep(draw.random() * 0.3)
        celery.wait_until(lambda: celery.alive, 60)
        celery.kill_and_revive(draw.choice(celery.alive))
        report.faults += 1
    celery.settle()
    celery.into(report)
    assert len(celery.published) == TASKS


@pytest.mark.matrix("T4", f"Redis FLUSHALL at 20 %, {TASKS:,} tasks")
def test_emptied_redis(report: Report, peer: Callable[[Report], Peer]) -> None:
    """The peer's T4: Redis forgets everything when a fifth is done."""
    celery = peer(report)
    celery.publish(f"task-{n}" for n in range(TASKS))
    celery.wait_until(lambda: len(celery.sink.keys()) >= TASKS // 5, 60)
    report.figures["done_before"] = len(celery.sink.keys())
    celery.redis.flushall()
    report.faults += 1
    celery.settle()
    celery.into(report)
    assert len(celery.published) == TASKS
