"""The watch of a worker: what it does when nobody sweeps, no bell can come, or its worker is deaf."""

from __future__ import annotations

import os
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from automation import queues, watch
from automation.fork_gate import gate
from automation.models import Delivery, Execution, Heartbeat, QueuedEvent, Tally
from automation.pipeline import drain, lookout, sweep
from automation.watch import Watch
from tests.factories import EMAIL, decide_all, incoming, known, make_trigger, send

pytestmark = pytest.mark.django_db(transaction=True)
ALL = ("critical", "high", "low", "medium", "periodic")


class FakePool:
    """A pool that starts what the test says."""

    def __init__(self) -> None:
        self.started, self.at_work = 0, 0

    def starts(self) -> int:
        return self.started

    def running(self) -> int:
        return self.at_work


class Stage:
    """A watch with a clock that the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.pool = FakePool()
        self.bells: int | None = 0
        self.sweeps = 0
        self.ended = 0
        monkeypatch.setattr(queues, "_enqueue", lambda task, lane: None)
        monkeypatch.setattr(queues, "waiting", lambda lanes: self.bells)
        original = sweep.sweep

        def count() -> bool:
            self.sweeps += 1
            return original()

        monkeypatch.setattr(watch.sweep, "sweep", count)
        self.watch = Watch(ALL, self.pool, task_limit=90, clock=lambda: self.now, end_worker=self.end)

    def end(self) -> None:
        self.ended += 1

    def pass_time(self, seconds: float) -> None:
        """Turn once a second."""
        for _ in range(int(seconds)):
            self.now += 1
            self.watch.turn()


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


def age_of_sweep(**ago: float) -> None:
    Heartbeat.objects.filter(worker=lookout.SWEEP).update(at=datetime.now(UTC) - timedelta(**ago))


def test_it_sweeps_when_nobody_has_swept_for_two_intervals(stage: Stage) -> None:
    """R-014: at the worker's start, and while it is idle; not when beat or another watch did."""
    stage.watch.turn()
    assert stage.sweeps == 1
    stage.pass_time(25)
    assert stage.sweeps == 1
    age_of_sweep(seconds=19)
    stage.pass_time(10)
    assert stage.sweeps == 1
    age_of_sweep(seconds=21)
    stage.pass_time(10)
    assert stage.sweeps == 2
    age_of_sweep(hours=-1)  # PostgreSQL's clock went back.
    stage.pass_time(10)
    assert stage.sweeps == 3


