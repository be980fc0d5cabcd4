"""What waits of a stopped trigger: kept, or called off for good."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db.models import Sum

from automation.engine.types import Mode, Priority
from automation.models import Delivery, Execution, SendReservation, Tally
from automation.pipeline import calling_off, due, publish
from automation.pipeline.calling_off import CalledOff, Waiting
from automation.pipeline.deliver import deliver_batch
from tests.factories import EMAIL, SEGMENT, decide_all, incoming, known, make_trigger, send

pytestmark = pytest.mark.django_db(transaction=True)
DELAY = {"kind": "delay", "minutes": 30}
LATER = {**SEGMENT, "delay_minutes": 60}


def held(trigger_id: int) -> int:
    """Decisions counted as held back because the trigger was paused."""
    rows = Tally.objects.filter(kind="executions", trigger_id=trigger_id, label="suppressed:trigger_paused")
    return rows.aggregate(n=Sum("count"))["n"] or 0


def test_decisions_that_wait_are_called_off_and_counted() -> None:
    """S-079: they never come back, also when the trigger is live again by then."""
    trigger = make_trigger(actions=[EMAIL], timing=DELAY)
    send(*known(), incoming())
    decide_all()
    assert calling_off.waiting([trigger.pk]) == {trigger.pk: [Waiting(trigger.current_version_id or 0, 1, 0)]}
    publish.set_mode(trigger.pk, Mode.PAUSED, by=None)
    assert calling_off.call_off(trigger.pk) == CalledOff(1, 0)
    stored = Execution.objects.get()
    assert (stored.status, stored.reason, stored.waiting, stored.due_at) == (
        "suppressed",
        "trigger_paused",
        "",
        None,
    )
    assert stored.reasons[0]["reason"] == "trigger_paused"
    assert held(trigger.pk) == 1
    publish.publish(trigger, by=None, mode=Mode.LIVE)
    assert sum(due.decide_due(lane) for lane in Priority) == 0
    assert calling_off.waiting([trigger.pk]) == {}


def test_messages_that_wait_are_called_off_and_give_back_their_places() -> None:
    """S-079: the execution ends with its last action, and the customer has their place under the caps again."""
    trigger = make_trigger(actions=[EMAIL, LATER])
    send(*known(), incoming())
    decide_all()
    assert SendReservation.objects.count() == 1
    publish.set_mode(trigger.pk, Mode.PAUSED, by=None)
    assert calling_off.call_off(trigger.pk) == CalledOff(0, 2)
    assert set(Delivery.objects.values_list("status", "reason")) == {("cancelled", "trigger_paused")}
    assert list(Execution.objects.values_list("status", "reason")) == [("suppressed", "trigger_paused")]
    assert not SendReservation.objects.exists()


def test_what_has_left_stays_and_makes_the_execution_one_that_fired(mailoutbox: list[object]) -> None:
    """S-079: only the action after it is called off."""
    trigger = make_trigger(actions=[EMAIL, LATER])
    send(*known(), incoming())
    decide_all()
    deliver_batch("medium", worker="test", limit=10)
    assert len(mailoutbox) == 1
    publish.set_mode(trigger.pk, Mode.PAUSED, by=None)
    assert calling_off.call_off(trigger.pk) == CalledOff(0, 1)
    assert sorted(Delivery.objects.values_list("status", flat=True)) == ["cancelled", "sent"]
    assert Execution.objects.get().status == "triggered"
    assert SendReservation.objects.count() == 1


def test_nothing_of_a_trigger_that_acts_is_called_off() -> None:
    """S-079: it may have gone live again between the question and the answer."""
    trigger = make_trigger(actions=[EMAIL, LATER])
    send(*known(), incoming())
    decide_all()
    assert calling_off.call_off(trigger.pk) == CalledOff(0, 0)
    assert set(Delivery.objects.values_list("status", flat=True)) == {"pending"}


def test_more_than_one_batch_is_called_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """S-079: batch after batch, other triggers' rows untouched."""
    monkeypatch.setattr(calling_off, "AT_ONCE", 2)
    trigger, other = make_trigger("cart", actions=[EMAIL], timing=DELAY), make_trigger("other", timing=DELAY)
    names = [f"c{number}" for number in range(5)]
    send(*(event for name in names for event in (*known(name), incoming(customer_id=name))))
    decide_all()
    publish.set_mode(trigger.pk, Mode.PAUSED, by=None)
    assert calling_off.call_off(trigger.pk) == CalledOff(5, 0)
    assert Execution.objects.filter(trigger=other, status="pending").count() == 5


def test_what_is_kept_goes_out_when_the_trigger_is_live_by_then() -> None:
    """S-079: and is held back when it is not."""
    trigger = make_trigger(actions=[EMAIL], timing=DELAY)
    send(*known(), incoming(), *known("bob"), incoming(customer_id="bob"))
    decide_all()
    publish.set_mode(trigger.pk, Mode.PAUSED, by=None)
    first = Execution.objects.order_by("pk").first()
    assert first is not None
    over = datetime.now(UTC) - timedelta(seconds=1)
    Execution.objects.filter(pk=first.pk).update(due_at=over)
    assert sum(due.decide_due(lane) for lane in Priority) == 1
    publish.publish(trigger, by=None, mode=Mode.LIVE)
    Execution.objects.filter(due_at__isnull=False).update(due_at=over)
    assert sum(due.decide_due(lane) for lane in Priority) == 1
    found = Execution.objects.order_by("pk").values_list("status", "reason")
    assert list(found) == [("suppressed", "trigger_paused"), ("pending", "")]
