"""What each action leaves in the database, and how the actions of one execution follow one another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from automation.models import Delivery, Event, QueuedEvent, Task, Trigger, TriggerVersion
from automation.pipeline.deliver import deliver_batch
from profiles.models import Membership, Profile, Segment
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
JOIN = {"type": "add_to_segment", "segment": "vips"}


def deliver(times: int = 1) -> list[int]:
    return [deliver_batch("medium", worker="test", limit=10) for _ in range(times)]


def run(
    *actions: dict[str, Any], profile: Profile | None = None, event: Event | None = None
) -> list[Delivery]:
    """Deliver an execution of these actions; its rows afterwards."""
    execution = make_execution(make_trigger(list(actions)), profile or make_profile(), event=event)
    deliver(len(actions) + 1)
    return deliveries(execution)


def test_add_to_segment_makes_segment_and_membership_once() -> None:
    """S-148: somebody who is a member stays one, since then."""
    profile = make_profile()
    (row,) = run(JOIN, profile=profile)
    assert (row.status, row.tries, row.result) == ("sent", 1, {"segment": "vips", "changed": True})
    member = Membership.objects.get()
    assert (member.segment.key, member.profile_id, member.segment.name) == ("vips", profile.pk, "Vips")
    assert member.source == f"trigger {Trigger.objects.get().key}"
    (row,) = run(JOIN, profile=profile)
    assert row.result == {"segment": "vips", "changed": False}
    assert Membership.objects.get().since == member.since


def test_remove_from_segment_ends_the_membership() -> None:
    """S-148."""
    profile = make_profile()
    segment = Segment.objects.create(key="vips", name="VIPs")
    Membership.objects.create(segment=segment, profile=profile)
    Membership.objects.create(segment=segment, profile=make_profile())
    leave = {"type": "remove_from_segment", "segment": "vips"}
    assert run(leave, profile=profile)[0].result == {"segment": "vips", "changed": True}
    assert Membership.objects.exclude(profile=profile).count() == 1
    assert not Membership.objects.filter(profile=profile).exists()
    assert run(leave, profile=profile)[0].result == {"segment": "vips", "changed": False}


def test_update_customer_data_sets_counts_appends_and_removes() -> None:
    """S-149: values may be templates; a single expression keeps its type."""
    profile = make_profile(traits={"visits": 4, "seen": ["A"], "note": "old", "kept": True})
    (row,) = run(
        {
            "type": "update_customer_data",
            "set": {
                "last_cart": "{{ event.total_value }}",
                "greeting": "Dear {{ first_name }}",
                "first_name": "Bea",
            },
            "increment": {"visits": 1, "carts": "{{ event.total_value }}"},
            "append": {"seen": "B"},
            "unset": ["note"],
        },
        profile=profile,
    )
    profile.refresh_from_db()
    assert profile.traits == {
        "visits": 5,
        "seen": ["A", "B"],
        "kept": True,
        "last_cart": 124.98,
        "greeting": "Dear Alice",
        "carts": 124.98,
    }
    assert profile.first_name == "Bea"
    assert row.result == {
        "updated": ["carts", "first_name", "greeting", "last_cart", "note", "seen", "visits"]
    }
    assert profile.trait_stamps["note"][1] == str(row.pk)


def test_a_later_write_of_a_trait_is_not_undone() -> None:
    """S-149, R-008: stamps decide, so an identify of a later moment stays."""
    future = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="microseconds")
    profile = make_profile(traits={"plan": "pro"}, trait_stamps={"plan": [future, "m1"]})
    (row,) = run({"type": "update_customer_data", "set": {"plan": "free"}}, profile=profile)
    profile.refresh_from_db()
    assert profile.traits == {"plan": "pro"}
    assert row.result == {"updated": [], "not_updated": ["plan"]}


def test_a_time_zone_set_by_an_action_is_explicit() -> None:
    """S-149: the column follows the trait."""
    profile = make_profile()
    run({"type": "update_customer_data", "set": {"time_zone": "Europe/Rome"}}, profile=profile)
    profile.refresh_from_db()
    assert (profile.time_zone, profile.time_zone_source) == ("Europe/Rome", "explicit")


def test_a_text_cannot_be_counted_up_and_nothing_of_the_action_remains() -> None:
    """S-159, H-019: failed with its class; all or nothing."""
    profile = make_profile(traits={"plan": "pro"})
    action = {"type": "update_customer_data", "set": {"x": 1}, "increment": {"plan": 1}}
    (row,) = run(action, profile=profile)
    profile.refresh_from_db()
    assert (row.status, row.error_class) == ("failed", "not_a_number")
    assert profile.traits == {"plan": "pro"}


def test_create_task_fills_the_inbox_once() -> None:
    """S-150: title and notes from Liquid, assignee, due date."""
    user = get_user_model().objects.create_user("anna")
    profile = make_profile()
    (row,) = run(
        {
            "type": "create_task",
            "title": "Call {{ first_name }}",
            "notes": "Cart of {{ cart_value }}",
            "assignee": "anna",
            "due_in_hours": 24,
        },
        profile=profile,
    )
    task = Task.objects.get()
    assert (task.title, task.notes, task.assignee, task.state) == (
        "Call Alice",
        "Cart of 124.98",
        user,
        "open",
    )
    assert (task.profile_id, task.delivery_id) == (profile.pk, row.pk)
    assert task.due_at is not None
    assert timedelta(hours=23) < task.due_at - datetime.now(UTC) < timedelta(hours=25)
    assert row.result == {"task_id": task.pk}


def test_a_task_for_somebody_who_left_is_for_anybody() -> None:
    """S-150: the work is not lost."""
    (row,) = run({"type": "create_task", "title": "Call", "assignee": "gone"})
    assert Task.objects.get().assignee is None
    assert row.result["unknown_assignee"] == "gone"


@pytest.mark.parametrize("anonymous", [False, True])
def test_emit_event_ingests_an_event_of_the_same_customer(anonymous: bool) -> None:
    """An event with data from Liquid, in the transaction that records the action."""
    profile = make_profile(anonymous=anonymous)
    action = {"type": "emit_event", "name": "cart_lost", "data": {"value": "{{ cart_value }}", "n": [1, "x"]}}
    (row,) = run(action, profile=profile)
    event = Event.objects.get(name="cart_lost")
    assert (event.profile_id, event.source, event.message_id) == (profile.pk, "beckon", f"{row.pk}:0")
    assert event.data == {"value": 124.98, "n": [1, "x"]}
    assert event.context == {"depth": 1, "trigger": Trigger.objects.get().key}
    assert QueuedEvent.objects.get().event_id == event.pk
    assert (row.status, row.result) == ("sent", {"event": "cart_lost"})


def test_a_chain_of_emitted_events_ends() -> None:
    """A loop of triggers stops after five events, visibly."""
    profile = make_profile()
    event = make_event(profile, context={"depth": 5})
    (row,) = run({"type": "emit_event", "name": "again"}, profile=profile, event=event)
    assert (row.status, row.error_class) == ("failed", "chain_too_long")
    assert not QueuedEvent.objects.exists()


def test_an_action_this_installation_does_not_know_fails() -> None:
    """S-152: at run time, should one get that far."""
    execution = make_execution(make_trigger([JOIN]))
    TriggerVersion.objects.update(
        definition={**TriggerVersion.objects.get().definition, "actions": [{"type": "fly"}]}
    )
    assert deliver() == [1]
    (row,) = deliveries(execution)
    assert (row.status, row.error_class) == ("failed", "unknown_action")
    execution.refresh_from_db()
    assert execution.status == "failed"


def test_a_broken_action_does_not_stop_the_others_of_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """H-019: an unforeseen error is this row's alone, and its text stays in the log."""
    from automation.actions.add_to_segment import AddToSegment

    original = AddToSegment.perform

    def perform(self: Any, job: Any) -> Any:
        if self.segment == "bad":
            raise KeyError("alice@example.com")
        return original(self, job)

    monkeypatch.setattr(AddToSegment, "perform", perform)
    bad = make_execution(make_trigger([{**JOIN, "segment": "bad"}]))
    good = make_execution(make_trigger([JOIN]))
    assert deliver() == [2]
    (row,) = deliveries(bad)
    assert (row.status, row.error_class) == ("failed", "KeyError")
    assert "alice" not in row.error
    assert deliveries(good)[0].status == "sent"


