"""When mail really leaves: quiet hours at the try, and caps and events for a message that leaves late."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from automation.actions.send_email import SendEmail
from automation.models import Delivery, Execution, SendReservation
from automation.pipeline import plan
from automation.pipeline.deliver import deliver_batch, try_again
from automation.pipeline.settle import did_not_arrive
from profiles.models import Profile
from tests.integration.deliver.factory import (
    EMAIL,
    deliveries,
    make_event,
    make_execution,
    make_profile,
    make_template,
    make_trigger,
)
from tests.integration.deliver.mailserver import Ledger, Scripted

pytestmark = pytest.mark.django_db(transaction=True)
TOKYO = ZoneInfo("Asia/Tokyo")
MINUTE = timedelta(minutes=1)
Start = Callable[..., Scripted]


def deliver() -> int:
    return deliver_batch("medium", worker="test", limit=20)


def reserved(execution: Execution, age: timedelta) -> None:
    """The execution took its places so long ago."""
    SendReservation.objects.filter(execution_id=execution.pk).update(reserved_at=datetime.now(UTC) - age)


def rival(profile: Profile, age: timedelta, **fields: Any) -> SendReservation:
    """The place of a message of some other execution."""
    values = {"channel": "email", "message_class": "marketing", "trigger_id": 1, "execution_id": 1, **fields}
    return SendReservation.objects.create(
        profile_id=profile.pk, reserved_at=datetime.now(UTC) - age, **values
    )


def at_night(settings: Any, zone: ZoneInfo) -> datetime:
    """Quiet hours around this moment of the zone's clocks; when they end."""
    end = (datetime.now(zone) + timedelta(hours=2)).replace(second=0, microsecond=0)
    start = end - timedelta(hours=4)
    settings.QUIET_HOURS = (start.time(), end.time())
    plan.policy.cache_clear()
    return end


def test_a_marketing_message_waits_for_the_end_of_the_customers_night(smtp: Ledger, settings: Any) -> None:
    """R-016: also when only its try falls into it; nothing is used up, and it leaves in the morning."""
    make_template()
    end = at_night(settings, TOKYO)
    execution = make_execution(make_trigger([EMAIL]), make_profile(time_zone="Asia/Tokyo"))
    elsewhere = make_execution(make_trigger([EMAIL]), make_profile(time_zone="America/New_York"))
    assert deliver() == 2
    (row,) = deliveries(execution)
    assert (row.status, row.due_at, row.tries, row.lease_until, row.sending_at) == (
        "pending",
        end,
        0,
        None,
        None,
    )
    assert row.error == "Waits for the end of the customer's quiet hours."
    assert deliveries(elsewhere)[0].status == "sent"
    assert SendReservation.objects.filter(execution_id=execution.pk).count() == 1
    settings.QUIET_HOURS = (time(0), time(0))
    plan.policy.cache_clear()
    Delivery.objects.filter(pk=row.pk).update(due_at=datetime.now(UTC))
    assert deliver() == 1
    row.refresh_from_db()
    assert (row.status, row.error, row.error_class) == ("sent", "", "")


def test_a_transactional_message_does_not_wait_for_the_morning(smtp: Ledger, settings: Any) -> None:
    """R-016: a receipt comes at night, too."""
    make_template()
    at_night(settings, TOKYO)
    execution = make_execution(
        make_trigger([EMAIL], message_class="transactional"), make_profile(time_zone="Asia/Tokyo")
    )
    deliver()
    assert deliveries(execution)[0].status == "sent"


@pytest.mark.parametrize(
    ("waited", "rivals", "fields", "status", "reason"),
    [
        (14 * MINUTE, [MINUTE], {}, "sent", ""),  # Not late: what was decided holds.
        (16 * MINUTE, [], {}, "sent", ""),
        (16 * MINUTE, [MINUTE], {}, "cancelled", "frequency_cap"),
        (16 * MINUTE, [timedelta(hours=23)], {}, "cancelled", "frequency_cap"),
        (16 * MINUTE, [timedelta(hours=25)], {}, "sent", ""),
        (16 * MINUTE, [-timedelta(hours=2)], {}, "cancelled", "frequency_cap"),  # Of the future.
        (16 * MINUTE, [MINUTE], {"message_class": "transactional"}, "sent", ""),
        (16 * MINUTE, [MINUTE], {"channel": "sms"}, "sent", ""),
    ],
)
def test_a_message_that_leaves_late_asks_the_cap_again(
    smtp: Ledger,
    waited: timedelta,
    rivals: list[timedelta],
    fields: dict[str, Any],
    status: str,
    reason: str,
) -> None:
    """R-016: against the other messages of the customer; then its place is of the moment it leaves."""
    make_template()
    profile = make_profile()
    execution = make_execution(make_trigger([EMAIL]), profile)
    reserved(execution, waited)
    for age in rivals:
        rival(profile, age, **fields)
    before = datetime.now(UTC)
    assert deliver() == 1
    (row,) = deliveries(execution)
    assert (row.status, row.reason) == (status, reason)
    assert len(smtp.messages) == (status == "sent")
    own = list(SendReservation.objects.filter(execution_id=execution.pk))
    if status == "cancelled":
        assert own == []
        execution.refresh_from_db()
        assert (execution.status, execution.reason) == ("suppressed", reason)
    else:
        assert [one.reserved_at >= before for one in own] == [waited > 15 * MINUTE]


