"""From accepted events to executions: what a batch decides and writes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from automation.engine.types import Mode, Priority
from automation.models import (
    Delivery,
    Event,
    Execution,
    ExecutionKey,
    MissSample,
    QuarantinedEvent,
    QueuedEvent,
    SendReservation,
    Tally,
    Trigger,
    TriggerState,
)
from automation.pipeline import decide, process
from profiles.models import Consent, Profile
from tests.factories import EMAIL, SEGMENT, decide_all, incoming, known, make_trigger, outcomes, send

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_fresh_customer_gets_the_mail_of_the_first_matching_trigger() -> None:
    """H-001, H-003, S-110, S-141: decided, recorded and put into the outbox in one transaction."""
    trigger = make_trigger(actions=[EMAIL])
    send(*known(), incoming(data={"total_value": 124.98}))
    assert decide_all() == 3
    execution = Execution.objects.get()
    assert (execution.status, execution.reason, execution.trigger_id) == ("pending", "", trigger.pk)
    assert execution.version_id == trigger.current_version_id
    delivery = Delivery.objects.get()
    assert delivery.idempotency_key == f"{execution.pk}:0:email"
    assert (delivery.status, delivery.channel, delivery.event_id) == ("pending", "email", execution.event_id)
    assert SendReservation.objects.get().execution_id == execution.pk
    assert TriggerState.objects.get().count == 1
    assert not QueuedEvent.objects.exists()
    assert execution.trace["conditions"]["result"] == "met"


def test_the_event_changes_the_profile_before_the_conditions_are_asked() -> None:
    """S-110: `customer_attribute` sees the value after this event, `before.` the one before."""
    condition = {"type": "customer_attribute", "attribute": "orders_count", "operator": "equals", "value": 1}
    make_trigger(on="x", conditions=[{"type": "event_match", "event_type": "purchase_completed"}, condition])
    send(incoming("purchase_completed", data={"order_id": "o1", "total": 50}))
    decide_all()
    assert outcomes() == [("pending", "")]
    profile = Profile.objects.get()
    assert (profile.orders_count, float(profile.lifetime_value)) == (1, 50.0)


@pytest.mark.parametrize(
    ("people", "reason"),
    [
        (known(consent=False), "no_consent"),
        (known(email=""), "missing_address"),
        (
            [*known(), incoming("unsubscribed", data={"topic": "marketing", "channel": "email"})],
            "unsubscribed",
        ),
    ],
)
def test_a_message_is_held_back_with_its_reason(people: list[Any], reason: str) -> None:
    """S-061, S-155, H-023, H-065: the row is written, with a code."""
    make_trigger(actions=[EMAIL])
    send(*people, incoming())
    decide_all()
    assert outcomes() == [("suppressed", reason)]
    assert not Delivery.objects.exists()
    assert Execution.objects.get().reasons[0]["reason"] == reason


def test_two_triggers_on_one_event_send_one_mail_and_the_loser_names_the_winner() -> None:
    """H-014, S-112: the cap allows one message; the higher priority wins."""
    low = make_trigger("low-one", actions=[EMAIL], priority=Priority.LOW)
    high = make_trigger("high-one", actions=[EMAIL], priority=Priority.HIGH)
    send(*known(), incoming())
    decide_all()
    assert outcomes(high) == [("pending", "")]
    assert outcomes(low) == [("suppressed", "lost_to")]
    assert Execution.objects.get(trigger=low).reasons[0]["params"]["winner"] == "high-one"


def test_the_cap_counts_messages_not_executions() -> None:
    """H-025, S-176: a trigger without a message leaves the customer's slot alone."""
    make_trigger(actions=[SEGMENT])
    mail = make_trigger(actions=[EMAIL], on="checkout_started")
    send(*known(), incoming(), incoming("checkout_started"))
    decide_all()
    assert outcomes(mail) == [("pending", "")]
    assert SendReservation.objects.count() == 1


def test_a_transactional_message_ignores_the_marketing_cap() -> None:
    """H-026, S-050."""
    make_trigger(actions=[EMAIL])
    receipt = make_trigger(on="purchase_completed", actions=[EMAIL], message_class="transactional")
    send(*known(), incoming(), incoming("purchase_completed", data={"order_id": "1", "total": 2}))
    decide_all()
    assert outcomes(receipt) == [("pending", "")]


