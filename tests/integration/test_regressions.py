"""Faults of the article's engine that no single stage shows: each test fails on that behaviour."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, connections, transaction
from django.test import Client
from django.urls import reverse

from automation import explain, faults
from automation.engine.suppression.data import MAX_RECENT
from automation.engine.types import Mode, Priority, TriggerType
from automation.models import (
    Delivery,
    Event,
    Execution,
    QuarantinedEvent,
    QueuedEvent,
    SendReservation,
    Trigger,
    TriggerState,
)
from automation.pipeline import due, process
from automation.pipeline.deliver import deliver_batch
from config.logging import JsonFormatter
from profiles.behavior import view
from profiles.models import Consent, Profile
from tests.factories import EMAIL, decide_all, incoming, known, make_trigger, outcomes, send
from tests.integration.deliver.mailserver import Ledger, mail_server

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def static_root(settings: Any, tmp_path: Path) -> None:
    """Whitenoise warns when collectstatic has not run; here it need not have."""
    settings.STATIC_ROOT = tmp_path


@pytest.fixture
def mailbox(settings: Any) -> Iterator[Ledger]:
    """A real mail server."""
    with mail_server() as (ledger, port):
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
        yield ledger


def deliver() -> int:
    return sum(deliver_batch(lane.lane, worker="test", limit=50) for lane in Priority)


# --- Counting and sending


def test_a_send_is_counted_before_it_goes_out_so_a_crash_after_it_cannot_repeat_it(
    mailbox: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H-002, S-145: the article records the send afterwards; when that fails, the mail goes out again."""
    make_trigger(actions=[EMAIL])
    send(*known(), incoming())
    decide_all()
    assert (SendReservation.objects.count(), TriggerState.objects.get().count) == (1, 1)
    assert mailbox.messages == []
    monkeypatch.setitem(faults.ARMED, "delivery_after_effect", ("raise", 1.0))
    with pytest.raises(faults.InjectedFaultError):
        deliver()
    monkeypatch.delitem(faults.ARMED, "delivery_after_effect")
    assert len(mailbox.messages) == 1
    send(incoming())
    decide_all()
    Delivery.objects.update(lease_until=None)
    deliver()
    assert outcomes() == [("triggered", ""), ("suppressed", "frequency_cap")]
    assert len(mailbox.messages) == 1


def test_a_crash_before_the_decision_is_committed_leaves_nothing_half_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """S-145, S-141, R-018: profile, execution, reservation and outbox come together or not at all."""
    make_trigger(actions=[EMAIL])
    send(*known(), incoming())
    send(incoming("purchase_completed", data={"order_id": "1", "total": 9}))
    monkeypatch.setitem(faults.ARMED, "decide_before_commit", ("raise", 1.0))
    # The events of the batch are blamed one by one; none of them left a trace.
    for lane in Priority:
        process.decide_next(lane, limit=50, worker="test")
    assert not Execution.objects.exists()
    assert not SendReservation.objects.exists()
    assert not Delivery.objects.exists()
    assert Profile.objects.get().orders_count == 0
    monkeypatch.delitem(faults.ARMED, "decide_before_commit")
    decide_all()
    assert (Execution.objects.count(), SendReservation.objects.count(), Delivery.objects.count()) == (1, 1, 1)
    assert Profile.objects.get().orders_count == 1


def test_suppression_is_judged_after_the_match_only() -> None:
    """S-116: who does not match is not "suppressed"; who does is, with the reason."""
    condition = {
        "type": "event_match",
        "event_type": "cart_abandonment",
        "data_conditions": [{"field": "total_value", "operator": "greater_than", "value": 50}],
    }
    make_trigger(conditions=[condition], actions=[EMAIL])
    send(*known(consent=False), incoming(data={"total_value": 10}))
    decide_all()
    assert outcomes() == []
    send(incoming(data={"total_value": 60}))
    decide_all()
    assert outcomes() == [("suppressed", "no_consent")]


