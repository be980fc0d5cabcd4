"""What finds work that no bell speaks for."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django_celery_beat.models import PeriodicTask

from automation import queues
from automation.engine.types import Mode, Priority
from automation.models import Event, Heartbeat, MessageKey, MissSample, QuarantinedEvent, QueuedEvent, Tally
from automation.models.partitioned import ensure_partitions, month_start
from automation.pipeline import claim, process, quarantine, retention, sweep, tally
from automation.pipeline.publish import publish
from tests.factories import decide_all, incoming, make_trigger, outcomes, send

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bells(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The bells that would have been rung."""
    rung: list[tuple[str, str]] = []
    monkeypatch.setattr(queues, "_enqueue", lambda task, lane: rung.append((task.rsplit(".")[-1], lane)))
    return rung


def test_a_sweeper_may_not_stand_still_for_long_and_afterwards_its_session_may() -> None:
    """R-014: a stopped process would keep the lock of the sweep, and nobody could sweep any more."""
    seen = []
    with connection.execute_wrapper(lambda execute, sql, *rest: (seen.append(sql), execute(sql, *rest))[1]):
        assert sweep.sweep()
    watched = [sql for sql in seen if "idle_session_timeout" in sql]
    assert watched[0].startswith("SET idle_session_timeout = '10s'")
    assert seen.index(watched[0]) < seen.index(next(sql for sql in seen if "automation_queuedevent" in sql))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('idle_session_timeout'),"
            " current_setting('idle_in_transaction_session_timeout')"
        )
        assert cursor.fetchone() == ("0", "1min")


def test_the_sweep_rings_the_lanes_that_have_due_work(bells: list[Any]) -> None:
    """R-011, R-014, S-098: a bell that was lost costs one sweep interval."""
    make_trigger(on="alarm", priority=Priority.CRITICAL)
    send(incoming("alarm"), incoming("page_view"))
    bells.clear()
    assert sweep.sweep()
    assert sorted(bells) == [("drain_events", "critical"), ("drain_events", "low")]


def test_ingest_rings_each_lane_once(bells: list[Any]) -> None:
    make_trigger(on="alarm", priority=Priority.CRITICAL)
    send(*(incoming("alarm") for _ in range(5)), incoming("page_view"))
    assert sorted(bells) == [("drain_events", "critical"), ("drain_events", "low")]


def test_two_sweeps_at_once_are_one_sweep(bells: list[Any]) -> None:
    """R-014, T7: two beats have no extra effect."""
    results: list[bool] = []
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [sweep.LOCK])

        def other() -> None:
            results.append(sweep.sweep())
            connection.close()

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        cursor.execute("SELECT pg_advisory_unlock(%s)", [sweep.LOCK])
    assert results == [False]


def test_an_event_that_killed_its_worker_twice_is_quarantined(bells: list[Any]) -> None:
    """R-020: the worker's database session is gone in the middle of a batch."""
    (accepted,) = send(incoming())
    for deaths in (1, 2):
        batch = claim.peek(Priority.LOW, limit=10, worker="dead")
        assert batch is not None
        Heartbeat.objects.update(backend_pid=0)
        sweep.sweep()
        if deaths == 1:
            assert QueuedEvent.objects.get().worker_deaths == 1
    held = QuarantinedEvent.objects.get()
    assert (held.event_id, held.error_class, held.worker_deaths) == (accepted.event_id, "WorkerLost", 2)
    assert sum(Tally.objects.filter(kind="worker_deaths").values_list("count", flat=True)) == 2


def test_suspects_are_tried_one_at_a_time(bells: list[Any]) -> None:
    send(*(incoming(customer_id=f"c{n}") for n in range(10)))
    suspect = QueuedEvent.objects.first()
    assert suspect is not None
    QueuedEvent.objects.filter(pk=suspect.pk).update(worker_deaths=1)
    sizes = []
    while batch := claim.peek(Priority.LOW, limit=100, worker="w"):
        sizes.append(len(batch.ids))
        if suspect.pk in batch.ids:
            break
        QueuedEvent.objects.filter(pk__in=batch.ids).delete()
    assert sizes[-1] == 1


def test_replaying_a_quarantined_event_is_idempotent(bells: list[Any]) -> None:
    """R-021."""
    make_trigger()
    (accepted,) = send(incoming())
    quarantine.hold(accepted.event_id, "ValueError", "why")
    assert not QueuedEvent.objects.exists()
    assert [quarantine.replay(accepted.event_id), quarantine.replay(accepted.event_id)] == [True, False]
    decide_all()
    assert outcomes() == [("pending", "")]
    assert QuarantinedEvent.objects.get().state == "replayed"


def test_retention_drops_whole_months_and_their_keys() -> None:
    """S-101, S-187."""
    now = datetime.now(UTC)
    send(incoming(at=now - timedelta(days=200), is_late=True), incoming(at=now))
    decide_all()
    MessageKey.objects.filter(event_id=Event.objects.order_by("occurred_at")[0].pk).update(
        created_at=now - timedelta(days=900)
    )
    later = now + timedelta(days=365)
    kept = retention.keep(later)
    assert f"automation_event_{month_start(now, -5):%Y_%m}" in kept["dropped"]
    assert f"automation_event_{month_start(later, 3):%Y_%m}" in kept["made"]
    assert Event.objects.count() == 1
    assert MessageKey.objects.count() == 1
    ensure_partitions(now, back=13)


