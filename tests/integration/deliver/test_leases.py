"""Whose row it is: claims, leases, fencing, and what becomes of interrupted sends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError, connection

from automation.channels.email import EmailChannel
from automation.models import Delivery, SendReservation, Tally
from automation.pipeline import deliver, delivery_rows
from automation.pipeline.deliver import deliver_batch, rescue
from profiles import services
from tests.integration.deliver.factory import (
    EMAIL,
    deliveries,
    make_execution,
    make_profile,
    make_template,
    make_trigger,
)
from tests.integration.deliver.mailserver import Ledger

pytestmark = pytest.mark.django_db(transaction=True)
HOOK = {"type": "webhook", "url": "https://example.com/hook"}


def _expire(**fields: Any) -> None:
    Delivery.objects.update(lease_until=datetime.now(UTC) - timedelta(seconds=1), **fields)


def _during_send(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    original = EmailChannel.send

    def send(self: EmailChannel, message: Any) -> Any:
        receipt = original(self, message)
        act()
        return receipt

    monkeypatch.setattr(EmailChannel, "send", send)


def test_a_claim_takes_only_rows_that_are_due_pending_and_free() -> None:
    """R-012: in order of their moment; claimed ones carry lease, attempt and worker."""
    make_template()
    trigger = make_trigger([EMAIL])
    now = datetime.now(UTC)
    late = make_execution(trigger, due=now - timedelta(minutes=1))
    early = make_execution(trigger, due=now - timedelta(minutes=2))
    make_execution(trigger, due=now + timedelta(hours=1))
    other_lane = make_execution(make_trigger([EMAIL], priority=1), due=now - timedelta(minutes=3))
    rows = delivery_rows.claim(3, worker="w1", limit=10)
    assert [row.execution_id for row in rows] == [early.pk, late.pk]
    assert delivery_rows.claim(3, worker="w2", limit=10) == []
    (row,) = deliveries(early)
    assert (row.status, row.attempt, row.worker) == ("pending", 1, "w1")
    assert row.lease_until is not None
    assert timedelta(seconds=110) < row.lease_until - now < timedelta(seconds=125)
    assert deliveries(other_lane)[0].attempt == 0


def test_two_workers_never_claim_the_same_row() -> None:
    """R-012: SKIP LOCKED."""
    make_template()
    trigger = make_trigger([EMAIL])
    for _ in range(30):
        make_execution(trigger)
    taken: list[Any] = []
    barrier = threading.Barrier(4)

    def work(name: str) -> None:
        try:
            barrier.wait()
            for _ in range(5):
                taken.extend(row.id for row in delivery_rows.claim(3, worker=name, limit=3))
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(f"w{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 30


def test_a_killed_worker_loses_nothing_it_had_not_begun(smtp: Ledger) -> None:
    """S-059, R-012, R-014: its claimed rows are claimed again when the lease has ended."""
    make_template()
    execution = make_execution(make_trigger([EMAIL]))
    delivery_rows.claim(3, worker="dead", limit=10)
    assert deliver_batch("medium", worker="w", limit=10) == 0
    _expire()
    assert deliver_batch("medium", worker="w", limit=10) == 1
    (row,) = deliveries(execution)
    assert (row.status, row.attempt, row.tries) == ("sent", 2, 1)
    assert len(smtp.messages) == 1


def test_a_worker_that_stops_gives_back_what_it_had_not_begun(
    smtp: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-032: others need not wait for the lease."""
    make_template()
    trigger = make_trigger([EMAIL])
    for _ in range(3):
        make_execution(trigger)
    monkeypatch.setattr(deliver, "START_SECONDS", 0.0)
    assert deliver_batch("medium", worker="w", limit=10) == 0
    assert (
        list(Delivery.objects.values_list("status", "lease_until", "worker")) == [("pending", None, "")] * 3
    )
    monkeypatch.setattr(deliver, "START_SECONDS", 5.0)
    assert deliver_batch("medium", worker="w", limit=10) == 3
    assert len(smtp.messages) == 3