def test_the_cooldown_is_exact_to_the_second() -> None:
    """S-100, S-077: minutes as stated; the reason says when it ends."""
    trigger = make_trigger(cooldown_minutes=90)
    send(incoming())
    decide_all()
    state = TriggerState.objects.get()
    for short, status in ((3, "suppressed"), (0, "pending")):
        last_at = datetime.now(UTC) - timedelta(minutes=90) + timedelta(seconds=short)
        TriggerState.objects.filter(profile_id=state.profile_id, trigger_id=trigger.pk).update(
            last_at=last_at
        )
        send(incoming())
        decide_all()
        newest = Execution.objects.order_by("-id")[0]
        assert newest.status == status
        if status == "suppressed":
            until = datetime.fromisoformat(newest.reasons[0]["until"])
            assert until == last_at + timedelta(minutes=90)


def test_what_is_remembered_of_a_trigger_is_bounded_and_its_times_are_times() -> None:
    """H-028: the article's lists grow without end and hold texts."""
    trigger = make_trigger(max_per_period={"count": 1000, "hours": 1})
    count = MAX_RECENT + 40
    send(*(incoming() for _ in range(count // 2)))
    send(*(incoming() for _ in range(count - count // 2)))
    decide_all()
    state = TriggerState.objects.get(trigger_id=trigger.pk)
    assert state.count == 1000  # The limit of the period.
    assert len(state.recent) <= MAX_RECENT
    assert all(datetime.fromisoformat(at).tzinfo is not None for at in state.recent)
    assert state.last_at is not None


# --- What other processes changed


def test_an_unsubscribe_written_by_another_process_counts_with_the_next_event() -> None:
    """H-051, S-089: no process keeps a profile that could be out of date."""
    make_trigger(actions=[EMAIL], cooldown_minutes=None)
    send(*known(), incoming())
    decide_all()
    assert outcomes() == [("pending", "")]
    SendReservation.objects.all().delete()
    elsewhere = threading.Thread(target=_refuse)
    elsewhere.start()
    elsewhere.join()
    send(incoming())
    decide_all()
    assert outcomes()[-1] == ("suppressed", "unsubscribed")


def _refuse() -> None:
    Consent.objects.update(is_granted=False, recorded_at=datetime.now(UTC))
    Profile.objects.update(first_name="Changed")
    connections.close_all()


def test_workers_that_race_for_one_profile_lose_no_update() -> None:
    """H-017, S-175: read, change and write happen under the profile's lock, in whatever lane."""
    make_trigger(on="purchase_completed", priority=Priority.HIGH)
    make_trigger(on="page_view", priority=Priority.LOW)
    orders = 40
    for n in range(orders):
        send(
            incoming("purchase_completed", data={"order_id": f"o{n}", "total": 10}, message_id=f"p{n}"),
            incoming("page_view", message_id=f"v{n}"),
        )
    failures: list[Exception] = []

    def work(lane: Priority, name: str) -> None:
        try:
            while QueuedEvent.objects.filter(lane=lane).exists():
                process.decide_next(lane, limit=3, worker=name)
        except Exception as error:  # noqa: BLE001 — shown by the assertion below.
            failures.append(error)
        finally:
            connections.close_all()

    lanes = (Priority.HIGH, Priority.LOW) * 2
    workers = [threading.Thread(target=work, args=(lane, f"w{n}")) for n, lane in enumerate(lanes)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert failures == []
    profile = Profile.objects.get()
    assert (profile.orders_count, profile.lifetime_value) == (orders, orders * 10)
    assert profile.behavioral_patterns["events"]["page_view"][0] == orders


def test_the_behaviour_segment_does_not_depend_on_other_customers_or_on_the_run() -> None:
    """H-055: published rules, not clusters that are fitted anew."""
    past = datetime.now(UTC) - timedelta(days=40)
    send(*(incoming("page_view", who, at=past, is_late=True) for who in ("quiet", "calm")))
    send(*(incoming("purchase_completed", "fan", data={"order_id": f"o{n}", "total": 5}) for n in range(3)))
    decide_all()
    before = _segments()
    assert before == {"quiet": "at_risk", "calm": "at_risk", "fan": "loyal"}
    send(*(incoming("page_view", f"other-{n}") for n in range(30)))
    decide_all()
    assert before.items() <= _segments().items()


def _segments() -> dict[str, str]:
    """Read off the stored profiles and, a second time, off the stored events."""
    now = datetime.now(UTC)
    found = {}
    for event in Event.objects.order_by("profile_id", "-occurred_at", "-id").distinct("profile_id"):
        facts = explain.facts_of(event.profile_id, event.pk, event.occurred_at, event.received_at)
        from profiles import services

        state = services.load([event.profile_id])[event.profile_id].state
        segment = view(state, now)["behavior_segment"]
        assert segment == view(facts.profile._state, now)["behavior_segment"]  # type: ignore[attr-defined]
        found[str(Profile.objects.get(pk=event.profile_id).customer_id)] = segment
    return found


# --- Clocks


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_wrong_clock_of_a_worker_decides_nothing(jump: timedelta) -> None:
    """R-023: decisions read PostgreSQL's clock; nothing fires early, twice, or not at all."""
    waiting = make_trigger("waits", timing={"kind": "delay", "minutes": 30})
    cooled = make_trigger("cooled", cooldown_minutes=30)
    send(incoming(message_id="one"))
    decide_all()
    send(incoming(message_id="two"))
    with time_machine.travel(datetime.now(UTC) + jump, tick=True):
        decide_all()
        assert sum(due.decide_due(lane) for lane in Priority) == 0
    assert outcomes(cooled) == [("pending", ""), ("suppressed", "cooldown")]
    assert outcomes(waiting) == [("pending", ""), ("pending", "")]
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(abs(extract(epoch FROM now() - decided_at))) FROM automation_execution")
        assert cursor.fetchone()[0] < 60
    Execution.objects.filter(trigger=waiting).update(due_at=datetime.now(UTC) - timedelta(seconds=1))
    with time_machine.travel(datetime.now(UTC) + jump, tick=True):
        assert sum(due.decide_due(lane) for lane in Priority) == 2
        assert sum(due.decide_due(lane) for lane in Priority) == 0


def test_the_times_of_an_execution_follow_one_another(mailbox: Ledger) -> None:
    """S-082: accepted, decided, dispatched, processed, and what waits says until when."""
    mails = make_trigger(actions=[EMAIL])
    make_trigger(timing={"kind": "delay", "minutes": 5})
    send(*known(), incoming())
    decide_all()
    deliver()
    done, waits = Execution.objects.get(trigger=mails), Execution.objects.exclude(trigger=mails).get()
    assert done.started_at is not None
    assert done.processed_at is not None
    assert done.event_at <= done.accepted_at <= done.decided_at <= done.started_at <= done.processed_at
    assert done.due_at is None
    assert waits.due_at == waits.event_at + timedelta(minutes=5)
    assert (waits.started_at, waits.processed_at) == (None, None)


# --- Logs


def test_logs_are_structured_carry_ids_and_no_personal_data(
    mailbox: Ledger, monkeypatch: pytest.MonkeyPatch, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """H-066, S-095: every line of a whole run, also of a failure with its traceback, as it is written."""
    settings.DATA_FAILURE_BUDGET = 1
    caplog.set_level(logging.DEBUG)
    logging.getLogger("mail.log").setLevel(logging.ERROR)  # The test's own mail server.
    make_trigger(actions=[EMAIL])
    send(
        *known("zoe-4711", email="zoe.secret@example.com", first_name="Zoerelle"),
        incoming(customer_id="zoe-4711"),
    )
    decide_all()
    deliver()
    assert len(mailbox.messages) == 1
    monkeypatch.setitem(faults.ARMED, "after_claim", ("raise", 1.0))
    send(incoming(customer_id="zoe-4711"))
    decide_all()
    held = QuarantinedEvent.objects.get()

    own = [record for record in caplog.records if record.name.split(".")[0] in _OURS]
    lines = [json.loads(JsonFormatter().format(record)) for record in own]
    failure = next(line for line in lines if line.get("event_id") == held.event_id)
    assert failure["level"] == "error"
    assert "InjectedFaultError" in failure["traceback"]
    text = json.dumps(lines)
    for secret in ("zoe-4711", "zoe.secret", "Zoerelle"):
        assert secret not in text
    assert all({"at", "level", "logger", "message"} <= line.keys() for line in lines)


_OURS = {"automation", "profiles", "analytics", "config"}


# --- Triggers


@pytest.mark.parametrize("kind", list(TriggerType))
def test_every_type_of_trigger_is_a_choice_and_a_filter_and_limits_nothing(kind: TriggerType) -> None:
    """S-074: the type says what a trigger is for; conditions and priority are free."""
    nested = [
        {"type": "event_match", "event_type": "cart_abandonment"},
        {"type": "any", "conditions": [{"type": "customer_attribute", "attribute": "country", "operator": "exists"},
                                       {"type": "not", "conditions": [{"type": "segment", "segment": "vip"}]}]},
    ]  # fmt: skip
    for priority in Priority:
        make_trigger(f"{kind}-{priority.lane}", conditions=nested, type=kind, priority=priority)
    make_trigger("other", type=next(other for other in TriggerType if other is not kind))
    send(incoming())
    decide_all()
    assert outcomes() == [("pending", "")] * 5
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    page = client.get(reverse("admin:automation_trigger_changelist"), {"type__exact": kind.value})
    assert {trigger.key for trigger in page.context["cl"].result_list} == {
        f"{kind}-{p.lane}" for p in Priority
    }


@pytest.mark.parametrize("field", ["type", "mode", "message_class"])
def test_the_database_refuses_values_outside_the_closed_lists(field: str) -> None:
    """S-100, H-059."""
    trigger = make_trigger()
    with pytest.raises(IntegrityError), transaction.atomic():
        Trigger.objects.filter(pk=trigger.pk).update(**{field: "no_such"})


def test_nested_groups_and_the_flat_list_of_the_article_decide_alike() -> None:
    """S-075, H-044: a list is all of it; groups nest."""
    rows = [
        {"type": "event_match", "event_type": "cart_abandonment"},
        {"type": "customer_attribute", "attribute": "country", "operator": "equals", "value": "DE"},
    ]
    flat = make_trigger("flat", conditions=rows)
    in_france = {"type": "customer_attribute", "attribute": "country", "operator": "equals", "value": "FR"}
    inner = [{"type": "any", "conditions": [rows[1]]}, {"type": "not", "conditions": [in_france]}]
    deep = make_trigger("deep", conditions=[rows[0], {"type": "all", "conditions": inner}])
    for country, count in (("FR", 0), ("DE", 1)):
        send(incoming(customer_id=country, context={"location": {"country": country}}))
        decide_all()
        assert len(outcomes(flat)) == len(outcomes(deep)) == count


def test_a_triggers_name_is_unique_searchable_and_known_to_its_messages(mailbox: Ledger) -> None:
    """S-073."""
    from tests.factories import make_template

    make_trigger("named", name="Spring carts", actions=[EMAIL])
    make_template(subject="About {{ trigger_name }}")
    with pytest.raises(IntegrityError), transaction.atomic():
        make_trigger("other", name="Spring carts", mode=Mode.DRAFT)
    make_trigger("third", name="Autumn carts")
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    page = client.get(reverse("admin:automation_trigger_changelist"), {"q": "spring"})
    assert [trigger.key for trigger in page.context["cl"].result_list] == ["named"]
    send(*known(), incoming())
    decide_all()
    deliver()
    assert [mail["Subject"] for mail in mailbox.messages] == ["About Spring carts"]


def test_the_state_of_an_event_is_really_set(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """S-102, H-013: received, processed, or failed with its attempts; the article never sets `processed`."""
    settings.DATA_FAILURE_BUDGET = 3
    send(incoming(message_id="good"))
    row = QueuedEvent.objects.get()
    assert (row.event_id, row.data_failures) == (Event.objects.get().pk, 0)
    decide_all()
    assert not QueuedEvent.objects.exists()
    assert not QuarantinedEvent.objects.exists()
    send(incoming(message_id="bad"))
    monkeypatch.setitem(faults.ARMED, "after_claim", ("raise", 1.0))
    for failures in (1, 2):
        process.decide_next(Priority.LOW, limit=10, worker="test")
        assert QueuedEvent.objects.get().data_failures == failures
        QueuedEvent.objects.update(due_at=datetime.now(UTC) - timedelta(seconds=1))
    process.decide_next(Priority.LOW, limit=10, worker="test")
    assert not QueuedEvent.objects.exists()
    held = QuarantinedEvent.objects.get()
    assert (held.state, held.data_failures) == ("held", 3)
