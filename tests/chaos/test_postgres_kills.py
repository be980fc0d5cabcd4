"""T3: PostgreSQL is killed again and again while shops send; what was acknowledged is there, and decided."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from config.servers import Servers
from tests.chaos.harness.judge import judge
from tests.chaos.harness.report import Report
from tests.chaos.harness.scene import Scene
from tests.chaos.harness.shop import Shop
from tests.chaos.harness.size import dice, pick
from tests.chaos.harness.stream import Stream

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

RATE = 100
LIMIT_SECONDS = 10.0  # From a kill to the next acknowledgement.
PREPARE = """
from tests.factories import EMAIL, SEGMENT, make_trigger
make_trigger("mail", actions=[EMAIL])
make_trigger("segment", actions=[SEGMENT])
"""
# Decisions of the trigger that always fires, mails on their way out, and customers who were to get one.
ENDS = """
SELECT (SELECT count(*) FROM automation_execution x JOIN automation_trigger t ON t.id = x.trigger_id
  WHERE t.key = 'segment' AND x.status = 'triggered'),
 (SELECT count(*) FROM automation_delivery WHERE channel = 'email' AND status IN ('sent', 'uncertain')),
 (SELECT count(DISTINCT p.id) FROM automation_event e JOIN profiles_profile p ON p.id = e.profile_id
  WHERE e.message_id = ANY(%s) AND p.email <> '')
"""


def seconds_until_it_takes_events_again(servers: Servers, shop: Shop, before: int) -> float:
    """From now to the first acknowledgement that the new PostgreSQL has committed."""
    started = time.monotonic()
    while time.monotonic() - started < 2 * LIMIT_SECONDS:
        is_new = servers.pids().get("postgres", before) != before
        if shop.try_once(shop.event("probe")) == 202 and is_new:
            return time.monotonic() - started
        time.sleep(0.05)
    return time.monotonic() - started


@pytest.mark.matrix("T3", f"kill -9 of PostgreSQL under {RATE} events/s")
def test_what_was_acknowledged_outlives_postgresql(
    make_scene: Callable[..., Scene], chaos_servers: Servers, report: Report
) -> None:
    """T3, R-001, R-009: clients see 202 or 503; every 202 is decided; each mail goes out once at most."""
    kills = pick(quick=2, full=10)
    customers = pick(quick=300, full=1000)  # Who can get mail; later ones have no address.
    draw = dice("T3")
    scene = make_scene(prepare=PREPARE, restart=True)
    scene.introduce(customers)
    shop = scene.shop()
    recovered = []
    with Stream(shop, lambda s, n: s.event(f"c{n}"), RATE, connections=16) as stream:
        for _ in range(kills):
            time.sleep(pick(quick=0.5, full=1.0) + draw.random())
            before = chaos_servers.pids()["postgres"]
            chaos_servers.kill("postgres")
            report.faults += 1
            recovered.append(seconds_until_it_takes_events_again(chaos_servers, shop, before))
    accepted = [*stream.accepted, *shop.accepted]
    statuses = stream.statuses + shop.statuses
    report.figures = {
        "accepted": len(accepted),
        "refused": statuses[503],
        "recovered_s": round(max(recovered), 1),
        "limit_s": LIMIT_SECONDS,
    }
    # A worker that claims may have been in the middle of it: its lease has to end first.
    scene.wait_until(lambda: scene.is_settled(2 * len(stream.accepted)), 60, "all decided and delivered")
    found = judge(scene, stream.accepted)
    found.lost += judge(scene, shop.accepted, must_decide=False).lost
    found.into(report)
    assert set(statuses) <= {202, 503}, f"seed {report.seed}: {statuses}"
    assert max(recovered) <= LIMIT_SECONDS
    assert found.acquits(), f"seed {report.seed}: {found}"
    assert found.quarantined == []
    assert found.uncertain <= kills * len(scene.workers)
    decided, mailed, addressed = scene.rows(ENDS, accepted)[0]
    assert decided == len(accepted)
    assert mailed == addressed
