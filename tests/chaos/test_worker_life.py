"""A real worker and its watch: processes come and go, calls kill, ears go deaf, and an end is asked for."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from celery import current_app
from django.conf import settings
from django.db import connection

from automation import queues
from automation.engine.types import Mode
from automation.models import Delivery, Event, Execution, Heartbeat, QueuedEvent, Trigger
from automation.pipeline import lookout, publish
from config.embedded import PROJECT
from config.programs import ALL_LANES
from tests.factories import decide_all, incoming, known, make_trigger, send

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]

HOOK = {"type": "webhook", "url": "https://example.com/hook"}
Start = Callable[..., "Worker"]


class Worker:
    """One Celery worker of one process, on the database and the Redis of this test."""

    def __init__(self, log: Path, *arguments: str, **variables: str) -> None:
        url = urlsplit(settings.DATABASE_URL or settings.EMBEDDED.database_url)
        env = {
            **os.environ,
            "DATABASE_URL": urlunsplit(url._replace(path=f"/{connection.settings_dict['NAME']}")),
            "REDIS_URL": settings.REDIS_CLIENT_URL,
            "REDIS_PREFIX": settings.REDIS_PREFIX,
            "SECRET_KEY": settings.SECRET_KEY,
            "BECKON_SWEEP_SECONDS": "1",
            "BECKON_LOG_FORMAT": "text",
            **variables,
        }
        # Ends with this process, however that ends.
        command = [sys.executable, "-m", "config.child", str(os.getpid())]
        command += ["celery", "--app=config.celery", "worker", "--concurrency=1"]
        command += [
            f"--queues={ALL_LANES}",
            "--loglevel=INFO",
            "--hostname=life@test",
            "--without-gossip",
            "--without-mingle",
        ]
        self.log = log
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [*command, *arguments], cwd=PROJECT, env=env, stdout=file, stderr=file, start_new_session=True
            )

    def said(self) -> str:
        return self.log.read_text()

    def until(self, condition: Callable[[], Any], seconds: float) -> Any:
        """Wait for it, but not for ever."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            if time.monotonic() > deadline:
                pytest.fail(f"not within {seconds} s; the worker said:\n{self.said()[-3000:]}")
            time.sleep(0.05)
        return found

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    queues._client().flushdb()
    started: list[Worker] = []

    def run(*arguments: str, **variables: str) -> Worker:
        worker = Worker(tmp_path / f"{len(started)}.log", *arguments, **variables)
        started.append(worker)
        worker.until(lambda: " ready." in worker.said(), 40)
        return worker

    yield run
    for worker in started:
        worker.close()


def test_processes_are_replaced_while_the_watch_works_and_its_session_is_lost(start: Start) -> None:
    """R-014, R-032: each process of the pool does one task; the watch forks nothing that hangs."""
    worker = start("--max-tasks-per-child=1", BECKON_DRAIN_SECONDS="0.2")
    watch = lookout.WATCH + "%"
    decided_by = set()
    for turn in range(6):
        send(incoming("page_view", f"c{turn}"))
        worker.until(lambda: not QueuedEvent.objects.exists(), 15)
        decided_by |= set(Heartbeat.objects.exclude(lane=0).values_list("worker", flat=True))
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(backend_pid)) FROM automation_heartbeat WHERE worker LIKE %s",
                [watch],
            )
    assert len(decided_by) >= 4, decided_by
    assert worker.until(lambda: Heartbeat.objects.filter(worker__startswith=lookout.WATCH).exists(), 5)
    assert "timed out" not in worker.said()


def test_a_call_that_kills_its_process_is_given_up_within_seconds(start: Start) -> None:
    """R-020, T2: two processes, not twelve, and nobody waits for the lease of 120 s."""
    send(*known())
    decide_all()
    make_trigger(actions=[HOOK])
    send(incoming())
    worker = start(BECKON_FAULT="delivery_after_claim:kill")
    worker.until(lambda: Delivery.objects.filter(status="failed").exists(), 30)
    row = Delivery.objects.get()
    assert (row.error_class, row.result, row.tries) == ("worker_lost", {"worker_deaths": 2}, 2)
    assert worker.process.poll() is None
    assert Execution.objects.get().status == "failed"