def test_actions_run_in_order_each_when_the_one_before_has_ended(smtp: Ledger) -> None:
    """S-076, S-083, S-143, S-144: one row per action, with its own moment and result."""
    make_template()
    later = {**JOIN, "delay_minutes": 30}
    execution = make_execution(make_trigger([EMAIL, later, JOIN]))
    assert deliver() == [1]
    first, second, third = deliveries(execution)
    assert (first.status, second.status, third.status) == ("sent", "pending", "pending")
    assert second.due_at is not None
    assert first.finished_at is not None
    assert (
        timedelta(minutes=29, seconds=59)
        < second.due_at - first.finished_at
        < timedelta(minutes=30, seconds=1)
    )
    assert third.due_at is None
    execution.refresh_from_db()
    assert (execution.status, execution.processed_at) == ("processing", None)
    Delivery.objects.filter(pk=second.pk).update(due_at=datetime.now(UTC))
    assert deliver(3) == [1, 1, 0]
    execution.refresh_from_db()
    assert execution.status == "triggered"
    assert execution.processed_at is not None
    assert [row.status for row in deliveries(execution)] == ["sent"] * 3
    assert len(smtp.messages) == 1


@pytest.mark.parametrize(
    ("on_failure", "statuses", "execution_status"),
    [("continue", ["failed", "sent"], "triggered"), ("stop", ["failed", "cancelled"], "failed")],
)
def test_a_failed_action_lets_the_others_run_or_not(
    scripted: Any, on_failure: str, statuses: list[str], execution_status: str
) -> None:
    """S-060, S-076, S-143, H-019: partial success is visible, and stop means stop."""
    scripted(rcpt="550 no")
    make_template()
    execution = make_execution(make_trigger([{**EMAIL, "on_failure": on_failure}, JOIN]))
    deliver(3)
    rows = deliveries(execution)
    assert [row.status for row in rows] == statuses
    assert Membership.objects.exists() is (on_failure == "continue")
    execution.refresh_from_db()
    assert execution.status == execution_status
    if on_failure == "stop":
        assert rows[1].error == "Not run, because action 1 did not work."
        assert execution.error == "The server answered 550 no"


