"""T8 over two lanes: nothing but the lock on the profile keeps decisions of different lanes apart."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from config.embedded import PROJECT
from tests.chaos.harness.report import Report
from tests.chaos.harness.scene import Scene
from tests.chaos.harness.size import full_only

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

CUSTOMERS, EACH = 200, 2
LANES = ("HIGH", "MEDIUM")
PROCESSES = 4
PREPARE = f"""
from automation.engine.types import Priority
from tests.factories import EMAIL, decide_all, incoming, known, make_trigger, send
make_trigger("urgent", on="checkout_started", actions=[EMAIL], priority=Priority.HIGH)
make_trigger("usual", on="cart_abandonment", actions=[EMAIL], priority=Priority.MEDIUM)
send(*(event for n in range({CUSTOMERS}) for event in known(f"c{{n}}")))
decide_all()
for _ in range({EACH}):
    for name in ("checkout_started", "cart_abandonment"):
        send(*(incoming(name, f"c{{n}}") for n in range({CUSTOMERS})))
"""
# Each racer serves one lane, as shards keep two workers of one lane from one customer. They start together.
RACER = """
import django, sys, time
django.setup()
from automation.engine.types import Priority
from automation.models import QueuedEvent
from automation.pipeline import index, process
lane = Priority[sys.argv[1]]
index.current()
print("ready", flush=True)
sys.stdin.readline()
ends = time.monotonic() + 60
while time.monotonic() < ends and QueuedEvent.objects.filter(lane=lane).exists():
    if not process.decide_next(lane, limit=20, worker=sys.argv[2]):
        time.sleep(0.005)
"""
COUNTS = """
SELECT (SELECT count(*) FROM automation_queuedevent), (SELECT count(*) FROM automation_sendreservation),
 (SELECT count(DISTINCT profile_id) FROM automation_sendreservation), (SELECT count(*) FROM automation_delivery)
"""


@full_only
@pytest.mark.matrix("T8", f"cap 1, {CUSTOMERS} customers, events in two lanes at once")
def test_cap_one_holds_for_events_that_two_lanes_decide_at_once(
    make_scene: Callable[..., Scene], report: Report
) -> None:
    """T8, R-015, R-016: exactly one message for each customer, whichever lane was first."""
    scene = make_scene(prepare=PREPARE, workers=(), web=False, beat=False)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, LANES[n % len(LANES)], f"racer-{n}"],
            env={**scene.supervisor.env, "DJANGO_SETTINGS_MODULE": "config.settings"},
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(PROCESSES)
    ]
    try:
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        assert [racer.wait(90) for racer in racers] == [0] * PROCESSES
    finally:
        for racer in racers:
            racer.kill()
            racer.communicate()
    waiting, reserved, customers, deliveries = scene.rows(COUNTS)[0]
    deadlocks = scene.value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    report.figures = {"sends": deliveries, "customers": customers, "deadlocks": deadlocks}
    report.lost, report.duplicates = waiting, reserved - customers
    assert (waiting, reserved, customers, deliveries) == (0, CUSTOMERS, CUSTOMERS, CUSTOMERS)
    assert deadlocks == 0