def test_an_event_that_kills_its_process_is_quarantined_after_two(start: Start) -> None:
    """R-020, T2: two processes and no more, also when nobody sweeps meanwhile."""
    send(incoming())
    worker = start(BECKON_FAULT="after_claim:kill", BECKON_SWEEP_SECONDS="60")
    worker.until(lambda: not QueuedEvent.objects.exists(), 30)
    assert worker.said().count("exited with 'signal 9") == 2
    from automation.models import QuarantinedEvent

    held = QuarantinedEvent.objects.get()
    assert (held.error_class, held.worker_deaths) == ("WorkerLost", 2)


def test_a_worker_that_hears_no_bells_ends_by_itself(start: Start) -> None:
    """The known failure of Celery after a reconnect: alive, and consuming nothing."""
    worker = start(BECKON_STALL_SECONDS="3", BECKON_SWEEP_SECONDS="1")
    for name in ALL_LANES.split(","):
        current_app.control.cancel_consumer(name)
    time.sleep(1)
    queues._publish(queues.EVENTS_TASK, "low")
    assert worker.process.wait(40) == 0
    assert "bells wait but this worker starts nothing" in worker.said()


def test_a_worker_that_is_asked_to_end_in_mid_work_leaves_nothing_leased(start: Start) -> None:
    """R-032: SIGTERM under load, exit 0 within 20 s; what it had not begun is free at once."""
    make_trigger(actions=[HOOK])
    worker = start()
    send(*(incoming(customer_id=f"c{n}") for n in range(400)))
    worker.until(lambda: Delivery.objects.exclude(status="pending").exists(), 20)
    asked = time.monotonic()
    worker.process.terminate()
    assert worker.process.wait(25) == 0
    assert time.monotonic() - asked < 20
    assert not Delivery.objects.filter(status="sending").exists()
    assert not Delivery.objects.filter(status="pending", lease_until__isnull=False).exists()
    assert QueuedEvent.objects.count() + Execution.objects.count() == 400


def test_pausing_and_editing_reach_every_worker_within_two_seconds(start: Start) -> None:
    """H-057, S-079: what is accepted two seconds after the change is decided by it, whichever process decides."""
    trigger = make_trigger()
    workers = [start("--concurrency=2"), start("--hostname=other@test")]

    def feed(seconds: float) -> datetime:
        """An event every 50 ms, all decided at the end; returns when the change before was two seconds old."""
        since, names = datetime.now(UTC), itertools.count()
        while datetime.now(UTC) - since < timedelta(seconds=seconds):
            send(incoming(customer_id=f"c{next(names)}"))
            time.sleep(0.05)
        workers[0].until(lambda: not QueuedEvent.objects.exists(), 20)
        return since + timedelta(seconds=2)

    feed(2)
    assert Execution.objects.exists()
    assert Heartbeat.objects.exclude(lane=0).values("worker").distinct().count() >= 2
    publish.set_mode(trigger.pk, Mode.PAUSED, by=None)
    after = feed(3)
    assert Event.objects.filter(received_at__gt=after).count() >= 10
    assert not Execution.objects.filter(accepted_at__gt=after).exists()
    publish.publish(trigger, by=None, mode=Mode.LIVE)
    after = feed(3)
    assert set(Execution.objects.filter(accepted_at__gt=after).values_list("version__number", flat=True)) == {
        1
    }
    Trigger.objects.filter(pk=trigger.pk).update(value=7)
    publish.publish(trigger, by=None)
    after = feed(3)
    assert set(Execution.objects.filter(accepted_at__gt=after).values_list("version__number", flat=True)) == {
        2
    }
