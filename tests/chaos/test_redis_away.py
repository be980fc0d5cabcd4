"""T5: Redis is away for half a minute, then frozen for half a minute; shops go on sending and notice nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from config.servers import Servers
from tests.chaos.harness.judge import judge
from tests.chaos.harness.report import Report
from tests.chaos.harness.scene import Scene
from tests.chaos.harness.shop import Shop
from tests.chaos.harness.size import full_only
from tests.chaos.harness.stream import Stream

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

RATE, EACH_SECONDS = 50, 30
EVENTS = RATE * EACH_SECONDS * 2
EVERY = 3  # Of so many events one leaves a cart, and is answered with a mail.
MAILS = EVENTS // EVERY
P99_SECONDS, DRAIN_SECONDS = 0.5, 30.0
PREPARE = """
from tests.factories import EMAIL, make_trigger
make_trigger("mail", actions=[EMAIL])
"""


def _event(shop: Shop, number: int) -> dict[str, Any]:
    is_cart = number % EVERY == 0
    return shop.event(f"c{number // EVERY}", "cart_abandonment" if is_cart else "page_viewed")


def _wait(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


@full_only
@pytest.mark.matrix("T5", "Redis gone 30 s, then frozen 30 s, 50 events/s")
def test_shops_and_mails_do_not_wait_for_redis(
    make_scene: Callable[..., Scene], chaos_servers: Servers, report: Report
) -> None:
    """T5, R-010, R-011: every event is answered 202 at once; each mail goes out once, soon after the outage."""
    scene = make_scene(prepare=PREPARE)
    scene.introduce(MAILS)
    shop = scene.shop()
    with Stream(shop, _event, RATE, limit=EVENTS) as stream:
        started = time.monotonic()
        report.faults = 2
        try:
            chaos_servers.kill("redis", stay_down=True)
            _wait(started + EACH_SECONDS)
        finally:
            chaos_servers.bring_up("redis")
        try:
            chaos_servers.freeze("redis")
            stream.join()
        finally:
            chaos_servers.thaw("redis")
    report.figures = {
        "other_than_202": sum(stream.statuses.values()) - stream.statuses[202],
        "p99_ms": round(stream.percentile(99) * 1000),
        "limit_ms": round(P99_SECONDS * 1000),
    }
    report.figures["drained_s"] = round(
        scene.wait_until(lambda: scene.is_settled(MAILS), DRAIN_SECONDS, "drained after the outage"), 1
    )
    found = judge(scene, stream.accepted, must_decide=False)  # The decisions are counted below.
    found.into(report)
    report.figures["mails"] = len(scene.received())
    assert stream.statuses == {202: EVENTS}, f"seed {report.seed}"
    assert stream.percentile(99) <= P99_SECONDS
    assert found.acquits(), found
    assert found.uncertain == 0
    assert scene.statuses("automation_execution") == {"triggered": MAILS}
    assert len(scene.received()) == MAILS