def test_after_an_outage_of_days_the_cap_still_holds(smtp: Ledger) -> None:
    """R-016: two that were promised on two days and leave on one: the second is called off."""
    make_template()
    profile = make_profile()
    trigger = make_trigger([EMAIL])
    executions = [make_execution(trigger, profile) for _ in range(2)]
    for days, execution in zip((3, 1.5), executions, strict=True):
        reserved(execution, timedelta(days=days))
    assert deliver() == 2
    assert [deliveries(one)[0].status for one in executions] == ["sent", "cancelled"]
    assert len(smtp.messages) == 1
    assert SendReservation.objects.count() == 1


def test_all_messages_of_a_late_execution_are_asked_for_at_once(smtp: Ledger, settings: Any) -> None:
    """R-016: their places move together, so that the second finds its own where it leaves."""
    settings.EMAIL_CAP = 2
    plan.policy.cache_clear()
    make_template()
    execution = make_execution(make_trigger([EMAIL, EMAIL]))
    reserved(execution, timedelta(hours=1))
    before = datetime.now(UTC)
    assert deliver() == 1
    assert [one.reserved_at >= before for one in SendReservation.objects.all()] == [True, True]
    assert deliver() == 1
    assert [row.status for row in deliveries(execution)] == ["sent", "sent"]
    assert SendReservation.objects.count() == 2


def test_two_late_messages_do_not_pass_the_cap_one_by_one(smtp: Ledger, settings: Any) -> None:
    """R-016: with one place of two taken, one of them leaves."""
    settings.EMAIL_CAP = 2
    plan.policy.cache_clear()
    make_template()
    profile = make_profile()
    execution = make_execution(make_trigger([EMAIL, EMAIL]), profile)
    reserved(execution, timedelta(hours=1))
    rival(profile, MINUTE)
    assert (deliver(), deliver()) == (1, 1)
    assert [row.status for row in deliveries(execution)] == ["cancelled", "sent"]
    assert SendReservation.objects.count() == 2
    assert len(smtp.messages) == 1


def test_a_wish_for_one_message_a_week_is_kept_by_late_messages(smtp: Ledger) -> None:
    """R-024: with the messages that went out meanwhile."""
    make_template()
    profile = make_profile(preferences={"at_most_weekly": True})
    execution = make_execution(make_trigger([EMAIL]), profile)
    reserved(execution, 16 * MINUTE)
    rival(profile, timedelta(days=6))
    deliver()
    (row,) = deliveries(execution)
    assert (row.status, row.reason) == ("cancelled", "preference")


@pytest.mark.parametrize(
    ("waited", "name", "after", "status"),
    [
        (16 * MINUTE, "purchase_completed", MINUTE / 2, "cancelled"),
        (16 * MINUTE, "purchase_completed", -MINUTE, "sent"),  # Before the cart was left.
        (16 * MINUTE, "page_view", MINUTE / 2, "sent"),
        (14 * MINUTE, "purchase_completed", MINUTE / 2, "sent"),
    ],
)
def test_an_event_that_cancels_the_trigger_calls_a_late_message_off(
    smtp: Ledger, waited: timedelta, name: str, after: timedelta, status: str
) -> None:
    """H-020, R-024: nobody is reminded of what they have bought meanwhile."""
    make_template()
    profile = make_profile()
    cart = make_event(profile)
    later = make_event(profile, name)
    type(later).objects.filter(pk=later.pk).update(occurred_at=cart.occurred_at + after)
    trigger = make_trigger([EMAIL], cancel_when=["purchase_completed"])
    execution = make_execution(trigger, profile, event=cart)
    reserved(execution, waited)
    deliver()
    (row,) = deliveries(execution)
    assert row.status == status
    assert row.reason == ("cancelled_by_event" if status == "cancelled" else "")


def test_the_places_of_actions_that_will_not_run_are_free(scripted: Start) -> None:
    """R-016: on_failure stop; the failed message's own place, too."""
    scripted(rcpt="550 no")
    make_template()
    execution = make_execution(make_trigger([{**EMAIL, "on_failure": "stop"}, EMAIL, EMAIL]))
    assert SendReservation.objects.count() == 3
    other = rival(make_profile(), MINUTE)
    deliver()
    assert [row.status for row in deliveries(execution)] == ["failed", "cancelled", "cancelled"]
    assert list(SendReservation.objects.all()) == [other]