def test_repeated_holds_collapse_into_one_row_with_a_count() -> None:
    """S-061: same trigger, customer and reason within one window."""
    make_trigger(actions=[EMAIL])
    send(*known(), *(incoming() for _ in range(5)))
    decide_all()
    assert outcomes() == [("pending", ""), ("suppressed", "frequency_cap")]
    held = Execution.objects.get(status="suppressed")
    assert held.held_count == 4
    send(incoming())
    decide_all()
    held.refresh_from_db()
    assert held.held_count == 5
    assert Execution.objects.count() == 2


def test_cooldown_and_lifetime_limit_come_from_rows_that_are_never_forgotten() -> None:
    """H-027, S-077, S-078."""
    cooled = make_trigger(cooldown_minutes=60)
    limited = make_trigger(max_per_customer=2)
    send(*(incoming() for _ in range(3)))
    decide_all()
    assert outcomes(cooled) == [("pending", ""), ("suppressed", "cooldown")]
    assert outcomes(limited) == [("pending", ""), ("pending", ""), ("suppressed", "max_per_customer")]
    assert TriggerState.objects.get(trigger_id=limited.pk).count == 2


def test_shadow_decides_and_records_everything_and_sends_nothing() -> None:
    """S-079."""
    make_trigger(actions=[EMAIL], mode=Mode.SHADOW)
    send(*known(), incoming())
    decide_all()
    assert outcomes() == [("suppressed", "shadow")]
    assert not Delivery.objects.exists()
    assert not SendReservation.objects.exists()


@pytest.mark.parametrize("mode", [Mode.DRAFT, Mode.PAUSED, Mode.ARCHIVED])
def test_triggers_that_are_not_live_or_shadow_are_not_even_asked(mode: Mode) -> None:
    """S-115."""
    make_trigger(mode=mode)
    send(incoming())
    decide_all()
    assert outcomes() == []


def test_pausing_reaches_the_workers_with_the_next_batch() -> None:
    """H-057, S-079, S-088: the compiled index follows the epoch; any writer of the table raises it."""
    trigger = make_trigger()
    send(incoming())
    decide_all()
    Trigger.objects.filter(pk=trigger.pk).update(mode="paused")
    send(incoming())
    decide_all()
    assert outcomes() == [("pending", "")]


def test_a_dedupe_path_decides_once_for_each_value() -> None:
    """S-081, R-017: one execution for one order, whatever the number of events."""
    make_trigger(on="purchase_completed", dedupe_path="event.order_id")
    orders = [incoming("purchase_completed", data={"order_id": order}) for order in ("a", "a", "b")]
    send(*orders)
    decide_all()
    assert outcomes() == [("pending", ""), ("pending", "")]
    assert sorted(ExecutionKey.objects.values_list("dedupe_key", flat=True)) == ["p:a", "p:b"]


def test_a_late_event_updates_the_profile_and_fires_nothing() -> None:
    """R-007, S-066."""
    make_trigger()
    old = datetime.now(UTC) - timedelta(days=8)
    send(incoming(at=old, is_late=True))
    decide_all()
    assert outcomes() == [("suppressed", "late_event")]
    assert Profile.objects.get().last_activity == old


def test_imported_events_never_fire() -> None:
    make_trigger()
    send(incoming(is_import=True))
    decide_all()
    assert outcomes() == []
    assert Profile.objects.get().last_activity is not None


def test_a_late_event_does_not_move_the_last_activity_back() -> None:
    """H-053, S-170."""
    now = datetime.now(UTC)
    send(incoming("page_view", at=now))
    decide_all()
    send(incoming("page_view", at=now - timedelta(hours=3)))
    decide_all()
    assert Profile.objects.get().last_activity == now


def test_history_is_bounded_by_the_event_on_both_sides() -> None:
    """H-038, S-165: a late event does not see what came after it."""
    now = datetime.now(UTC)
    counted = {
        "type": "event_count",
        "event_type": "product_view",
        "operator": "greater_than_or_equal",
        "value": 2,
        "timeframe_hours": 1,
    }
    make_trigger(conditions=[{"type": "event_match", "event_type": "add_to_cart"}, counted])
    send(
        incoming("product_view", at=now - timedelta(minutes=30)),
        incoming("product_view", at=now),
        incoming("add_to_cart", at=now - timedelta(minutes=10)),
    )
    decide_all()
    assert outcomes() == []
    send(incoming("add_to_cart", at=now + timedelta(seconds=1)))
    decide_all()
    assert outcomes() == [("pending", "")]


