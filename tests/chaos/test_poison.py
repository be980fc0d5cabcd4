"""T15: events that cannot be decided, or that are the end of whoever tries, in a batch of healthy ones."""

from __future__ import annotations

import itertools
import math
import os
import signal
import time
from collections.abc import Callable

import psycopg2
import pytest

from config.programs import ALL_LANES
from tests.chaos.harness.report import Report
from tests.chaos.harness.scene import Scene
from tests.chaos.harness.shop import Shop
from tests.chaos.harness.size import full_only

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

BATCH = 200
BUDGET, DEATHS = 5, 2  # Failures, and killed processes, after which an event is held.
# What no request could bring in, and a bug of tomorrow could store.
POISON = {
    "AttributeError": "to_jsonb(42)",  # Data that are no object.
    "RecursionError": "(repeat('[', 4000) || repeat(']', 4000))::jsonb",
}
PREPARE = """
from tests.factories import make_trigger
make_trigger("seen")
"""
_turns = itertools.count()


def _write(scene: Scene, statement: str, *values: object) -> None:
    connection = psycopg2.connect(scene.database_url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
    finally:
        connection.close()


def _fill(scene: Scene, shop: Shop) -> list[int]:
    """A batch's worth of events, while the worker is held; their ids."""
    (name,) = scene.workers
    scene.signal(name, signal.SIGSTOP)
    turn = next(_turns)
    shop.send(shop.event(f"c{turn}-{n}", data={"note": "x"}) for n in range(BATCH))
    ids = [id for (id,) in scene.rows("SELECT event_id FROM automation_queuedevent ORDER BY 1")]
    assert len(ids) == BATCH
    return ids


def _counted(scene: Scene, kind: str) -> int:
    return int(scene.value("SELECT coalesce(sum(count), 0) FROM automation_tally WHERE kind = %s", kind))


def _settle(scene: Scene) -> None:
    """Until everything is decided or held; what waits for another try need not wait in real time."""

    def done() -> bool:
        _write(
            scene,
            "UPDATE automation_queuedevent SET due_at = now() WHERE data_failures > 0 AND due_at > now()",
        )
        return scene.is_settled(0)

    scene.wait_until(done, 90, "decided or held")


def _check(scene: Scene, ids: list[int], bad: dict[int, tuple[str, int]], column: str) -> int:
    """The healthy are decided, the others held for their own reason; returns how many are neither."""
    held = scene.rows(
        f"SELECT event_id, error_class, {column} FROM automation_quarantinedevent WHERE event_id = ANY(%s)",
        ids,
    )
    done = scene.rows(
        "SELECT event_id FROM automation_execution WHERE status = 'triggered' AND event_id = ANY(%s)", ids
    )
    assert {id: tuple(rest) for id, *rest in held} == bad
    assert sorted(id for (id,) in done) == sorted(set(ids) - set(bad))
    return len(ids) - len(held) - len(done)


def _raise(scene: Scene, shop: Shop, poisoned: int) -> tuple[int, int]:
    """Some of a batch raise; lost events and extra tries."""
    ids = _fill(scene, shop)
    before = _counted(scene, "bisected")
    bad = dict(zip(ids[:: BATCH // poisoned], itertools.cycle(POISON), strict=False))
    bad = dict(itertools.islice(bad.items(), poisoned))
    for error, data in POISON.items():
        chosen = [id for id, kind in bad.items() if kind == error]
        _write(scene, f"UPDATE automation_event SET data = {data} WHERE id = ANY(%s)", chosen)
    scene.signal(*scene.workers, signal.SIGCONT)
    _settle(scene)
    lost = _check(scene, ids, {id: (kind, BUDGET) for id, kind in bad.items()}, "data_failures")
    extra = 2 * (_counted(scene, "bisected") - before)  # Each split makes two tries of one.
    assert extra <= 2 * math.ceil(math.log2(BATCH)) * poisoned
    return lost, extra


def _kill(scene: Scene, shop: Shop, poisoned: int) -> tuple[int, int]:
    """Some of a batch are the end of whoever tries them; lost events and processes killed."""
    ids = _fill(scene, shop)
    bad = ids[:: BATCH // poisoned][:poisoned]
    kills = 0
    # We are about to write the keys of their decisions: a process that tries them stays there until it is killed.
    holder = psycopg2.connect(scene.database_url)
    try:
        with holder.cursor() as cursor:
            cursor.execute(
                "INSERT INTO automation_executionkey (profile_id, trigger_id, dedupe_key, execution_id)"
                " SELECT q.profile_id, t.id, 'e:' || q.event_id, -1 FROM automation_queuedevent q, automation_trigger t"
                " WHERE q.event_id = ANY(%s)",
                [bad],
            )
        scene.signal(*scene.workers, signal.SIGCONT)
        until = time.monotonic() + 90
        held = "SELECT count(*) FROM automation_quarantinedevent WHERE event_id = ANY(%s)"
        while scene.value(held, bad) < poisoned:
            assert time.monotonic() < until, scene.state()
            for worker, trying, session in scene.rows(
                "SELECT h.worker, h.event_ids, h.backend_pid FROM automation_heartbeat h JOIN pg_stat_activity a"
                " ON a.pid = h.backend_pid WHERE a.wait_event_type = 'Lock' AND a.datname = current_database()"
            ):
                # Named host:parent/pid; the parent itself, which helps out when nobody else does, is spared.
                if "/" in worker and set(bad) & set(trying):
                    os.kill(int(worker.rpartition("/")[2]), signal.SIGKILL)
                    # PostgreSQL notices a dead client at once, but not while it waits for our lock.
                    scene.rows("SELECT pg_terminate_backend(%s)", session)
                    kills += 1
                    gone = "SELECT count(*) FROM automation_heartbeat WHERE worker = %s AND event_ids <> '[]'"
                    scene.wait_until(lambda gone=gone, w=worker: scene.value(gone, w) == 0, 30, "noticed")
    finally:
        holder.close()
    _settle(scene)
    return _check(scene, ids, dict.fromkeys(bad, ("WorkerLost", DEATHS)), "worker_deaths"), kills


@full_only
@pytest.mark.matrix("T15", "1, 3 or all events of a batch of 200 raise, or kill their process")
def test_poison_is_held_and_the_healthy_do_not_suffer(
    make_scene: Callable[..., Scene], report: Report
) -> None:
    """T15, R-019, R-020: all healthy events are decided, all others held; at most 2 log2 n extra tries for each
    that raises; what kills its process, as the system does when memory runs out, is held after two deaths.
    """
    scene = make_scene(prepare=PREPARE, workers=(ALL_LANES,))
    shop = scene.shop()
    report.lost, report.figures = 0, {"limit_for_one": 2 * math.ceil(math.log2(BATCH))}
    for poisoned in (1, 3, BATCH):
        lost, report.figures[f"extra_tries_{poisoned}"] = _raise(scene, shop, poisoned)
        report.lost, report.faults = report.lost + lost, report.faults + poisoned
    for poisoned in (1, 3):
        lost, kills = _kill(scene, shop, poisoned)
        report.lost, report.faults = report.lost + lost, report.faults + kills
        report.figures[f"kills_{poisoned}"] = kills
        assert kills <= DEATHS * poisoned
    assert report.lost == 0
