"""T4: Redis loses what it holds when a fifth of the work is done; the rest is late by one sweep, and complete."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from config.servers import Servers
from tests.chaos.harness.judge import judge
from tests.chaos.harness.report import Report
from tests.chaos.harness.scene import Scene
from tests.chaos.harness.size import FULL, pick

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

LIMIT_SECONDS = 15.0
PREPARE = """
from tests.factories import EMAIL, make_trigger
make_trigger("mail", actions=[EMAIL])
"""
# Short turns, so that the work needs many bells: one that is lost is missed.
SHORT_TURNS = {"BECKON_DRAIN_SECONDS": "0.1"}


def flushall(scene: Scene, servers: Servers) -> None:
    """Every key is gone, the server lives."""
    scene.redis.flushall()


def kill(scene: Scene, servers: Servers) -> None:
    """kill -9; what had reached its append-only file comes back."""
    servers.restart_redis()


def forget(scene: Scene, servers: Servers) -> None:
    """kill -9, and it comes back without its append-only file: as one that has no persistence."""
    servers.kill("redis", stay_down=True)
    try:
        shutil.rmtree(servers.paths.redis_data / "appendonlydir")
    finally:
        servers.bring_up("redis")


FAULTS = [
    pytest.param(
        fault,
        marks=[
            pytest.mark.matrix("T4", f"Redis {said} at 20 % of the work"),
            pytest.mark.skipif(not (FULL or fault is flushall), reason="only in the full set: make chaos"),
        ],
        id=fault.__name__,
    )
    for fault, said in ((flushall, "FLUSHALL"), (kill, "kill -9"), (forget, "restarted without its file"))
]


@pytest.mark.parametrize("fault", FAULTS)
def test_work_goes_on_when_redis_has_lost_it(
    make_scene: Callable[..., Scene],
    chaos_servers: Servers,
    report: Report,
    fault: Callable[[Scene, Servers], None],
) -> None:
    """T4, R-011: nothing is lost, everything is done 15 s after the fault, each mail goes out once."""
    events = pick(quick=150, full=300)
    scene = make_scene(prepare=PREPARE, env=SHORT_TURNS, restart=True)
    scene.introduce(events)
    shop = scene.shop()
    shop.send(shop.event(f"c{n}") for n in range(events))
    scene.wait_until(
        lambda: scene.statuses("automation_delivery")["sent"] >= events // 5, 30, "a fifth is sent"
    )
    report.figures["sent_at_the_fault"] = scene.statuses("automation_delivery")["sent"]
    fault(scene, chaos_servers)
    report.faults = 1
    took = scene.wait_until(lambda: scene.is_settled(events), LIMIT_SECONDS, "done after the fault")
    report.figures |= {"recovered_s": round(took, 1), "limit_s": LIMIT_SECONDS}
    found = judge(scene, shop.accepted)
    found.into(report)
    assert len(shop.accepted) == events
    assert found.acquits(), f"seed {report.seed}: {found}"
    assert found.quarantined == []
    assert found.uncertain == 0
    assert len(scene.received()) == events
