"""T2: single processes of a worker's pool are killed, as the system does when memory is short."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import time
from collections.abc import Callable

import psycopg2
import pytest

from tests.chaos.harness.judge import judge
from tests.chaos.harness.report import Report
from tests.chaos.harness.scene import Scene
from tests.chaos.harness.size import dice, full_only

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

EVENTS, KILLS, POISON_BATCH = 1000, 50, 20
PREPARE = """
from tests.factories import EMAIL, make_trigger
make_trigger("mail", actions=[EMAIL])
"""
REPLAY = """
from automation.models import QuarantinedEvent
from automation.pipeline import quarantine
for event_id in QuarantinedEvent.objects.filter(state="held").values_list("event_id", flat=True):
    quarantine.replay(event_id)
"""
# Whoever has said that it tries a poisoned event, and takes it, stays there for a moment: long enough to be killed.
# Not whoever takes it off the queue because two have died of it: that one does not try it.
TRAP = """
CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF EXISTS (SELECT FROM automation_event e JOIN automation_heartbeat h ON h.event_ids @> to_jsonb(e.id)
    WHERE e.id = OLD.event_id AND e.name = 'poison' AND h.backend_pid = pg_backend_pid())
    AND OLD.worker_deaths < 2
  THEN PERFORM pg_sleep(1); END IF;
  RETURN OLD;
END $$;
CREATE TRIGGER linger BEFORE DELETE ON automation_queuedevent FOR EACH ROW EXECUTE FUNCTION linger();
"""
TRAPPED = """
SELECT h.worker, a.pid FROM automation_heartbeat h JOIN pg_stat_activity a ON a.pid = h.backend_pid
WHERE a.wait_event = 'PgSleep' AND a.datname = current_database()
"""


def _kill_child(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


@full_only
@pytest.mark.matrix("T2", "kill -9 of single pool processes, and some that run out of memory")
def test_dying_pool_processes_lose_nothing(make_scene: Callable[..., Scene], report: Report) -> None:
    """T2, R-011, R-012, R-018, R-026: a process of the pool ends in the middle of its work; nothing is lost."""
    draw = dice("T2")
    scene = make_scene(prepare=PREPARE)
    scene.introduce(EVENTS)
    shop = scene.shop()
    greedy = scene.armed_worker("after_claim:oom@0.3")
    scene.wait_until(lambda: greedy.is_ready, 60, "the armed worker is ready")
    each = EVENTS // KILLS
    for turn in range(KILLS):
        shop.send(shop.event(f"c{turn * each + n}") for n in range(each))
        time.sleep(draw.random() * 0.2)
        found: list[int] = []
        while not found:
            found = scene.pool_of(draw.choice(scene.workers))
        report.faults += _kill_child(draw.choice(found))
    out_of_memory = scene.said(greedy.program.name).count("exited with 'signal 9")
    greedy.kill()
    report.faults += out_of_memory
    scene.wait_until(
        lambda: scene.value("SELECT count(*) FROM automation_queuedevent") == 0, 60, "all decided"
    )
    held = scene.value("SELECT count(*) FROM automation_quarantinedevent WHERE state = 'held'")
    if held:  # Those that two kills happened to hit; an operator replays them.
        scene.run(REPLAY)
    scene.wait_until(lambda: scene.is_settled(EVENTS), 60, "all decided and delivered")
    judged = judge(scene, shop.accepted)
    judged.into(report)
    report.figures = {"out_of_memory": out_of_memory, "held_and_replayed": held}
    assert len(shop.accepted) == EVENTS
    assert out_of_memory > 0
    assert judged.acquits(), f"seed {report.seed}: {judged}"
    assert judged.quarantined == []
    assert judged.uncertain <= report.faults
    ended = scene.statuses("automation_delivery")
    assert ended["sent"] + ended["uncertain"] == EVENTS


@full_only
@pytest.mark.matrix("T2", "an event that kills whoever takes it")
def test_an_event_that_kills_its_worker_is_held_after_two_deaths(
    make_scene: Callable[..., Scene], report: Report
) -> None:
    """T2, R-020: two deaths, then it is in quarantine; those that were in its batch are decided."""
    scene = make_scene(prepare=PREPARE + "make_trigger('segment', on='poison')")
    scene.introduce(POISON_BATCH)
    connection = psycopg2.connect(scene.database_url)
    with connection, connection.cursor() as cursor:
        cursor.execute(TRAP)
    connection.close()
    shop = scene.shop()
    events = [shop.event(f"c{n}") for n in range(POISON_BATCH)]
    events[POISON_BATCH // 2]["event_type"] = "poison"
    shop.send(events)
    held = "SELECT count(*) FROM automation_quarantinedevent WHERE state = 'held'"
    until, dead = time.monotonic() + 60, set()
    while not scene.value(held):
        assert time.monotonic() < until, scene.state()
        for worker, backend in scene.rows(TRAPPED):
            if backend not in dead:
                dead.add(backend)
                report.faults += _kill_child(int(re.split("[:/]", worker)[-1]))
        time.sleep(0.02)
    scene.wait_until(lambda: scene.is_settled(POISON_BATCH - 1), 30, "the others are decided and delivered")
    judged = judge(scene, shop.accepted)
    judged.into(report)
    report.figures = {"kills": report.faults, "limit": 2}
    assert judged.acquits(), judged
    assert judged.quarantined == [events[POISON_BATCH // 2]["message_id"]]
    assert report.faults <= 2
    deaths = scene.rows("SELECT error_class, worker_deaths FROM automation_quarantinedevent")
    assert deaths == [("WorkerLost", 2)], json.dumps(deaths)