def test_a_message_that_failed_for_good_frees_only_its_own_place(scripted: Start) -> None:
    """R-016: the next one of the execution keeps its own."""
    scripted(rcpt="550 no")
    make_template()
    execution = make_execution(make_trigger([EMAIL, EMAIL]))
    deliver()
    assert [row.status for row in deliveries(execution)] == ["failed", "pending"]
    assert SendReservation.objects.count() == 1


def test_a_message_that_may_have_gone_out_keeps_its_place(
    smtp: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-016: an unforeseen error says nothing about how far it came."""
    make_template()

    def perform(self: SendEmail, job: Any) -> Any:
        raise RuntimeError("boom")

    monkeypatch.setattr(SendEmail, "perform", perform)
    execution = make_execution(make_trigger([EMAIL]))
    deliver()
    assert deliveries(execution)[0].status == "failed"
    assert SendReservation.objects.count() == 1


@pytest.mark.parametrize("way", ["failed", "did_not_arrive"])
def test_what_is_tried_again_takes_its_place_again(scripted: Start, way: str) -> None:
    """R-016, H-019: at the moment a person asks for it."""
    server = scripted(rcpt="550 no")
    make_template()
    execution = make_execution(make_trigger([EMAIL]))
    deliver()
    (row,) = deliveries(execution)
    if way == "did_not_arrive":
        rival(execution.profile, timedelta(days=2), execution_id=execution.pk)
        Delivery.objects.update(status="uncertain")
        Execution.objects.update(status="triggered")
        assert did_not_arrive(row.pk)
    assert not SendReservation.objects.exists()
    before = datetime.now(UTC)
    assert try_again(row.pk)
    place = SendReservation.objects.get()
    assert (place.execution_id, place.profile_id, place.channel) == (execution.pk, row.profile_id, "email")
    assert (place.message_class, place.trigger_id) == ("marketing", row.trigger_id)
    assert place.reserved_at >= before
    assert not try_again(row.pk)
    server.script = {}
    deliver()
    assert deliveries(execution)[0].status == "sent"
    assert SendReservation.objects.count() == 1


def test_a_place_that_others_have_taken_is_not_taken_by_trying_again(scripted: Start) -> None:
    """R-016: cap N gives N, also when a person asks for more; the reason is shown."""
    server = scripted(rcpt="550 no")
    make_template()
    execution = make_execution(make_trigger([EMAIL]))
    deliver()
    other = rival(execution.profile, MINUTE)
    server.script = {}
    assert try_again(deliveries(execution)[0].pk)
    assert list(SendReservation.objects.all()) == [other]
    deliver()
    (row,) = deliveries(execution)
    assert (row.status, row.reason) == ("cancelled", "frequency_cap")
    assert server.commands.count("rcpt") == 1


def test_a_webhook_that_is_tried_again_takes_no_place() -> None:
    """R-016: it is no message to the customer."""
    execution = make_execution(make_trigger([{"type": "webhook", "url": "https://example.com/hook"}]))
    Delivery.objects.update(status="failed")
    assert try_again(deliveries(execution)[0].pk)
    assert not SendReservation.objects.exists()


@pytest.mark.parametrize(
    ("data", "minutes_ago", "status"),
    [
        ({"total_value": 150}, 5, "cancelled"),
        ({"total_value": 50}, 5, "sent"),  # The name alone does not do.
        ({"total_value": 150}, 60, "sent"),  # Before the event that was decided.
    ],
)
def test_a_late_message_is_called_off_by_an_event_that_meets_a_condition(
    smtp: Ledger, data: dict[str, Any], minutes_ago: int, status: str
) -> None:
    """R-024: `cancel_when` may hold conditions, not only names; they are asked at the last look, too."""
    make_template()
    rule = {"field": "total_value", "operator": "greater_than", "value": 100}
    node = {"type": "event_match", "event_type": "purchase_completed", "data_conditions": [rule]}
    profile = make_profile()
    execution = make_execution(make_trigger([EMAIL], cancel_when=[node]), profile)
    reserved(execution, 16 * MINUTE)
    then = datetime.now(UTC) - timedelta(minutes=30)
    Delivery.objects.update(event_at=then)
    at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    event = make_event(profile, "purchase_completed", data=data)
    type(event).objects.filter(pk=event.pk).update(occurred_at=at)
    assert deliver() == 1
    (row,) = deliveries(execution)
    assert (row.status, row.reason) == (status, "cancelled_by_event" if status == "cancelled" else "")
