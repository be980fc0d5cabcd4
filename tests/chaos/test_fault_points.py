"""T1: one kill at each of the ten fault points, in the process that passes it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from config.children import Child
from tests.chaos.harness.judge import judge
from tests.chaos.harness.report import Report
from tests.chaos.harness.scene import Scene
from tests.chaos.harness.shop import Shop
from tests.chaos.harness.size import full_only

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

EACH = 25  # Events sent before each kill.
KILLED = re.compile("exited with 'signal 9|was sent SIGKILL")  # Celery and gunicorn say so of a process once.
WEB_POINTS = {
    "ingest_before_commit": 0,
    "ingest_after_commit": 1,
    "publish": 1,
}  # Stored, when no answer came.
# Deciding and delivering take turns: an event whose decider was killed twice is held, as it should be.
WORKER_POINTS = (
    "after_claim",
    "delivery_after_claim",
    "decide_before_commit",
    "delivery_after_effect",
    "decide_after_commit",
    "delivery_after_commit",
    "sweep_mid",
)
EVENTS = EACH * (len(WEB_POINTS) + len(WORKER_POINTS))
PREPARE = f"""
from tests.factories import EMAIL, decide_all, known, make_trigger, send
make_trigger("mail", actions=[EMAIL])
send(*(event for n in range({EVENTS}) for event in known(f"c{{n}}")))
decide_all()
"""


def wait_for_death(scene: Scene, child: Child) -> int:
    """Until a process of it was killed; ends the rest of it. Returns how many processes were killed."""
    name = child.program.name
    scene.wait_until(
        lambda: not child.is_running or bool(KILLED.search(scene.said(name))), 60, f"{name} is killed"
    )
    child.kill()
    return max(1, len(KILLED.findall(scene.said(name))))


@full_only
@pytest.mark.matrix("T1", "kill -9 at each of the ten fault points")
def test_a_kill_at_each_fault_point_loses_nothing_and_sends_nothing_twice(
    make_scene: Callable[..., Scene], report: Report
) -> None:
    """T1, R-001, R-002, R-011, R-012, R-018, R-025, R-026: wherever a process ends, its work is done, once."""
    scene = make_scene(prepare=PREPARE, workers=())
    shop = scene.shop()
    customers = iter(range(EVENTS))
    for point, stored in WEB_POINTS.items():
        web, url = scene.armed_web(f"{point}:kill@1")
        armed = Shop(url, shop.key)
        event = shop.event(f"c{next(customers)}")
        status = armed.try_once(event)
        armed.close()
        report.faults += wait_for_death(scene, web)
        keys = scene.value(
            "SELECT count(*) FROM automation_messagekey WHERE message_id = %s", event["message_id"]
        )
        assert keys == stored, point
        assert point == "publish" or isinstance(status, str), (point, status)
        shop.send_one(event)  # The client repeats what nobody acknowledged.
        shop.send(shop.event(f"c{next(customers)}") for _ in range(EACH - 1))
    for point in WORKER_POINTS:
        worker = scene.armed_worker(f"{point}:kill@1")
        shop.send(shop.event(f"c{next(customers)}") for _ in range(EACH))
        report.faults += wait_for_death(scene, worker)
    scene.armed_worker("")
    scene.wait_until(lambda: scene.is_settled(EVENTS), 60, "all decided and delivered")
    found = judge(scene, shop.accepted)
    found.into(report)
    report.figures = {"points": len(WEB_POINTS) + len(WORKER_POINTS), "mails": len(scene.received())}
    assert len(set(shop.accepted)) == EVENTS
    assert found.acquits(), f"seed {report.seed}: {found}"
    assert found.quarantined == []
    assert found.uncertain <= report.faults
    ended = scene.statuses("automation_delivery")
    assert ended["sent"] + ended["uncertain"] == EVENTS
