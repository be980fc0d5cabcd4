"""T21: workers and the web server are asked to end and started again, one after the other, under load."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from config.programs import ALL_LANES
from tests.chaos.harness.judge import judge
from tests.chaos.harness.report import Report
from tests.chaos.harness.scene import Scene
from tests.chaos.harness.size import full_only
from tests.chaos.harness.stream import Stream

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

RESTARTS, RATE = 20, 20
LIMIT_SECONDS = 20.0
CUSTOMERS = 2000
PREPARE = """
from tests.factories import EMAIL, make_trigger
make_trigger("mail", actions=[EMAIL])
"""


def _restart(scene: Scene, name: str) -> tuple[int, float]:
    """SIGTERM, as a service manager sends it, and a new process; exit code and seconds of the former."""
    child = scene.supervisor.children[name]
    scene.wait_until(
        lambda: child.is_running and (child.is_ready or child.program.answers()), 60, f"{name} is up"
    )
    process, started = scene.supervisor.processes[name], time.monotonic()
    process.send_signal(signal.SIGTERM)
    code = process.wait(2 * LIMIT_SECONDS)
    took = time.monotonic() - started
    scene.revive(name, wait=False)
    return code, took


@full_only
@pytest.mark.matrix("T21", f"SIGTERM, one after the other, under {RATE} events/s")
def test_a_rolling_restart_under_load_is_not_noticed(
    make_scene: Callable[..., Scene], report: Report
) -> None:
    """T21, R-032: exit code 0 within 20 s, nothing lost, nothing sent twice, nothing uncertain."""
    scene = make_scene(prepare=PREPARE, workers=(ALL_LANES,) * 3)
    scene.introduce(CUSTOMERS)
    names = [*scene.workers, "web"]
    ends = []
    shop = scene.shop()
    with Stream(shop, lambda s, n: s.event(f"c{n}"), RATE, limit=CUSTOMERS, is_patient=True) as stream:
        for turn in range(RESTARTS):
            ends.append(_restart(scene, names[turn % len(names)]))
            report.faults += 1
    scene.supervisor.wait_ready(60)
    accepted = stream.accepted
    scene.wait_until(lambda: scene.is_settled(len(accepted)), 60, "all decided and delivered")
    found = judge(scene, accepted)
    found.into(report)
    report.figures = {
        "accepted": len(accepted),
        "slowest_exit_s": round(max(took for _, took in ends), 1),
        "limit_s": LIMIT_SECONDS,
        "repeated_requests": sum(stream.statuses.values()) - stream.statuses[202],
    }
    assert [code for code, _ in ends] == [0] * RESTARTS
    assert max(took for _, took in ends) <= LIMIT_SECONDS
    assert found.acquits(), f"seed {report.seed}: {found}"
    assert (found.quarantined, found.uncertain) == ([], 0)
    assert len(scene.received()) == len(set(accepted))
