"""Calls that take long are left to a thread: the worker goes on, and what came of them is recorded (R-030)."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from automation.channels import http_guard
from automation.models import Delivery, Tally
from automation.pipeline import calls, lookout
from automation.pipeline.calls import CALLS, Calls, Left
from automation.pipeline.deliver import deliver_batch, rescue
from tests.integration.deliver.factory import EMAIL, make_execution, make_template, make_trigger
from tests.integration.deliver.hookserver import HookServer, answer, dripping
from tests.integration.deliver.mailserver import Ledger

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(calls, "PATIENCE", 0.2)
    monkeypatch.setattr(http_guard, "TOTAL_SECONDS", 1.0)
    yield
    assert CALLS.finish(5)


def _hook(hooks: HookServer) -> dict[str, Any]:
    return {"type": "webhook", "url": hooks.url}


def test_a_call_that_hangs_holds_neither_the_worker_nor_its_batch(hooks: HookServer, smtp: Ledger) -> None:
    """R-030: the mail behind it goes out at once; the end of the call is recorded as ever."""
    make_template()
    hooks.answer = dripping
    hook = make_execution(make_trigger([_hook(hooks)]))
    Delivery.objects.update(due_at=datetime.now(UTC) - timedelta(minutes=1))
    make_execution(make_trigger([EMAIL]))
    started = time.monotonic()
    assert deliver_batch("medium", worker="w", limit=10) == 2
    assert time.monotonic() - started < 0.9
    assert len(smtp.messages) == 1
    assert Delivery.objects.get(execution_id=hook.pk).status == "sending"
    assert CALLS.finish(5)
    row = Delivery.objects.get(execution_id=hook.pk)
    assert (row.status, row.error_class, row.tries, row.lease_until) == ("pending", "timeout", 1, None)
    assert Tally.objects.filter(kind="deliveries", label="pending").count() == 1


def test_an_answer_that_comes_late_counts(hooks: HookServer) -> None:
    """R-030: left to itself is not given up."""
    hooks.answer = lambda handler: (time.sleep(0.5), answer(200)(handler))[1]
    make_execution(make_trigger([_hook(hooks)]))
    deliver_batch("medium", worker="w", limit=10)
    assert CALLS.finish(5)
    assert list(Delivery.objects.values_list("status", "tries")) == [("sent", 1)]


def test_a_destination_that_is_being_called_waits_without_using_up_attempts(hooks: HookServer) -> None:
    """R-030: one process makes one call at a time to whoever takes long."""
    hooks.answer = dripping
    for _ in range(4):
        make_execution(make_trigger([_hook(hooks)]))
    assert deliver_batch("medium", worker="w", limit=10) == 4
    assert len(hooks.seen) == 1
    waiting = Delivery.objects.filter(status="pending")
    assert {(row.tries, row.lease_until, row.worker, row.reason) for row in waiting} == {(0, None, "", "")}
    assert min(row.due_at for row in waiting) > datetime.now(UTC)  # type: ignore[type-var]
    assert CALLS.finish(5)


def test_a_late_result_of_a_row_that_others_have_is_discarded(hooks: HookServer) -> None:
    """R-013: its lease has ended and the row was claimed anew: `attempt` fences, whoever records."""
    hooks.answer = dripping
    make_execution(make_trigger([_hook(hooks)]))
    deliver_batch("medium", worker="w", limit=10)
    Delivery.objects.update(lease_until=datetime.now(UTC) - timedelta(seconds=1))
    assert rescue() == 1
    assert CALLS.finish(5)
    assert list(Delivery.objects.values_list("status", "error_class")) == [("pending", "interrupted")]
    assert Tally.objects.filter(kind="lease_lost").count() == 1


def test_a_call_that_goes_on_is_not_blamed_for_the_end_of_its_process(hooks: HookServer) -> None:
    """R-020: only what a process was in the middle of may have killed it; a call beside it is tried again."""
    hooks.answer = dripping
    make_execution(make_trigger([_hook(hooks)]))
    deliver_batch("medium", worker="host:1/2", limit=10)
    assert "host:1/2" not in lookout.look([], age=0, pool="host:1/").calling
    assert lookout.blame(["host:1/2"]) == []
    assert CALLS.finish(5)


def test_where_forks_come_from_every_call_is_waited_for(hooks: HookServer) -> None:
    """R-030: no thread of a worker's parent may hold a lock while the next process of its pool is forked."""
    hooks.answer = dripping
    make_execution(make_trigger([_hook(hooks)]))
    with CALLS.staying():
        deliver_batch("medium", worker="w", limit=10)
        assert CALLS.finish(0)
    assert list(Delivery.objects.values_list("status", "error_class")) == [("pending", "timeout")]


def test_with_many_long_calls_the_worker_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """R-030: the number of threads is bounded."""
    monkeypatch.setattr(calls, "PATIENCE", 0.01)
    gate, many = threading.Event(), Calls()
    for number in range(calls.MOST):
        left = many.make(f"host{number}", gate.wait)
        assert isinstance(left, Left)
        left.record(lambda result: None)
    assert many.is_going_on("host0")
    assert not many.finish(0.01)
    assert many.make("another", lambda: time.sleep(0.1) or "waited for") == "waited for"
    gate.set()
    assert many.finish(5)
    assert not many.is_going_on("host0")


def test_a_fork_has_no_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads do not survive a fork: a process of the pool begins with none."""
    monkeypatch.setattr(calls, "PATIENCE", 0.01)
    gate, here = threading.Event(), Calls()
    left = here.make("host", gate.wait)
    assert isinstance(left, Left)
    left.record(lambda result: None)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert not here.is_going_on("host")
    assert here.finish(0)
    assert here.make("host", lambda: "made") == "made"
    gate.set()