def test_without_redis_it_decides_and_delivers_by_itself(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-011, R-014: within seconds, whatever the lane; nothing when a worker is there to hear the bells."""
    monkeypatch.setattr(
        "automation.channels.registry.Channels.send", lambda *_: pytest.fail("not to be sent")
    )
    make_trigger(on="alarm", priority=1)
    send(incoming("alarm"), incoming("page_view", "bob"))
    stage.pass_time(15)
    assert QueuedEvent.objects.count() == 2  # Bells can be heard, and the worker has started a task lately.
    stage.bells = None
    stage.pass_time(25)
    assert not QueuedEvent.objects.exists()
    assert Delivery.objects.get().status == "sent"


def test_it_leaves_the_lanes_of_others_alone(stage: Stage) -> None:
    send(incoming("page_view"))
    stage.bells = None
    stage.watch = Watch(("critical", "high"), stage.pool, task_limit=90, clock=lambda: stage.now)
    stage.pass_time(25)
    assert QueuedEvent.objects.count() == 1


def test_overdue_work_of_a_worker_that_starts_nothing_is_done_although_redis_answers(stage: Stage) -> None:
    """R-014: bells were lost, or are not heard; after two intervals the watch does the work."""
    send(incoming("page_view"))
    stage.pass_time(40)
    assert QueuedEvent.objects.count() == 1  # Due for a moment only.
    QueuedEvent.objects.update(due_at=datetime.now(UTC) - timedelta(seconds=30))
    stage.pool.started += 1
    stage.pass_time(15)
    assert QueuedEvent.objects.count() == 1  # The pool is at it.
    stage.pass_time(25)
    assert not QueuedEvent.objects.exists()


def test_a_deaf_worker_is_ended_once_with_the_reason(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """Bells wait and no task starts for 60 seconds; the service manager starts a new worker."""
    stage.bells = 3
    stage.pass_time(59)
    assert stage.ended == 0
    stage.pass_time(100)
    assert stage.ended == 1
    assert "bells wait but this worker starts nothing" in caplog.text


def test_the_end_of_a_process_ends_the_lease_of_its_call_alone(stage: Stage) -> None:
    """R-020: the call of a process that lives goes on, and so does that of another worker's dead one."""
    people = ("alice", "bob", "carol")
    send(*(event for name in people for event in known(name)))
    decide_all()
    make_trigger(actions=[EMAIL])
    send(*(incoming(customer_id=name) for name in people))
    decide_all()
    dead = subprocess.Popen(["true"])
    dead.wait()
    me = drain.worker_name()
    until = datetime.now(UTC) + timedelta(seconds=100)
    rows = list(Delivery.objects.order_by("pk"))
    for row, name in zip(
        rows, (f"{me}/{dead.pid}", f"{me}/{os.getpid()}", f"other:1/{dead.pid}"), strict=True
    ):
        Delivery.objects.filter(pk=row.pk).update(status="sending", lease_until=until, worker=name)
    stage.watch.turn()
    for row in rows:
        row.refresh_from_db()
    assert [row.result for row in rows] == [{"worker_deaths": 1}, {}, {}]
    assert [row.status for row in rows] == ["uncertain", "sending", "sending"]  # The first look sweeps, too.
    assert [row.lease_until for row in rows] == [None, until, until]


def test_a_clock_that_is_wrong_is_said_and_forgotten_when_it_is_right(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """R-023: more than two seconds between this machine and PostgreSQL."""
    original = lookout.look

    def look(*lanes: Any, **rest: Any) -> Any:
        seen = original(*lanes, **rest)
        return seen._replace(at=seen.at + timedelta(seconds=shift))

    monkeypatch.setattr(watch.lookout, "look", look)
    name = lookout.SKEW + drain.worker_name()
    for shift, is_noted in ((1.5, False), (-3.0, True), (3600.0, True), (0.0, False)):
        stage.pass_time(10)
        assert Heartbeat.objects.filter(worker=name).exists() == is_noted, shift
    assert caplog.text.count("run an NTP client") == 1


def test_the_thread_survives_the_loss_of_its_database_session(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-014: as after a restart of PostgreSQL; it makes a new one and goes on."""
    monkeypatch.setattr(watch, "TICK_SECONDS", 0.01)
    monkeypatch.setattr("django.conf.settings.SWEEP_SECONDS", 0.01)
    stage.watch = Watch(ALL, stage.pool, task_limit=90)
    stage.watch.start()
    try:
        name = lookout.WATCH + drain.worker_name()
        pids = set()
        for _ in range(3):
            pid = _until(lambda: _session_of(name, known=pids))
            pids.add(pid)
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
        assert _until(lambda: _session_of(name, known=pids))
    finally:
        stage.watch.stop()
    assert not stage.watch.is_alive()


def _session_of(name: str, *, known: set[int]) -> int | None:
    pids = (
        Heartbeat.objects.filter(worker=name)
        .exclude(backend_pid__in=known)
        .values_list("backend_pid", flat=True)
    )
    return pids[0] if pids else None


def _until(look: Any) -> Any:
    for _ in range(400):
        found = look()
        if found:
            return found
        threading.Event().wait(0.02)
    pytest.fail("not within 8 s")


def test_a_fork_waits_until_no_thread_is_at_work() -> None:
    """Or the child would inherit locks that nobody can release."""
    inside, leave = threading.Event(), threading.Event()
    seen: list[str] = []

    def work() -> None:
        with gate():
            inside.set()
            leave.wait(5)
            seen.append("work")

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait(5)
    threading.Timer(0.2, leave.set).start()
    pid = os.fork()
    if pid == 0:
        with gate():  # Free in the child.
            os._exit(0)
    seen.append("fork")
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert seen == ["work", "fork"]


def test_an_idle_watch_asks_the_database_a_few_cheap_things(
    stage: Stage, django_assert_max_num_queries: Any
) -> None:
    """Per interval: its own row, one look. Nothing in between."""
    stage.watch.turn()
    with django_assert_max_num_queries(5):
        stage.pass_time(10)
    assert Tally.objects.filter(kind="sweeps").count() == 1
    assert not Execution.objects.exists()
