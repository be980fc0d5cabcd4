"""What goes wrong stays small: one bad row, one slow batch, one failing step never stops the rest."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import OperationalError

from automation import queues
from automation.engine.types import Mode, Priority
from automation.models import Execution, Heartbeat, QueuedEvent, TriggerVersion
from automation.pipeline import claim, deliver, due, index, plan, process, quarantine, sweep
from tests.factories import EMAIL, decide_all, incoming, known, make_trigger, outcomes, send

pytestmark = pytest.mark.django_db(transaction=True)
DELAY = {"kind": "delay", "minutes": 30}


def make_due() -> None:
    Execution.objects.filter(due_at__isnull=False).update(due_at=datetime.now(UTC) - timedelta(seconds=1))


def test_a_waiting_execution_that_cannot_be_judged_fails_alone() -> None:
    """R-019, S-097: a version this release cannot read must not stop its lane."""
    broken, healthy = make_trigger(timing=DELAY), make_trigger(timing=DELAY)
    send(incoming(), incoming(customer_id="bob"))
    decide_all()
    TriggerVersion.objects.filter(trigger=broken).update(definition={"key": "gone"})
    plan.plan_of_version.cache_clear()
    make_due()
    assert due.decide_due(Priority.MEDIUM) == 4
    assert {status for status, _ in outcomes(broken)} == {"failed"}
    assert outcomes(healthy) == [("pending", ""), ("pending", "")]
    assert "ValidationError" in Execution.objects.filter(trigger=broken)[0].error


def test_the_blast_guard_holds_for_delayed_triggers_too() -> None:
    make_trigger(timing=DELAY, max_per_hour=2)
    send(*(incoming(customer_id=f"c{n}") for n in range(5)))
    decide_all()
    make_due()
    due.decide_due(Priority.MEDIUM)
    assert sorted(outcomes()) == [("pending", "")] * 2 + [("suppressed", "blast_guard")] * 3


def test_a_broken_condition_does_not_use_up_the_dedupe_value() -> None:
    """H-047, R-017: batched as one at a time."""
    rule = {"field": "total", "operator": "greater_than", "value": 1}
    make_trigger(
        conditions=[{"type": "event_match", "event_type": "purchase_completed", "data_conditions": [rule]}],
        dedupe_path="event.order_id",
    )
    now = datetime.now(UTC)
    for n, total in enumerate(([], 5, [])):
        data = {"order_id": "o1", "total": total}
        send(incoming("purchase_completed", data=data, at=now + timedelta(milliseconds=n)))
        decide_all()
    assert outcomes() == [("suppressed", "broken_condition"), ("pending", "")]


def test_a_state_event_that_fails_or_was_imported_holds_nobody_up() -> None:
    """R-009: urgent events of the customer go on."""
    make_trigger(on="alarm", priority=Priority.CRITICAL)
    send(incoming("identify", data={"traits": {"plan": "pro"}}, is_import=True))
    send(incoming("alarm"))
    assert process.decide_next(Priority.CRITICAL, limit=10, worker="w") == 1
    send(incoming("identify", "bob", data={"traits": {"plan": "pro"}}))
    send(incoming("alarm", "bob"))
    assert process.decide_next(Priority.CRITICAL, limit=10, worker="w") == 0
    QueuedEvent.objects.filter(is_state=True).update(data_failures=2)
    assert process.decide_next(Priority.CRITICAL, limit=10, worker="w") == 1


def test_an_imported_consent_counts_for_the_events_of_its_batch() -> None:
    make_trigger(actions=[EMAIL])
    people = [event for event in known() if event.name == "identify"]
    send(*people)
    decide_all()
    past = datetime.now(UTC) - timedelta(minutes=5)
    granted = {"topic": "marketing", "channel": "email", "is_granted": True}
    send(incoming("consent_changed", data=granted, at=past, is_import=True), incoming())
    QueuedEvent.objects.update(lane=int(Priority.LOW))
    decide_all()
    assert outcomes() == [("pending", "")]


def test_replayed_state_events_are_state_events_still() -> None:
    """R-021."""
    (accepted,) = send(incoming("consent_changed", data={"is_granted": False}))
    quarantine.hold(accepted.event_id, "ValueError", "why")
    quarantine.replay(accepted.event_id)
    assert QueuedEvent.objects.get().is_state


def test_a_failing_step_of_the_sweep_takes_nothing_from_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """R-014."""
    rung: list[str] = []
    monkeypatch.setattr(queues, "_enqueue", lambda task, lane: rung.append(lane))
    send(incoming("page_view"))
    claim.peek(Priority.LOW, limit=1, worker="dead")
    Heartbeat.objects.update(backend_pid=0)
    rung.clear()

    def broken() -> int:
        raise OperationalError("lock timeout")

    monkeypatch.setattr(deliver, "rescue", broken)
    assert sweep.sweep()
    assert rung == ["low"]
    assert QueuedEvent.objects.get().worker_deaths == 1


def test_nobody_is_blamed_for_a_restart_of_postgresql() -> None:
    """R-020: every session ends with it."""
    send(incoming("page_view"))
    claim.peek(Priority.LOW, limit=1, worker="w")
    Heartbeat.objects.update(backend_pid=0, at=datetime.now(UTC) - timedelta(days=30))
    sweep.sweep()
    assert QueuedEvent.objects.get().worker_deaths == 0


def test_a_batch_that_runs_into_a_limit_is_halved_and_grows_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rows are not tried at full size for ever."""
    send(*(incoming("page_view", customer_id="one") for _ in range(20)))
    real, sizes, slow = process._attempt, [], [True, True]

    def attempt(batch: claim.Batch, worker: str) -> int:
        sizes.append(len(batch.ids))
        if slow and slow.pop():
            raise OperationalError("canceling statement due to statement timeout")
        return real(batch, worker)

    monkeypatch.setattr(process, "_attempt", attempt)
    monkeypatch.setattr(process, "_patience", {})
    for _ in range(2):
        with pytest.raises(OperationalError):
            process.decide_next(Priority.LOW, limit=16, worker="w")
        assert Heartbeat.objects.get().event_ids == []
    while process.decide_next(Priority.LOW, limit=16, worker="w"):
        pass
    assert sizes == [16, 8, 4, 8, 8]


