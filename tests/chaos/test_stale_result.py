"""T22 at its narrowest: the former worker has its answer while the next one is still in the middle of its call."""

from __future__ import annotations

import itertools
import signal
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from config.programs import ALL_LANES
from tests.chaos.harness.report import Report
from tests.chaos.harness.scene import Scene
from tests.chaos.harness.sinks import http_sink, ok
from tests.chaos.harness.size import full_only

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

ROW = "SELECT status, attempt, worker FROM automation_delivery"
LOST = "SELECT coalesce(sum(count), 0)::int FROM automation_tally WHERE kind = 'lease_lost'"


@full_only
@pytest.mark.matrix("T22", "SIGCONT of a worker while its successor is calling")
def test_a_former_workers_result_does_not_end_the_call_of_its_successor(
    make_scene: Callable[..., Scene], report: Report, tmp_path: Path
) -> None:
    """T22, R-013: both rows read `sending`; only the fencing token tells the two workers apart."""
    may_answer = [threading.Event(), threading.Event()]
    numbers = itertools.count()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        may_answer[min(next(numbers), 1)].wait(60)
        ok(handler)

    with http_sink(tmp_path, answer) as hook:
        scene = make_scene(
            prepare=f"""
from tests.factories import make_trigger
make_trigger("hook", actions=[{{"type": "webhook", "url": "{hook.url}"}}])
""",
            workers=(ALL_LANES, ALL_LANES),
            env={"BECKON_WEBHOOK_PORTS": f"80,443,{hook.port}", "BECKON_LEASE_SECONDS": "2"},
        )
        shop = scene.shop()
        stopped: list[str] = []
        try:
            shop.send_one(shop.event("alice"))
            scene.wait_until(lambda: len(hook.received()) == 1, 20, "the first call")
            _, attempt, worker = scene.rows(ROW)[0]
            stopped = [name for name in scene.workers if f":{scene.pid(name)}/" in worker]
            assert len(stopped) == 1, worker
            scene.signal(stopped[0], signal.SIGSTOP)
            report.faults = 1
            scene.wait_until(lambda: len(hook.received()) == 2, 30, "the successor's call")
            may_answer[0].set()
            scene.signal(stopped[0], signal.SIGCONT)
            # The former worker says what it knows: it is discarded and counted, or it is not.
            scene.wait_until(
                lambda: scene.value(LOST) > 0 or scene.rows(ROW)[0][0] != "sending", 30, "its result"
            )
            status, later, successor = scene.rows(ROW)[0]
            assert (status, later > attempt, successor != worker) == ("sending", True, True)
            may_answer[1].set()
            scene.wait_until(lambda: scene.is_settled(1), 30, "the successor's result")
        finally:
            for event in may_answer:
                event.set()
            for name in stopped:
                scene.signal(name, signal.SIGCONT)
        assert scene.rows("SELECT status FROM automation_delivery") == [("sent",)]
        report.duplicates = len(hook.keys()) - 1  # Two calls with one key, which the receiver dedupes.
        report.lost = 0
        report.figures = {"calls": len(hook.received()), "stale_results_discarded": scene.value(LOST)}
        assert report.duplicates == 0