def test_the_retention_command_says_what_it_would_do_and_does_it() -> None:
    """S-101: a dry run changes nothing."""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE automation_event_{month_start(datetime.now(UTC), 3):%Y_%m}")
    said = []
    for arguments in (["--dry-run"], [], []):
        out = StringIO()
        call_command("retention", "--json", *arguments, stdout=out)
        said.append(json.loads(out.getvalue()))
    assert said[0] == said[1]
    assert len(said[0]["made"]) == 1
    assert said[2]["made"] == []


def test_tallies_are_compacted_without_changing_a_sum() -> None:
    tally.add([("events", 1, None, "", 3)])
    tally.add([("events", 1, None, "", 4)])
    assert tally.compact(datetime.now(UTC) + timedelta(hours=1)) == 1
    assert Tally.objects.get().count == 7


def test_only_the_newest_misses_of_a_trigger_are_kept() -> None:
    now = datetime.now(UTC)
    MissSample.objects.bulk_create(
        MissSample(trigger_id=1, profile_id=1, event_id=n, event_at=now, pointer="/conditions/0")
        for n in range(70)
    )
    retention.tidy()
    assert set(MissSample.objects.values_list("event_id", flat=True)) == set(range(20, 70))


def test_the_periodic_tasks_are_rows_and_a_persons_edit_survives() -> None:
    """Created once, never overwritten."""
    from importlib import import_module

    from django.apps import apps

    migration = import_module("automation.migrations.0003_beat")
    migration.add_entries(apps, None)
    sweep_entry = PeriodicTask.objects.get(task="automation.tasks.periodic_sweep")
    assert (sweep_entry.interval.every, sweep_entry.expire_seconds, sweep_entry.queue) == (10, 60, "periodic")
    PeriodicTask.objects.filter(pk=sweep_entry.pk).update(enabled=False)
    migration.add_entries(apps, None)
    sweep_entry.refresh_from_db()
    assert sweep_entry.enabled is False
    assert PeriodicTask.objects.filter(task__startswith="automation.tasks").count() == 5


def test_a_trigger_whose_condition_keeps_breaking_is_paused_with_the_reason(
    bells: list[Any], settings: Any
) -> None:
    """H-047, S-097: broken is never `no match`; a person sees where it broke."""
    settings.BROKEN_LIMIT = 3
    rule = {"field": "total_value", "operator": "greater_than", "value": 100}
    trigger = make_trigger(
        conditions=[{"type": "event_match", "event_type": "cart_abandonment", "data_conditions": [rule]}]
    )
    for turn in range(3):
        send(incoming(data={"total_value": ["not", "a", "number"]}))
        decide_all()
        sweep.sweep()
        trigger.refresh_from_db()
        assert trigger.mode == ("paused" if turn == 2 else "live")
    assert "/conditions/0" in trigger.pause_reason
    trigger.conditions[0]["data_conditions"][0]["value"] = 200
    trigger.save()
    publish(trigger, by=None, mode=Mode.LIVE)
    sweep.sweep()
    trigger.refresh_from_db()
    assert trigger.mode == "live"


def test_one_batch_in_twenty_goes_to_the_lane_whose_bell_rang(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """R-035, S-057: a flood of urgent events cannot starve the low lane."""
    from automation.pipeline import drain

    settings.DRAIN_SECONDS = 5
    send(*(incoming("page_view", customer_id=f"c{n}") for n in range(3)))
    served: list[Priority] = []
    waiting = iter([True] * 40)

    def serve(lane: Priority, **_: Any) -> int:
        served.append(lane)
        return 1 if next(waiting, False) else 0

    QueuedEvent.objects.filter(event_id=QueuedEvent.objects.first().event_id).update(
        lane=int(Priority.CRITICAL)
    )  # type: ignore[union-attr]
    monkeypatch.setattr(drain.process, "decide_next", serve)
    drain.events("low")
    share = served[:40].count(Priority.LOW) / 40
    assert share == 0.05
    assert served[0] is Priority.CRITICAL


def test_a_worker_counts_the_death_of_another_before_it_decides() -> None:
    """R-019, R-020: what may have killed one worker is tried alone, also when no sweep has passed since."""
    make_trigger()
    events = send(*(incoming(customer_id=f"c{n}") for n in range(4)))
    Heartbeat.objects.create(
        worker="dead", lane=Priority.MEDIUM, event_ids=[e.event_id for e in events], backend_pid=2**30
    )
    done = [process.decide_next(Priority.MEDIUM, limit=500, worker="alive") for _ in range(5)]
    assert done == [1, 1, 1, 1, 0]
    assert not Heartbeat.objects.filter(worker="dead").exists()


def test_an_event_that_killed_two_workers_is_held_by_the_third() -> None:
    """R-020: it does not get at a third one, even when no sweep has passed since."""
    make_trigger()
    killer, other = send(incoming(customer_id="a"), incoming(customer_id="b"))
    QueuedEvent.objects.filter(event_id=killer.event_id).update(worker_deaths=1)
    Heartbeat.objects.create(
        worker="dead", lane=Priority.MEDIUM, event_ids=[killer.event_id], backend_pid=2**30
    )
    assert [process.decide_next(Priority.MEDIUM, limit=500, worker="alive") for _ in range(2)] == [1, 0]
    assert QuarantinedEvent.objects.get().event_id == killer.event_id
    assert not QueuedEvent.objects.exists()