def test_a_forked_child_has_bells_of_its_own() -> None:
    """R-010: what the parent's thread waited on would be waited on for ever."""
    before = queues._bells
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, b"1" if queues._bells is not before and queues._publisher is None else b"0")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 1) == b"1"
    os.close(read)
    os.close(write)


def test_every_bell_is_heard_in_turn() -> None:
    """R-014, R-035: with strict order a flood of one lane would silence the sweep and the lanes below."""
    assert django_settings.CELERY_BROKER_TRANSPORT_OPTIONS["queue_order_strategy"] == "round_robin"


def test_a_shadow_trigger_that_waits_is_judged_in_shadow() -> None:
    make_trigger(actions=[EMAIL], timing=DELAY, mode=Mode.SHADOW)
    send(*known(), incoming())
    decide_all()
    make_due()
    due.decide_due(Priority.MEDIUM)
    assert outcomes() == [("suppressed", "shadow")]
    assert index.current().by_id


def test_urgent_events_are_decided_between_two_batches_of_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """R-035, S-054: no event waits for a whole mailing."""
    from automation.pipeline import drain

    make_trigger(on="alarm", priority=Priority.CRITICAL)
    decided: list[int] = []

    def mailing(lane: str, **_: Any) -> int:
        decided.append(Execution.objects.count())
        if len(decided) == 1:
            send(incoming("alarm"), incoming("page_view", "bob"))
        return drain.DELIVERIES_AT_ONCE if len(decided) < 3 else 0

    monkeypatch.setattr(drain.deliver, "deliver_batch", mailing)
    drain.deliveries("low")
    assert decided == [0, 1, 1]
    assert QueuedEvent.objects.get().lane == int(Priority.LOW)
