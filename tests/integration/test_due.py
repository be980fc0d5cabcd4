"""Delayed executions: timers are rows, and everything is judged again when the moment comes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from automation.engine.types import Mode, Priority
from automation.models import Delivery, Execution, Trigger
from automation.pipeline import due
from automation.pipeline.publish import publish
from tests.factories import EMAIL, decide_all, incoming, known, make_trigger, outcomes, send

pytestmark = pytest.mark.django_db(transaction=True)
DELAY = {"kind": "delay", "minutes": 30}


def wait_over() -> int:
    """Make every waiting execution due and judge it."""
    Execution.objects.filter(due_at__isnull=False).update(due_at=datetime.now(UTC) - timedelta(seconds=1))
    return sum(due.decide_due(lane) for lane in Priority)


def test_a_delayed_trigger_waits_as_a_row_and_then_acts() -> None:
    """S-058, H-060."""
    make_trigger(actions=[EMAIL], timing=DELAY)
    send(*known(), incoming())
    decide_all()
    execution = Execution.objects.get()
    assert (execution.status, execution.waiting) == ("pending", "delay")
    assert execution.due_at is not None
    assert abs((execution.due_at - datetime.now(UTC)) - timedelta(minutes=30)) < timedelta(seconds=10)
    assert not Delivery.objects.exists()
    assert due.decide_due(Priority.MEDIUM) == 0
    assert wait_over() == 1
    execution.refresh_from_db()
    assert (execution.status, execution.due_at, execution.waiting) == ("pending", None, "")
    assert Delivery.objects.get().execution_id == execution.pk


def test_a_named_event_cancels_a_waiting_execution() -> None:
    make_trigger(actions=[EMAIL], timing=DELAY, cancel_when=["purchase_completed"])
    send(*known(), incoming())
    decide_all()
    send(incoming("purchase_completed", data={"order_id": "1", "total": 5}, at=datetime.now(UTC)))
    decide_all()
    wait_over()
    assert outcomes() == [("suppressed", "cancelled_by_event")]


def test_someone_who_unsubscribed_meanwhile_gets_nothing() -> None:
    """H-020: consent is judged at the due moment."""
    make_trigger(actions=[EMAIL], timing=DELAY)
    send(*known(), incoming())
    decide_all()
    send(incoming("unsubscribed", data={"channel": "email"}))
    decide_all()
    wait_over()
    assert outcomes() == [("suppressed", "unsubscribed")]


def test_conditions_are_asked_again() -> None:
    """H-020."""
    rule = {"type": "customer_attribute", "attribute": "plan", "operator": "equals", "value": "free"}
    conditions = [{"type": "event_match", "event_type": "cart_abandonment"}, rule]
    make_trigger(conditions=conditions, timing=DELAY)
    send(*known(plan="free"), incoming())
    decide_all()
    send(incoming("identify", data={"traits": {"plan": "pro"}}))
    decide_all()
    wait_over()
    assert outcomes() == [("suppressed", "conditions_no_longer_met")]


def test_view_and_then_no_purchase_is_decided_by_a_durable_timer() -> None:
    """H-049, S-111: absence needs no event from the client."""
    absence = {"type": "absence", "event_type": "purchase_completed", "within_minutes": 30, "after": True}
    conditions = [{"type": "event_match", "event_type": "product_view"}, absence]
    make_trigger(conditions=conditions)
    past = datetime.now(UTC) - timedelta(minutes=31)
    send(
        incoming("product_view", "alice", at=past - timedelta(seconds=1)),
        incoming("product_view", "bob", at=past),
    )
    send(incoming("purchase_completed", "bob", at=past + timedelta(minutes=5), data={"total": 3}))
    decide_all()
    assert [status for status, _ in outcomes()] == ["pending", "pending"]
    wait_over()
    assert outcomes() == [("pending", ""), ("suppressed", "conditions_no_longer_met")]


def test_a_waiting_execution_keeps_the_version_it_was_decided_with() -> None:
    """R-022."""
    trigger = make_trigger(actions=[{"type": "add_to_segment", "segment": "first"}], timing=DELAY)
    send(incoming())
    decide_all()
    trigger.actions = [{"type": "add_to_segment", "segment": "second"}]
    trigger.save()
    publish(trigger, by=None, mode=Mode.LIVE)
    wait_over()
    execution = Execution.objects.get()
    assert execution.version.number == 1
    assert Delivery.objects.get().version_id == execution.version_id


def test_a_paused_trigger_starts_nothing_that_waited() -> None:
    """R-024."""
    make_trigger(timing=DELAY)
    send(incoming())
    decide_all()
    Trigger.objects.update(mode="paused")
    wait_over()
    assert outcomes() == [("suppressed", "trigger_paused")]


def test_the_cap_holds_among_executions_that_come_due_together() -> None:
    """R-016: the more urgent one gets the slot."""
    low = make_trigger("a-low", actions=[EMAIL], timing=DELAY, priority=Priority.MEDIUM)
    high = make_trigger("b-high", actions=[EMAIL], timing=DELAY, priority=Priority.MEDIUM, value=10)
    send(*known(), incoming())
    decide_all()
    wait_over()
    assert outcomes(high) == [("pending", "")]
    assert outcomes(low) == [("suppressed", "frequency_cap")]


def test_quiet_hours_put_a_marketing_mail_off_until_they_end(settings: Any) -> None:
    """S-125, H-035: in the customer's zone, judged at the moment of sending."""
    from automation.pipeline.plan import policy

    now = datetime.now(UTC)
    settings.QUIET_HOURS = ((now - timedelta(hours=1)).time(), (now + timedelta(hours=1)).time())
    policy.cache_clear()
    try:
        make_trigger(actions=[EMAIL])
        send(*known(), incoming())
        decide_all()
        execution = Execution.objects.get()
        assert (execution.status, execution.waiting) == ("pending", "quiet_hours")
        assert abs(execution.due_at - (now + timedelta(hours=1))) < timedelta(seconds=5)
        assert not Delivery.objects.exists()
    finally:
        policy.cache_clear()


def test_the_personal_best_hour_is_the_customers_own_once_it_is_known(settings: Any) -> None:
    """With evidence the busiest hour of their own day, without it the installation's."""
    settings.BEST_HOUR = 5
    make_trigger(timing={"kind": "optimal_personal", "within_hours": 24})
    zone = ZoneInfo("America/New_York")
    eleven = (datetime.now(UTC) - timedelta(days=2)).astimezone(zone).replace(hour=11, minute=30)
    views = [incoming("page_view", "reader", at=eleven - timedelta(days=n % 4)) for n in range(12)]
    for who in ("reader", "stranger"):
        views += known(who, time_zone="America/New_York")
    send(*views)
    decide_all()
    send(incoming(customer_id="reader"), incoming(customer_id="stranger"))
    decide_all()
    due_hours = {
        x.profile.customer_id: x.due_at.astimezone(zone).hour for x in Execution.objects.all() if x.due_at
    }
    now_hour = datetime.now(UTC).astimezone(zone).hour
    assert due_hours == {"reader": 11, "stranger": 5} or now_hour in (5, 11)