def _second_look_fails(monkeypatch: pytest.MonkeyPatch, second: Any, error: Exception) -> None:
    original = delivery_rows.look

    def look(row: delivery_rows.Row, column: str) -> Any:
        if row.execution_id == second.pk:
            raise error
        return original(row, column)

    monkeypatch.setattr(delivery_rows, "look", look)


@pytest.mark.parametrize("error", [OperationalError("gone"), InterfaceError("closed")])
def test_an_infrastructure_error_loses_no_result_and_gives_the_rest_back(
    smtp: Ledger, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """R-020, R-025, R-032: what was sent is recorded, what was not begun is free; no row is to blame."""
    make_template()
    trigger = make_trigger([EMAIL])
    first, second, third = (make_execution(trigger) for _ in range(3))
    _second_look_fails(monkeypatch, second, error)
    with pytest.raises(type(error)):
        deliver_batch("medium", worker="w", limit=10)
    rows = [deliveries(execution)[0] for execution in (first, second, third)]
    assert [row.status for row in rows] == ["sent", "pending", "pending"]
    assert [row.lease_until for row in rows] == [None, None, None]
    assert len(smtp.messages) == 1
    assert Tally.objects.get(kind="deliveries", label="sent").count == 1


def test_a_row_that_raises_fails_alone(
    smtp: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """R-019, R-020: the other rows of its batch go out, and it does not come again."""
    make_template()
    trigger = make_trigger([EMAIL])
    first, second, third = (make_execution(trigger) for _ in range(3))
    _second_look_fails(monkeypatch, second, RuntimeError("boom"))
    assert deliver_batch("medium", worker="w", limit=10) == 3
    rows = [deliveries(execution)[0] for execution in (first, second, third)]
    assert [(row.status, row.error_class, row.lease_until) for row in rows] == [
        ("sent", "", None),
        ("failed", "RuntimeError", None),
        ("sent", "", None),
    ]
    assert len(smtp.messages) == 2
    second.refresh_from_db()
    assert second.status == "failed"
    assert "RuntimeError: boom" in caplog.text  # The traceback.
    assert not SendReservation.objects.filter(execution_id=second.pk).exists()


def test_a_row_that_cannot_be_prepared_fails_alone(smtp: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """R-019, R-020: what a batch needs is loaded at once; then each row is loaded by itself."""
    make_template()
    trigger = make_trigger([EMAIL])
    first, second, third = (make_execution(trigger) for _ in range(3))
    original = services.load

    def load(profile_ids: Any) -> Any:
        if second.profile_id in profile_ids:
            raise ValueError("unreadable")
        return original(profile_ids)

    monkeypatch.setattr(services, "load", load)
    assert deliver_batch("medium", worker="w", limit=10) == 3
    rows = [deliveries(execution)[0] for execution in (first, second, third)]
    assert [(row.status, row.error_class) for row in rows] == [
        ("sent", ""),
        ("failed", "ValueError"),
        ("sent", ""),
    ]
    assert [row.lease_until for row in rows] == [None, None, None]


def test_preferences_that_no_rule_can_read_stop_only_their_own_message(smtp: Ledger) -> None:
    """R-020: a list where an object should be holds back; a pause that cannot be read is none."""
    make_template()
    trigger = make_trigger([EMAIL])
    broken = make_execution(trigger, make_profile(preferences=["x"]))
    paused = make_execution(trigger, make_profile(preferences={"pause_until": "tomorrow"}))
    assert deliver_batch("medium", worker="w", limit=10) == 2
    (row,) = deliveries(broken)
    assert (row.status, row.reason) == ("cancelled", "preference")
    assert deliveries(paused)[0].status == "sent"


def test_a_result_that_cannot_be_stored_does_not_undo_the_sending(
    smtp: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-025: sent is sent; the note says what is missing, and the rows after it go on."""
    make_template()
    trigger = make_trigger([EMAIL])
    first, second = (make_execution(trigger) for _ in range(2))
    first_id = str(deliveries(first)[0].pk)

    def storable(value: Any) -> Any:
        return {"bad": float("nan")} if first_id in str(value) else value  # jsonb knows no NaN.

    monkeypatch.setattr(delivery_rows, "storable", storable)
    assert deliver_batch("medium", worker="w", limit=10) == 2
    (row,), (other,) = deliveries(first), deliveries(second)
    assert (row.status, row.result) == ("sent", {"not_stored": "DataError"})
    assert other.status == "sent"
    assert "email_id" in other.result
    assert len(smtp.messages) == 2


def test_the_late_result_of_a_lost_lease_is_discarded_and_counted(
    smtp: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-013: another worker claimed the row meanwhile; the fencing token differs."""
    make_template()
    execution = make_execution(make_trigger([EMAIL], message_class="transactional"))
    _during_send(monkeypatch, lambda: Delivery.objects.update(attempt=7) and None)
    deliver_batch("medium", worker="w", limit=10)
    (row,) = deliveries(execution)
    assert (row.status, row.attempt, row.provider_id) == ("sending", 7, "")
    execution.refresh_from_db()
    assert execution.status == "processing"
    assert Tally.objects.get(kind="lease_lost").count == 1
    assert not Tally.objects.filter(kind="deliveries").exists()


def test_sending_is_committed_before_the_network_call(smtp: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """R-025, S-142, H-016: another session sees it while the call runs."""
    make_template()
    execution = make_execution(make_trigger([EMAIL]))
    seen: list[tuple[str, int, str]] = []

    def look() -> None:
        def read() -> None:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT d.status, d.tries, x.status FROM automation_delivery d, automation_execution x"
                    " WHERE x.id = d.execution_id"
                )
                seen.append(cursor.fetchone())
            connection.close()

        thread = threading.Thread(target=read)
        thread.start()
        thread.join()

    _during_send(monkeypatch, look)
    deliver_batch("medium", worker="w", limit=10)
    assert seen == [("sending", 1, "processing")]
    assert deliveries(execution)[0].status == "sent"


@pytest.mark.parametrize(
    ("actions", "message_class", "status", "execution_status"),
    [
        ([EMAIL], "marketing", "uncertain", "triggered"),
        ([EMAIL], "transactional", "pending", "processing"),
        ([HOOK], "marketing", "pending", "processing"),
    ],
)
def test_an_interrupted_send_becomes_uncertain_or_is_due_again(
    actions: list[dict[str, Any]], message_class: str, status: str, execution_status: str
) -> None:
    """R-014, R-026: at most once for marketing messages, at least once for everything else."""
    execution = make_execution(make_trigger(actions, message_class=message_class))
    (row,) = delivery_rows.claim(3, worker="dead", limit=1)
    delivery_rows.begin(row, "a@example.com")
    assert rescue() == 0
    _expire()
    assert rescue() == 1
    (after,) = deliveries(execution)
    assert (after.status, after.error_class, after.lease_until) == (status, "interrupted", None)
    execution.refresh_from_db()
    assert execution.status == execution_status
    assert rescue() == 0
    if actions == [EMAIL]:
        assert SendReservation.objects.count() == 1  # It counts as sent.


def test_a_worker_that_dies_at_every_try_does_not_try_for_ever() -> None:
    """R-029: rescue gives up like a failure does."""
    execution = make_execution(make_trigger([HOOK]))
    (row,) = delivery_rows.claim(3, worker="dead", limit=1)
    delivery_rows.begin(row, "")
    _expire(tries=12)
    assert rescue() == 1
    assert deliveries(execution)[0].status == "failed"


def test_a_row_somebody_decides_about_is_left_alone(smtp: Ledger) -> None:
    """R-015: a claim never waits for a decision, so it cannot deadlock with one."""
    make_template()
    execution = make_execution(make_trigger([EMAIL]))
    locked, release = threading.Event(), threading.Event()

    def hold() -> None:
        from django.db import transaction

        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM automation_execution WHERE id = %s FOR UPDATE", [execution.pk])
                locked.set()
                release.wait(10)
        finally:
            connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    locked.wait(10)
    try:
        assert deliver_batch("medium", worker="w", limit=10) == 0
        assert smtp.messages == []
        assert deliveries(execution)[0].lease_until is None
    finally:
        release.set()
        thread.join()
    assert deliver_batch("medium", worker="w", limit=10) == 1
    assert len(smtp.messages) == 1
