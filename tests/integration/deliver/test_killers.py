"""Deliveries that are the end of their process, and odd rows among the interrupted ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from automation.models import Delivery, TriggerVersion
from automation.pipeline import deliver, lookout, material
from automation.pipeline.deliver import rescue
from tests.integration.deliver.factory import EMAIL, deliveries, make_execution, make_template, make_trigger

pytestmark = pytest.mark.django_db(transaction=True)
HOOK = {"type": "webhook", "url": "https://example.com/hook"}


def interrupted(**fields: Any) -> None:
    """All deliveries are in the middle of their call, and their leases have run out."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    Delivery.objects.update(status="sending", lease_until=past, sending_at=past, tries=1, **fields)


def test_a_call_that_kills_its_process_twice_is_given_up() -> None:
    """R-020: also where a repeat is allowed, or each try would cost a process, twelve times over."""
    execution = make_execution(make_trigger([HOOK, EMAIL]))
    killer = Delivery.objects.get(execution_id=execution.pk, action_index=0)
    found = []
    soon = datetime.now(UTC) + timedelta(minutes=2)
    for _ in range(2):
        Delivery.objects.filter(pk=killer.pk).update(
            status="sending", worker="box:1/7", tries=1, lease_until=soon
        )
        assert lookout.blame(["box:1/7", "box:1/8"]) == [killer.pk]
        assert lookout.blame(["box:1/7"]) == []  # Looked at twice before the sweep: one death.
        rescue()
        killer.refresh_from_db()
        found.append((killer.status, killer.error_class, killer.result["worker_deaths"]))
    assert found == [("pending", "interrupted", 1), ("failed", "worker_lost", 2)]
    assert killer.error == "The process died each time it made this call."
    execution.refresh_from_db()
    assert execution.status == "pending"  # The mail after it has its turn.
    assert Delivery.objects.get(execution_id=execution.pk, action_index=1).due_at is not None


def test_the_end_of_whole_workers_is_nobodys_fault() -> None:
    """R-012, R-026: leases that ran out blame no call, however often; at-least-once goes on."""
    make_execution(make_trigger([HOOK]))
    for _ in range(5):
        interrupted()
        assert rescue() == 1
        assert Delivery.objects.get().status == "pending"


def test_one_odd_row_does_not_stop_the_rescue_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """R-019: the odd one is logged and stays; the others end in the same sweep."""
    make_template()
    trigger = make_trigger([EMAIL])
    rows = [deliveries(make_execution(trigger))[0] for _ in range(3)]
    interrupted()
    original = deliver.settle

    def settle(row: Any, *args: Any, **options: Any) -> bool:
        done = original(row, *args, **options)
        if row.id == rows[1].pk:
            Delivery.objects.filter(pk=row.id).update(status="no such status, and too long")
        return done

    monkeypatch.setattr(deliver, "settle", settle)
    assert rescue() == 2
    assert [deliveries_status(row) for row in rows] == ["uncertain", "sending", "uncertain"]


def deliveries_status(row: Delivery) -> str:
    row.refresh_from_db()
    return row.status


def test_a_delivery_whose_version_cannot_be_read_is_ended_all_the_same() -> None:
    """R-019, R-022: a newer release wrote it; its execution ends with it."""
    trigger = make_trigger([HOOK])
    first, second = make_execution(trigger), make_execution(trigger)
    TriggerVersion.objects.filter(trigger=trigger).update(definition={"key": "gone"})
    material.version.cache_clear()
    past = datetime.now(UTC) - timedelta(days=4)
    Delivery.objects.filter(execution_id=first.pk).update(
        status="sending", lease_until=past, sending_at=past, tries=12
    )
    assert rescue() == 1
    assert deliver.deliver_batch("medium", worker="w", limit=10) == 1
    for execution in (first, second):
        execution.refresh_from_db()
        assert (deliveries(execution)[0].status, execution.status) == ("failed", "failed")
    material.version.cache_clear()
