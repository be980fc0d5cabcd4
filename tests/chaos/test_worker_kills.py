"""T1: workers are killed in the middle of everything; nothing accepted is lost, nothing is sent twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.harness.judge import judge
from tests.chaos.harness.report import Report
from tests.chaos.harness.scene import Scene
from tests.chaos.harness.sinks import http_sink
from tests.chaos.harness.size import dice, pick

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

EVENTS = pick(quick=300, full=1000)
POINTS = (
    "ingest_before_commit",
    "ingest_after_commit",
    "after_claim",
    "decide_before_commit",
    "decide_after_commit",
    "delivery_after_claim",
    "delivery_after_effect",
    "delivery_after_commit",
    "sweep_mid",
    "publish",
)


def triggers(hook: str) -> str:
    """A marketing mail (at most once) and a webhook (at least once) for each event."""
    return f"""
from tests.factories import EMAIL, make_trigger
make_trigger("mail", actions=[EMAIL])
make_trigger("hook", actions=[{{"type": "webhook", "url": "{hook}"}}])
"""


@pytest.mark.matrix("T1", f"kill -9 of workers in mid-batch, {EVENTS:,} events")
def test_killed_workers_lose_nothing_and_send_nothing_twice(
    make_scene: Callable[..., Scene], report: Report, tmp_path: Path
) -> None:
    """T1, R-001, R-011, R-012, R-013, R-015, R-016, R-017, R-018, R-025, R-026, H-010, H-011, H-012, H-013,
    H-016, H-022: each interrupted mail is listed; each webhook arrives, after the receiver's dedupe once.
    """
    kills = pick(quick=10, full=50)
    draw = dice("T1")
    with http_sink(tmp_path) as hook:
        scene = make_scene(
            prepare=triggers(hook.url), env={"BECKON_WEBHOOK_PORTS": f"80,443,{hook.port}"}, web=True
        )
        scene.introduce(EVENTS)
        shop = scene.shop()
        each = EVENTS // kills
        for turn in range(kills):
            shop.send(shop.event(f"c{turn * each + n}") for n in range(each))
            time.sleep(draw.random() * 0.3)
            alive = [name for name in scene.workers if scene.supervisor.children[name].is_ready]
            while not alive:
                time.sleep(0.05)
                alive = [name for name in scene.workers if scene.supervisor.children[name].is_ready]
            victim = draw.choice(alive)
            scene.kill(victim)
            scene.revive(victim, wait=False)
            report.faults += 1
        scene.supervisor.wait_ready(60)
        replayed = scene.settle(2 * EVENTS, 120)
        found = judge(scene, shop.accepted)
        found.into(report)
        calls = hook.keys()
        hooks = {
            str(id) for (id,) in scene.rows("SELECT id FROM automation_delivery WHERE channel = 'webhook'")
        }
        report.figures = {
            "mails": len(scene.received()),
            "webhooks": sum(calls.values()),
            "webhooks_distinct": len(calls),
            "replayed": replayed,
        }
        assert len(shop.accepted) == EVENTS
        assert found.acquits(), f"seed {report.seed}: {found}"
        assert found.quarantined == []
        assert found.uncertain <= kills
        mails = scene.rows(
            "SELECT count(*) FILTER (WHERE status IN ('sent', 'uncertain')), count(*)"
            " FROM automation_delivery WHERE channel = 'email'"
        )
        assert mails == [(EVENTS, EVENTS)]
        assert set(calls) == hooks
        assert len(hooks) == EVENTS
