"""T8: eight events for each of 200 customers, a cap of one message, and everybody at once: 200 messages."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest

from config.embedded import PROJECT
from config.programs import ALL_LANES
from tests.chaos.harness.judge import judge
from tests.chaos.harness.report import Report
from tests.chaos.harness.scene import Scene
from tests.chaos.harness.size import dice, full_only

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

CUSTOMERS, EACH, PROCESSES = 200, 8, 8
KILLS = 10
TRIGGER = """
from tests.factories import EMAIL, make_trigger
make_trigger("mail", actions=[EMAIL])
"""
# All events are there before the race begins.
EVENTS = f"""
from datetime import UTC, datetime, timedelta
from tests.factories import decide_all, incoming, known, send
send(*(event for n in range({CUSTOMERS}) for event in known(f"c{{n}}")))
decide_all()
now = datetime.now(UTC)
for turn in range({EACH}):
    at = now + timedelta(milliseconds=turn)
    send(*(incoming(customer_id=f"c{{n}}", at=at) for n in range({CUSTOMERS})))
"""
RACER = """
import django, sys, time
django.setup()
from automation.engine.types import Priority
from automation.models import QueuedEvent
from automation.pipeline import process
from django.db import connection
with connection.cursor() as cursor:  # All begin at once.
    cursor.execute("SET lock_timeout = 0; SELECT pg_advisory_lock_shared(8)")
    cursor.execute("SELECT pg_advisory_unlock_shared(8); SET lock_timeout = '5s'")
ends = time.monotonic() + 60
while time.monotonic() < ends:
    if not process.decide_next(Priority.MEDIUM, limit=50, worker=sys.argv[1]):
        if not QueuedEvent.objects.exists():
            break
        time.sleep(0.01)
"""
READY = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 8 AND NOT granted"
# Rows that took a place under the cap, customers who have one, deliveries, events held back by the cap.
COUNTS = """
SELECT (SELECT count(*) FROM automation_sendreservation),
 (SELECT count(DISTINCT profile_id) FROM automation_sendreservation),
 (SELECT count(*) FROM automation_delivery),
 (SELECT coalesce(sum(held_count), 0)::int FROM automation_execution
  WHERE status = 'suppressed' AND reason = 'frequency_cap')
"""
TRANSACTIONS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


@pytest.mark.matrix("T8", "cap 1, 200 customers x 8 events, 8 racing processes")
def test_cap_one_holds_for_1600_events_over_eight_processes(
    make_scene: Callable[..., Scene], report: Report
) -> None:
    """T8, R-015, R-016, H-014, H-015, S-181, S-182, S-183: exactly one message for each of 200 customers."""
    env = {"BECKON_LANE_SHARERS": str(PROCESSES)}
    scene = make_scene(prepare=TRIGGER + EVENTS, env=env, workers=(), web=False, beat=False)
    shared = {**scene.supervisor.env, "DJANGO_SETTINGS_MODULE": "config.settings"}
    start = psycopg2.connect(scene.database_url)
    start.cursor().execute("SELECT pg_advisory_lock(8)")
    racers = [
        subprocess.Popen([sys.executable, "-c", RACER, f"racer-{n}"], env=shared, cwd=PROJECT)
        for n in range(PROCESSES)
    ]
    try:
        scene.wait_until(lambda: scene.value(READY) == PROCESSES, 60, "all processes are at the start")
        start.close()
        assert [racer.wait(90) for racer in racers] == [0] * PROCESSES
    finally:
        for racer in racers:
            racer.kill()
            racer.wait()
    reserved, customers, deliveries, held = scene.rows(COUNTS)[0]
    report.figures = {"sends": deliveries, "customers": customers, "deadlocks": scene.value(TRANSACTIONS)}
    report.duplicates = reserved - customers
    assert (reserved, customers, deliveries) == (CUSTOMERS, CUSTOMERS, CUSTOMERS)
    assert held == CUSTOMERS * (EACH - 1)
    assert report.figures["deadlocks"] == 0


@full_only
@pytest.mark.matrix("T8", f"the same over 8 workers, {KILLS} of them killed")
def test_cap_one_holds_over_eight_workers_that_are_killed(
    make_scene: Callable[..., Scene], report: Report
) -> None:
    """T8, R-015, R-016, H-014, H-015: one message each, no deadlock, no event failed."""
    draw = dice("T8")
    scene = make_scene(prepare=TRIGGER, workers=(ALL_LANES,) * PROCESSES)
    scene.introduce(CUSTOMERS)
    shop = scene.shop()
    deadlocks = scene.value(TRANSACTIONS)
    now = datetime.now(UTC)
    for turn in range(EACH):
        at = (now + timedelta(milliseconds=turn)).isoformat()
        shop.send(shop.event(f"c{n}", timestamp=at) for n in range(CUSTOMERS))
        if turn:
            for _ in range(2 if turn <= KILLS - (EACH - 1) else 1):
                time.sleep(draw.random() * 0.1)
                victim = draw.choice(scene.ready_workers())
                scene.kill(victim)
                scene.revive(victim, wait=False)
                report.faults += 1
    replayed = scene.settle(2 * CUSTOMERS, 90)
    # A repeat of what was held back is counted with its first, so not each event has a decision of its own.
    found = judge(scene, shop.accepted, must_decide=False)
    found.into(report)
    reserved, customers, deliveries, held = scene.rows(COUNTS)[0]
    report.figures = {
        "sends": deliveries,
        "replayed": replayed,
        "customers": customers,
        "deadlocks": scene.value(TRANSACTIONS) - deadlocks,
    }
    assert report.faults == KILLS
    assert found.acquits(), f"seed {report.seed}: {found}"
    assert found.quarantined == []
    assert found.uncertain <= KILLS
    assert (reserved, customers, deliveries) == (CUSTOMERS, CUSTOMERS, CUSTOMERS)
    assert held == CUSTOMERS * (EACH - 1)
    assert report.figures["deadlocks"] == 0
    assert scene.statuses("automation_execution")["failed"] == 0
