"""Workers die, Redis forgets everything, eight processes race: nothing is lost, nothing is sent twice."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from automation.models import Delivery, Execution, QuarantinedEvent, QueuedEvent, SendReservation
from tests.chaos.conftest import Scene, environment, wait_until
from tests.factories import EMAIL, decide_all, incoming, known, make_trigger, send

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True), pytest.mark.timeout(240)]

SEED = 20_261_124


def introduce(count: int) -> None:
    """Customers with an address and a consent, already decided."""
    for start in range(0, count, 250):
        send(*(event for n in range(start, min(start + 250, count)) for event in known(f"c{n}")))
    decide_all()


def settled(events: int) -> bool:
    """Every event is decided and every delivery has ended."""
    return (
        not QueuedEvent.objects.exists()
        and Execution.objects.count() + QuarantinedEvent.objects.count() >= events
        and not Delivery.objects.filter(status__in=["pending", "sending"]).exists()
    )


def test_kill_9_of_the_workers_ten_times_loses_nothing_and_sends_nothing_twice(scene: Scene) -> None:
    """T1, R-001, R-011..R-018, R-025, R-026, H-010..H-013, H-016, H-022: interrupted sends are visible."""
    events, kills = 1000, 10
    draw = random.Random(SEED)
    introduce(events)
    make_trigger(actions=[EMAIL])
    for start in range(0, events, 100):
        send(*(incoming(customer_id=f"c{n}") for n in range(start, start + 100)))
    for kill in range(kills):
        wanted = (kill + 1) * events // (kills + 2)
        wait_until(lambda wanted=wanted: Delivery.objects.exclude(status="pending").count() >= wanted, 30)
        time.sleep(draw.random() * 0.05)
        scene.kill(draw.choice(scene.workers))
    wait_until(lambda: settled(events), 60)

    ended = dict.fromkeys(Delivery.Status.values, 0)
    for status in Delivery.objects.values_list("status", flat=True):
        ended[status] += 1
    arrived = {mail["message_id"] for mail in scene.received()}
    sent = {f"<{d.pk}@beckon.local>" for d in Delivery.objects.filter(status="sent")}
    uncertain = {f"<{d.pk}@beckon.local>" for d in Delivery.objects.filter(status="uncertain")}
    assert Execution.objects.count() == events, f"seed {SEED}"
    assert not QuarantinedEvent.objects.exists()
    assert ended["sent"] + ended["uncertain"] == events, f"seed {SEED}: {ended}"
    assert scene.repeated() == []
    assert sent <= arrived
    assert arrived <= sent | uncertain
    assert len(uncertain) <= kills


def test_redis_flushall_in_mid_run_loses_nothing(scene: Scene) -> None:
    """T4, R-011: late by one sweep at most."""
    events = 600
    introduce(events)
    make_trigger(actions=[EMAIL])
    for start in range(0, events, 100):
        send(*(incoming(customer_id=f"c{n}") for n in range(start, start + 100)))
    wait_until(lambda: Delivery.objects.filter(status="sent").count() >= events // 5, 30)
    scene.redis.flushall()
    took = wait_until(lambda: settled(events), 15)
    assert took <= 15
    assert Delivery.objects.filter(status="sent").count() == events
    assert len(scene.received()) == events
    assert scene.repeated() == []


_RACER = """
import django, sys, time
django.setup()
from automation.engine.types import Priority
from automation.pipeline import process
ends = time.monotonic() + 60
while time.monotonic() < ends:
    if not process.decide_next(Priority.MEDIUM, limit=50, worker=sys.argv[1]):
        from automation.models import QueuedEvent
        if not QueuedEvent.objects.exists():
            break
        time.sleep(0.01)
"""


def test_cap_one_holds_for_1600_events_over_eight_processes(transactional_db: None) -> None:
    """T8, R-015, R-016, H-014, H-015, S-181..S-183: exactly one message for each of 200 customers."""
    customers, each = 200, 8
    introduce(customers)
    make_trigger(actions=[EMAIL])
    now = datetime.now(UTC)
    for turn in range(each):
        send(
            *(incoming(customer_id=f"c{n}", at=now + timedelta(milliseconds=turn)) for n in range(customers))
        )
    shared = {**os.environ, **environment(8), "DJANGO_SETTINGS_MODULE": "config.settings"}
    racers = [subprocess.Popen([sys.executable, "-c", _RACER, f"racer-{n}"], env=shared) for n in range(8)]
    assert [racer.wait(90) for racer in racers] == [0] * 8
    assert SendReservation.objects.count() == customers
    assert SendReservation.objects.values("profile_id").distinct().count() == customers
    assert Delivery.objects.count() == customers
    held = Execution.objects.filter(status="suppressed", reason="frequency_cap")
    assert sum(held.values_list("held_count", flat=True)) == customers * (each - 1)
