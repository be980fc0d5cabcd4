"""T7: two and three clocks on one database: periodic work is begun twice, and has its effect once."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable

import psycopg2
import pytest

from config.programs import beat
from tests.chaos.harness.judge import judge
from tests.chaos.harness.report import Report
from tests.chaos.harness.scene import Scene
from tests.chaos.harness.size import pick
from tests.chaos.harness.stream import Stream

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

TWO_SECONDS = pick(quick=2, full=10)  # With two beats.
THREE_SECONDS = pick(quick=4, full=50)  # Then with three.
RATE = 10
EVENTS = RATE * (TWO_SECONDS + THREE_SECONDS)
WAITING = pick(quick=20, full=200)  # Executions whose moment comes in between.
COUNTS = 1000  # Of an ended hour, which `tidy` sums up: not one may be counted twice.
# Every periodic task is due each second, so that clocks that disagree have the most to double.
PREPARE = f"""
from datetime import UTC, datetime, timedelta
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from automation.models import Tally
from tests.factories import EMAIL, make_trigger
second, _ = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
PeriodicTask.objects.filter(task__startswith="automation.").update(interval=second, expire_seconds=5)
make_trigger("now", actions=[EMAIL])
make_trigger("later", on="page_viewed", actions=[EMAIL], timing={{"kind": "delay", "minutes": 60}})
hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
Tally.objects.bulk_create(Tally(hour=hour, kind="chaos", count=1) for _ in range({COUNTS}))
"""
# Whoever adds a periodic task has to say here what keeps two clocks from doubling it.
IDEMPOTENT_BY = {
    "periodic_audit": "advisory lock; reads, and one row says how far it came",
    "periodic_invariants": "reads only",
    "periodic_partitions": "advisory lock; makes what is missing, drops what is old",
    "periodic_sweep": "advisory lock; claims each dead worker and each lease by one statement",
    "periodic_tidy": "advisory lock; rows are removed by the statement that sums them up",
}
PARTITIONS = "SELECT count(*), count(DISTINCT inhrelid) FROM pg_inherits"
# A batch of a worker whose session is gone: a sweep counts the death of its worker.
DIED = (
    "INSERT INTO automation_heartbeat (worker, lane, event_ids, backend_pid)"
    " SELECT 'dead-' || clock_timestamp() || '-' || n, 3, '[-1]', -1 FROM generate_series(1, %s) AS n"
)


def _write(scene: Scene, statement: str, *values: object) -> None:
    connection = psycopg2.connect(scene.database_url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
    finally:
        connection.close()


def _counted(scene: Scene, kind: str) -> int:
    return int(scene.value("SELECT coalesce(sum(count), 0) FROM automation_tally WHERE kind = %s", kind))


def _runs(scene: Scene) -> Counter[str]:
    """How often the workers were told to run each periodic task."""
    said = "".join(scene.said(name) for name in scene.workers)
    return Counter(re.findall(r"Task automation\.tasks\.(periodic_\w+)\[\S+ received", said))


@pytest.mark.matrix("T7", "two, then three beats; every periodic task each second")
def test_more_clocks_than_one_have_each_effect_once(make_scene: Callable[..., Scene], report: Report) -> None:
    """T7, R-014: two and three beats double no count, no decision and no mail."""
    scene = make_scene(prepare=PREPARE)
    listed = scene.rows("SELECT task FROM django_celery_beat_periodictask WHERE task NOT LIKE 'celery.%%'")
    assert {task.removeprefix("automation.tasks.") for (task,) in listed} == IDEMPOTENT_BY.keys()

    scene.introduce(EVENTS + WAITING)
    shop = scene.shop()
    shop.send(shop.event(f"c{EVENTS + n}", "page_viewed") for n in range(WAITING))
    scene.wait_until(
        lambda: scene.value("SELECT count(*) FROM automation_execution WHERE due_at IS NOT NULL") == WAITING,
        30,
    )
    partitions = scene.rows(PARTITIONS)
    more = [scene.another(beat())]
    scene.wait_until(lambda: more[0].is_ready, 30, "the second beat")
    before, died, sweeps = _runs(scene), 0, _counted(scene, "sweeps")
    with Stream(shop, lambda s, n: s.event(f"c{n}"), RATE, limit=EVENTS, is_patient=True) as stream:
        started = time.monotonic()
        for turn in range(TWO_SECONDS + THREE_SECONDS):
            if turn == TWO_SECONDS:
                more.append(scene.another(beat()))
            _write(scene, DIED, 3)
            died += 3
            # Some of the waiting become due, spread over the run.
            _write(
                scene,
                "UPDATE automation_execution SET due_at = now() WHERE id IN (SELECT id FROM automation_execution"
                " WHERE due_at > now() + interval '1 minute' LIMIT %s)",
                -(-WAITING // (TWO_SECONDS + THREE_SECONDS)),
            )
            time.sleep(max(0.0, started + turn + 1 - time.monotonic()))
        stream.join()
        took = time.monotonic() - started
        ran = _runs(scene) - before
    report.faults = len(more)
    scene.wait_until(lambda: scene.is_settled(EVENTS + WAITING), 30, "settled")
    scene.wait_until(lambda: _counted(scene, "worker_deaths") >= died, 10, "deaths counted")
    found = judge(scene, [*stream.accepted, *shop.accepted])
    found.into(report)
    report.figures = {
        "slots": round(took),
        "runs": dict(ran),
        "sweeps": _counted(scene, "sweeps") - sweeps,
        "deaths": died,
        "deaths_counted": _counted(scene, "worker_deaths"),
        "mails": len(scene.received()),
    }
    assert all(child.is_running for child in more)
    for name in ("beat", *(child.program.name for child in more)):
        assert scene.said(name).count("Sending due task") >= 3, (
            f"{name} did nothing: this test proves nothing"
        )
    assert _counted(scene, "worker_deaths") == died
    assert _counted(scene, "chaos") == COUNTS
    assert scene.value("SELECT count(*) FROM automation_tally WHERE kind = 'chaos'") == 1
    assert scene.rows(PARTITIONS) == partitions
    assert scene.statuses("automation_execution") == {"triggered": EVENTS + WAITING}
    assert len(scene.received()) == EVENTS + WAITING
    assert found.acquits(), found
    assert found.uncertain == 0