def test_an_unsubscribed_customer_still_gets_the_actions_that_are_no_message(smtp: Ledger) -> None:
    """H-019, R-024: called off and done, side by side."""
    make_template()
    execution = make_execution(make_trigger([EMAIL, JOIN]), make_profile(consent=False))
    deliver(3)
    assert [(row.status, row.reason) for row in deliveries(execution)] == [
        ("cancelled", "unsubscribed"),
        ("sent", ""),
    ]
    execution.refresh_from_db()
    assert (execution.status, execution.reason) == ("triggered", "")


def test_every_action_called_off_makes_the_execution_suppressed(smtp: Ledger) -> None:
    """R-024: with the first reason."""
    make_template()
    execution = make_execution(make_trigger([EMAIL, JOIN]))
    Trigger.objects.update(mode="paused")
    deliver(3)
    assert [row.status for row in deliveries(execution)] == ["cancelled", "cancelled"]
    execution.refresh_from_db()
    assert (execution.status, execution.reason) == ("suppressed", "trigger_paused")
    assert not Membership.objects.exists()


def test_a_retried_action_holds_back_the_next(scripted: Any) -> None:
    """S-076: order survives retries."""
    server: Scripted = scripted(rcpt="450 busy")
    make_template()
    execution = make_execution(make_trigger([EMAIL, JOIN]))
    deliver(2)
    assert [row.status for row in deliveries(execution)] == ["pending", "pending"]
    assert not Membership.objects.exists()
    server.script = {}
    Delivery.objects.filter(action_index=0).update(due_at=datetime.now(UTC))
    deliver(3)
    assert [row.status for row in deliveries(execution)] == ["sent", "sent"]