def test_what_did_not_match_is_counted_by_the_condition_that_stopped_it() -> None:
    """H-047: counters for each trigger and failing condition, and a recent sample."""
    rule = {"field": "total_value", "operator": "greater_than", "value": 100}
    trigger = make_trigger(
        conditions=[{"type": "event_match", "event_type": "cart_abandonment", "data_conditions": [rule]}]
    )
    send(incoming(data={"total_value": 5}), incoming(data={"total_value": 6}))
    decide_all()
    tally = Tally.objects.get(kind="missed")
    assert (tally.trigger_id, tally.label, tally.count) == (trigger.pk, "/conditions/0", 2)
    assert MissSample.objects.get().trigger_id == trigger.pk


def test_a_broken_condition_is_recorded_not_silently_unmatched() -> None:
    """H-034, H-047."""
    rule = {"field": "total_value", "operator": "greater_than", "value": 100}
    make_trigger(
        conditions=[{"type": "event_match", "event_type": "cart_abandonment", "data_conditions": [rule]}]
    )
    send(incoming(data={"total_value": ["a", "list"]}))
    decide_all()
    assert outcomes() == [("suppressed", "broken_condition")]


def test_events_are_counted_exactly_once() -> None:
    """S-113, S-093."""
    send(*(incoming("page_view") for _ in range(7)))
    decide_all()
    assert sum(Tally.objects.filter(kind="events").values_list("count", flat=True)) == 7
    assert sum(Tally.objects.filter(kind="latency").values_list("count", flat=True)) == 7


def test_a_poison_event_is_found_by_halving_and_ends_in_quarantine(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """H-012, S-114, R-019, R-020: the others finish, the poison keeps its traceback."""
    settings.DATA_FAILURE_BUDGET = 2
    real = decide.apply

    def poisoned(state: Any, event: Any, **more: Any) -> Any:
        if event.data.get("poison"):
            raise RecursionError("too deep")
        return real(state, event, **more)

    monkeypatch.setattr(decide, "apply", poisoned)
    make_trigger()
    send(*(incoming(customer_id=f"c{n}", data={"poison": n == 5}) for n in range(16)))
    for _ in range(3):
        decide_all()
        QueuedEvent.objects.update(due_at=datetime.now(UTC) - timedelta(seconds=1))
    assert Execution.objects.count() == 15
    held = QuarantinedEvent.objects.get()
    assert (held.error_class, held.data_failures) == ("RecursionError", 2)
    assert "too deep" in held.traceback
    assert not QueuedEvent.objects.exists()


def test_a_failing_database_leaves_the_budget_of_the_events_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """R-020, H-018, S-186: nothing is sent, the events stay, nobody is blamed."""
    from django.db import OperationalError

    def broken(*_: object, **__: object) -> None:
        raise OperationalError("gone")

    send(incoming())
    monkeypatch.setattr(process.services, "lock", broken)
    with pytest.raises(OperationalError):
        process.decide_next(Priority.LOW, limit=10, worker="test")
    row = QueuedEvent.objects.get()
    assert (row.data_failures, row.worker_deaths) == (0, 0)


def test_consent_words_are_stored_and_the_newest_counts() -> None:
    """H-065: whatever the order of arrival."""
    now = datetime.now(UTC)
    words = [
        incoming("consent_changed", data={"is_granted": False}, at=now),
        incoming("consent_changed", data={"is_granted": True}, at=now - timedelta(minutes=5)),
    ]
    send(*words)
    decide_all()
    assert Consent.objects.get().is_granted is False


def test_the_batch_costs_the_same_number_of_statements_whatever_its_size(
    django_assert_max_num_queries: Any,
) -> None:
    """H-048: no query per event."""
    make_trigger(actions=[EMAIL])
    make_trigger(
        conditions=[
            {"type": "event_match", "event_type": "cart_abandonment"},
            {
                "type": "event_count",
                "event_type": "cart_abandonment",
                "operator": "greater_than_or_equal",
                "value": 1,
                "timeframe_hours": 24,
            },
        ]
    )
    send(*(event for n in range(100) for event in (*known(f"c{n}"), incoming(customer_id=f"c{n}"))))
    while process.decide_next(Priority.HIGH, limit=500, worker="test"):
        pass
    with django_assert_max_num_queries(40):
        assert process.decide_next(Priority.MEDIUM, limit=500, worker="test") >= 30
    assert Event.objects.count() == 300


def test_statements_of_the_hot_path_carry_no_per_row_orm(django_assert_max_num_queries: Any) -> None:
    """Ingest of 500 events: a handful of statements."""
    send(incoming(customer_id="warm"))
    with django_assert_max_num_queries(12):
        send(*(incoming(customer_id=f"n{n}") for n in range(500)))
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM automation_queuedevent")
        assert cursor.fetchone()[0] == 501
