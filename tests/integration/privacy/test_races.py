"""An erasure while the same person is ingested, decided, delivered, joined or named for the first time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection, transaction

from automation import invariants
from automation.engine.types import Priority
from automation.models import Delivery, Event, MessageKey, QuarantinedEvent, QueuedEvent, Task
from automation.pipeline import batch, endings, ingest, process, quarantine
from automation.privacy import Receipt, Who, erase, tombstone
from automation.privacy.holdings import HOLDINGS
from profiles import services
from profiles.models import Identity, Profile
from tests.factories import EMAIL, decide_all, incoming, make_trigger, send
from tests.integration.privacy import people
from tests.integration.privacy.people import CUSTOMER, NEEDLES, cart, deliver_all, introduced
from tests.integration.privacy.residue import dump, hits

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def forget(who: Who | None = None) -> Receipt:
    return erase(who or Who(customer_id=CUSTOMER), by="test", now=NOW)


def elsewhere(step: Callable[[], Any]) -> threading.Thread:
    """Run `step` on a connection of its own."""

    def run() -> None:
        try:
            step()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_an_event_stored_behind_the_erasure_is_dropped_by_its_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """R-052: its customer was looked up before, its row was written after."""
    send(*introduced())
    decide_all()
    insert = ingest._insert

    def late(*args: Any, **kwargs: Any) -> Any:
        elsewhere(forget).join()
        return insert(*args, **kwargs)

    monkeypatch.setattr(ingest, "_insert", late)
    send(cart())
    assert Event.objects.count() == 1
    assert decide_all() == 1
    assert (Event.objects.count(), MessageKey.objects.count()) == (0, 0)
    assert hits(dump(), NEEDLES) == {}


def test_a_worker_that_holds_events_drops_them_when_it_gets_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """R-052: it took them from the queue before the erasure, which does not wait for the worker."""
    make_trigger(actions=[people.TASK])
    send(*introduced(), cart())

    def erased_now(point: str) -> None:
        if point == "after_claim" and not Profile.objects.filter(erased_at=NOW).exists():
            elsewhere(forget).join()

    monkeypatch.setattr(process, "fault", erased_now)
    decide_all()
    assert Profile.objects.filter(erased_at=NOW).exists()
    assert (Event.objects.count(), QueuedEvent.objects.count(), Task.objects.count()) == (0, 0, 0)
    assert hits(dump(), NEEDLES) == {}
    assert [proof for proof in invariants.verify() if proof.breaches] == []


def test_a_failing_event_is_not_quarantined_behind_the_erasure() -> None:
    """R-052: its traceback would quote the customer."""
    (accepted,) = send(cart())
    row = QueuedEvent.objects.get()
    forget()
    row.save(force_insert=True)  # A worker had it in its hands, and its transaction was rolled back.
    with transaction.atomic():
        quarantine.hold(accepted.event_id, "ValueError", f"ValueError: {people.ADDRESS}")
    assert not QuarantinedEvent.objects.exists()
    decide_all()
    assert not QueuedEvent.objects.exists()


def test_the_answer_of_a_call_under_way_is_not_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """R-052, R-013: the message may have gone out; what came back says nothing any more."""
    make_trigger(actions=[EMAIL], message_class="transactional")
    send(*introduced(), cart())
    decide_all()

    def answered(outcome: Any) -> Any:
        elsewhere(forget).join()
        return endings.Ending(endings.SENT, provider_id="provider", result={"to": people.ADDRESS})

    monkeypatch.setattr(batch.endings, "failed", lambda *args, **kwargs: answered(None))
    monkeypatch.setattr(batch.endings, "succeeded", answered)
    deliver_all()
    row = Delivery.objects.get()
    assert (row.status, row.provider_id, row.result, row.address) == ("uncertain", "", {}, "")


def test_a_first_contact_under_way_when_the_unknown_name_is_buried_is_erased_too() -> None:
    """R-052: its statement began before the tombstone and could not see it."""
    created, go_on = threading.Event(), threading.Event()

    def first_contact() -> None:
        with transaction.atomic():
            services._create([("customer", CUSTOMER)])
            created.set()
            go_on.wait(10)

    other = elsewhere(first_contact)
    assert created.wait(10)
    threading.Timer(0.5, go_on.set).start()
    receipt = forget()
    other.join()
    assert receipt.outcome == "erased"
    assert not Identity.objects.exists()
    assert Profile.objects.get().erased_at == NOW


def test_an_anonymous_profile_is_not_claimed_for_somebody_while_it_is_erased() -> None:
    """R-052: the row that stays must not become somebody else."""
    send(incoming(customer_id=None, anonymous_id="visitor"))
    profile = Profile.objects.get()
    forget(Who(anonymous_id="visitor"))
    assert services._claim(profile.pk, "alan") is False
    services._add(("anonymous", "another"), profile.pk)
    assert not Identity.objects.exists()


@pytest.mark.parametrize("table", [holding.table for holding in HOLDINGS])
def test_an_event_that_is_stored_between_two_steps_leaves_nothing(table: str) -> None:
    """R-052: ingestion waits for no lock of the erasure, and each step sees what was stored before it."""
    send(*introduced())
    decide_all()

    def store(following: str) -> None:
        if following == table:
            elsewhere(lambda: send(cart(message_id=""))).join()

    erase(Who(customer_id=CUSTOMER), by="test", now=NOW, progress=store)
    decide_all()
    assert (Event.objects.count(), MessageKey.objects.count(), QueuedEvent.objects.count()) == (0, 0, 0)


def test_samples_that_were_taken_during_the_erasure_are_taken_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """R-052: autovacuum may look at the rows in the very moment before they go."""
    send(*introduced(), cart())
    bury = tombstone.bury

    def analyzed(*args: Any) -> int:
        def analyze() -> None:
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE automation_event, automation_messagekey")

        elsewhere(analyze).join()
        return bury(*args)

    monkeypatch.setattr(tombstone, "bury", analyzed)
    forget()
    assert hits(dump(), NEEDLES) == {}


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_left_after_a_crowd(seed: int) -> None:
    """T23, R-052, R-015: ingestion, decisions, deliveries and the erasure at the same moment, then the rest drained."""
    make_trigger(actions=[people.SEGMENT, people.TASK, EMAIL])
    send(*introduced())
    decide_all()
    barrier, problems = threading.Barrier(4), []

    def ingesting() -> None:
        for number in range(15):
            send(cart(message_id=f"message-of-hopper-{seed}-{number}", anonymous_id=people.ANONYMOUS))
            send(*introduced())

    def deciding() -> None:
        for _ in range(15):
            for lane in Priority:
                process.decide_next(lane, limit=50, worker=f"w{threading.get_ident()}")

    def delivering() -> None:
        for _ in range(5):
            deliver_all()

    def guarded(step: Callable[[], Any]) -> Callable[[], None]:
        def run() -> None:
            try:
                barrier.wait(10)
                step()
            except Exception as error:  # noqa: BLE001 - reported by the assertion below
                problems.append(error)

        return run

    threads = [elsewhere(guarded(step)) for step in (ingesting, deciding, delivering, forget)]
    for thread in threads:
        thread.join()
    assert problems == []
    decide_all()
    deliver_all()
    assert hits(dump(), NEEDLES) == {}
    assert [proof for proof in invariants.verify() if proof.breaches] == []
