"""T19: a worker that is never replaced works through hundreds of thousands of events and does not grow."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from config.embedded import PROJECT
from config.programs import ALL_LANES
from config.programs import workers as worker_programs
from tests.chaos.harness.report import Report
from tests.chaos.harness.scene import Scene
from tests.chaos.harness.size import full_only

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(420)]

EVENTS, WARM_UP = 300_000, 50_000
CUSTOMERS = 10_000
SLOPE_MB, CAP_MB = 5.0, 400.0  # For each 100,000 events, and ever.
SECONDS = 270.0
NO_LIMITS = ("--max-tasks-per-child=100000000", "--max-memory-per-child=100000000")
PREPARE = """
from tests.factories import SEGMENT, make_trigger
rule = {"field": "total_value", "operator": "greater_than", "value": 90}
make_trigger("dear", on="purchase_completed", conditions=[{"type": "event_match", "event_type": "purchase_completed",
    "data_conditions": [rule]}], actions=[SEGMENT], max_per_customer=1)
"""
# Straight through `ingest`, so that the worker and not the web is what takes the time.
FEED = f"""
import random, time
from automation.models import QueuedEvent
from tests.factories import incoming, send
draw = random.Random(19)
names = ("page_viewed", "product_viewed", "add_to_cart", "purchase_completed", "search")
for turn in range({EVENTS} // 500):
    while turn % 10 == 0 and QueuedEvent.objects.count() > 15_000:
        time.sleep(0.2)
    send(*(incoming(draw.choice(names), f"c{{draw.randrange({CUSTOMERS})}}", message_id=f"m{{turn}}-{{n}}",
        data={{"total_value": draw.randrange(100), "product_id": f"p{{draw.randrange(500)}}", "page": "/a/b"}},
    ) for n in range(500)))
"""
DECIDED = (
    "SELECT (SELECT count(*) FROM automation_messagekey) - (SELECT count(*) FROM automation_queuedevent),"
    " (SELECT count(*) FROM automation_queuedevent)"
)


def rss_mb(pid: int) -> float:
    """Resident memory; 0 when there is no such process."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    line = next((line for line in status.splitlines() if line.startswith("VmRSS")), "VmRSS: 0 kB")
    return int(line.split()[1]) / 1024


@full_only
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.matrix("T19", f"{EVENTS:,} events through one worker that is never replaced")
def test_a_worker_that_is_never_replaced_does_not_grow(
    make_scene: Callable[..., Scene], report: Report
) -> None:
    """T19: at most 5 MB more for each 100,000 events after the warm-up, and never 400 MB."""
    scene = make_scene(prepare=PREPARE, workers=(), web=False, env={"BECKON_LANE_SHARERS": "1"})
    program = worker_programs([ALL_LANES])[0]
    worker = scene.another(replace(program, arguments=program.arguments + NO_LIMITS))
    scene.wait_until(lambda: worker.is_ready, 60, "the worker")
    assert worker.process is not None
    parent = worker.process.pid
    (child,) = _pool_of(parent)
    started = time.monotonic()
    feeder = subprocess.Popen(
        [sys.executable, "manage.py", "shell", "--verbosity=0", "-c", FEED],
        cwd=PROJECT,
        env=scene.supervisor.env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    samples: list[tuple[int, float, float]] = []
    done = 0
    try:
        while time.monotonic() - started < SECONDS:
            time.sleep(1)
            done, queued = scene.rows(DECIDED)[0]
            samples.append((done, rss_mb(child), rss_mb(parent)))
            if feeder.poll() is not None and queued == 0:
                break
        took = time.monotonic() - started
    finally:
        feeder.kill()
        _, said = feeder.communicate()
    late = [sample for sample in samples if sample[0] >= WARM_UP]
    report.figures = {"events": done, "of": EVENTS, "events_per_s": round(done / took)}
    assert feeder.returncode in (0, -9), said.decode()[-2000:]
    assert _pool_of(parent) == [child], "the process was replaced: this test proves nothing"
    assert len(late) > 20, f"too few samples: {len(late)}"
    slopes = {}
    for name, column in (("child", 1), ("parent", 2)):
        fit = statistics.linear_regression([s[0] for s in late], [s[column] for s in late])
        slopes[name] = round(fit.slope * 100_000, 2)
        report.figures[f"{name}_mb_per_100k"] = slopes[name]
        report.figures[f"{name}_peak_mb"] = round(max(s[column] for s in samples))
    report.lost = 0 if done == EVENTS else None
    assert max(slopes.values()) <= SLOPE_MB
    assert max(max(s[1:]) for s in samples) <= CAP_MB
    assert done == EVENTS, "the machine was too slow for all of them"


def _pool_of(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]
