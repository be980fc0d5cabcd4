"""The proofs hold after the pipeline ran, and each notices the fault it is there for."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from automation import invariants
from automation.engine.types import Priority
from automation.models import Delivery, Execution, TriggerState
from automation.pipeline.deliver import deliver_batch
from tests.factories import EMAIL, SEGMENT, decide_all, incoming, known, make_trigger, send

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def shop() -> None:
    """Two customers, one with consent; one trigger with two actions, decided and delivered."""
    make_trigger("cart", actions=[EMAIL, SEGMENT])
    send(*known("alice"), *known("bob", consent=False))
    decide_all()
    send(
        incoming("cart_abandonment", "alice"),
        incoming("cart_abandonment", "bob"),
        incoming("page_view", "bob"),
    )
    decide_all()
    while any(deliver_batch(lane.lane, worker="test", limit=50) for lane in Priority):
        pass


def broken(**options: Any) -> dict[str, int]:
    """Breaches by invariant, those that have any."""
    return {proof.name: proof.breaches for proof in invariants.verify(**options) if proof.breaches}


def sql(statement: str) -> None:
    """Damage the data behind the product's back."""
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.usefixtures("shop")
def test_after_the_pipeline_ran_every_promise_holds() -> None:
    """R-033: and the proofs looked at something."""
    assert Execution.objects.filter(status="triggered").count() == 1
    assert Delivery.objects.filter(status="sent").count() == 2
    assert TriggerState.objects.get(count=1)
    proofs = {proof.name: proof for proof in invariants.verify()}
    assert broken() == {}
    for name, checked in {
        "accepted_events_are_stored": 6,
        "executions_have_keys": 2,
        "executions_are_unique": 2,
        "statuses_and_reasons_are_known": 2,
        "deliveries_have_executions": 2,
        "outcomes_match_actions": 1,
        "send_keys_are_unique": 2,
        "caps_hold": 1,
        "marketing_mail_was_reserved": 1,
        "counts_match_executions": 2,
    }.items():
        assert proofs[name].checked == checked, name


FIRED = "(SELECT id FROM automation_execution WHERE status = 'triggered')"
FAULTS = [
    ("accepted_events_are_stored", "DELETE FROM automation_event WHERE name = 'page_view'"),
    (
        "waiting_events_are_young",
        "INSERT INTO automation_queuedevent (event_id, profile_id, lane, shard, occurred_at,"
        " accepted_at, due_at,"
        " is_state) SELECT id, profile_id, 1, 0, occurred_at, now() - interval '1 hour', now() -"
        " interval '1 hour',"
        " false FROM automation_event WHERE name = 'page_view'",
    ),
    (
        "queue_rows_have_events",
        "INSERT INTO automation_queuedevent (event_id, profile_id, lane, shard, occurred_at, is_state)"
        " VALUES (999999, 1, 1, 0, now(), false)",
    ),
    (
        "quarantine_is_settled",
        "INSERT INTO automation_quarantinedevent (event_id, profile_id, occurred_at, lane,"
        " error_class, traceback,"
        " code_version, data_failures, worker_deaths, state, note, created_at)"
        " VALUES (1, 1, now(), 1, 'E', '', '1', 5, 0, 'held', '', now() - interval '8 days')",
    ),
    ("executions_have_keys", f"DELETE FROM automation_executionkey WHERE execution_id = {FIRED}"),
    (
        "executions_are_unique",
        "INSERT INTO automation_execution (trigger_id, version_id, profile_id, event_id,"
        " event_name, event_at,"
        " accepted_at, decided_at, lane, status, reason, dedupe_key) SELECT trigger_id,"
        " version_id, profile_id,"
        " event_id, event_name, event_at, accepted_at, decided_at, lane, status, reason, dedupe_key"
        " FROM automation_execution WHERE status = 'suppressed'",
    ),
    (
        "statuses_and_reasons_are_known",
        "UPDATE automation_execution SET reason = 'because' WHERE status = 'suppressed'",
    ),
    (
        "processing_is_going_on",
        "UPDATE automation_execution SET status = 'processing' WHERE status = 'triggered'",
    ),
    (
        "pending_will_go_on",
        "UPDATE automation_execution SET status = 'pending', due_at = NULL WHERE status = 'triggered'",
    ),
    (
        "pending_will_go_on",
        "UPDATE automation_execution SET status = 'pending', waiting = 'delay', due_at = now() -"
        " interval '1 day',"
        " reason = '' WHERE status = 'suppressed'",
    ),
    (
        "ended_executions_are_closed",
        "UPDATE automation_delivery SET status = 'pending', due_at = now() WHERE action_index = 1",
    ),
    (
        "outcomes_match_actions",
        "UPDATE automation_execution SET status = 'failed' WHERE status = 'triggered'",
    ),
    ("outcomes_match_actions", "UPDATE automation_delivery SET status = 'failed'"),
    ("deliveries_have_executions", f"DELETE FROM automation_execution WHERE id = {FIRED}"),
    (
        "due_deliveries_go_out",
        "UPDATE automation_delivery SET status = 'pending', due_at = now() - interval '2 hours'"
        " WHERE action_index = 1",
    ),
    (
        "due_deliveries_go_out",
        "UPDATE automation_delivery SET status = 'sending', lease_until = now() - interval '1 hour'"
        " WHERE action_index = 1",
    ),
    (
        "chains_of_actions_move_on",
        "UPDATE automation_delivery SET status = 'pending', due_at = NULL WHERE action_index = 1",
    ),
    (
        "caps_hold",
        "INSERT INTO automation_sendreservation (profile_id, channel, message_class, trigger_id,"
        " execution_id,"
        " reserved_at) SELECT profile_id, channel, message_class, trigger_id, execution_id,"
        " reserved_at - interval '23 hours' FROM automation_sendreservation",
    ),
    (
        "reservations_have_executions",
        "INSERT INTO automation_sendreservation (profile_id, channel, message_class, trigger_id,"
        " execution_id,"
        " reserved_at) VALUES (1, 'email', 'transactional', 1, 999999, now())",
    ),
    ("marketing_mail_was_reserved", "DELETE FROM automation_sendreservation"),
    ("counts_match_executions", "UPDATE automation_triggerstate SET count = 2 WHERE count = 1"),
]


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(("name", "statement"), FAULTS)
def test_each_fault_is_noticed(name: str, statement: str) -> None:
    """R-033: as many breaches as rows that break the promise."""
    sql(statement)
    assert broken().get(name) == (2 if name == "deliveries_have_executions" else 1)


def test_every_invariant_has_a_fault_that_it_notices() -> None:
    """R-033: no proof is there for show; unique keys cannot be damaged, only dropped."""
    named = {name for name, _ in FAULTS} | {"send_keys_are_unique"}
    assert named == {invariant.name for invariant in invariants.INVARIANTS}


@pytest.mark.usefixtures("shop")
def test_a_missing_unique_key_is_noticed() -> None:
    """R-025: the database must refuse a second delivery with the same key."""
    sql("ALTER TABLE automation_delivery DROP CONSTRAINT delivery_action_unique")
    try:
        assert broken() == {"send_keys_are_unique": 1}
    finally:
        sql(
            "ALTER TABLE automation_delivery ADD CONSTRAINT delivery_action_unique"
            " UNIQUE (execution_id, action_index, channel)"
        )
    assert broken() == {}


@pytest.mark.usefixtures("shop")
def test_two_messages_a_day_apart_keep_the_cap() -> None:
    """R-033: the window is half open: after exactly 24 hours the slot is free."""
    sql(
        "INSERT INTO automation_sendreservation (profile_id, channel, message_class, trigger_id,"
        " execution_id,"
        " reserved_at) SELECT profile_id, channel, message_class, trigger_id, execution_id,"
        " reserved_at - interval '24 hours' FROM automation_sendreservation"
    )
    assert "caps_hold" not in broken()


@pytest.mark.usefixtures("shop")
def test_the_cap_by_calendar_day_counts_days(settings: Any) -> None:
    """R-033: in the customer's own zone."""
    settings.EMAIL_CAP_BY_DAY = True
    assert "caps_hold" not in broken()
    sql("UPDATE profiles_profile SET time_zone = 'Not/AZone'")
    sql(
        "INSERT INTO automation_sendreservation (profile_id, channel, message_class, trigger_id,"
        " execution_id,"
        " reserved_at) SELECT profile_id, channel, message_class, trigger_id, execution_id, reserved_at"
        " FROM automation_sendreservation"
    )
    assert broken()["caps_hold"] == 2


@pytest.mark.usefixtures("shop")
def test_the_command_prints_a_table_and_fails_on_a_breach() -> None:
    """R-033: for people, for machines, and for whoever looks at exit codes."""
    out = StringIO()
    call_command("verify_invariants", stdout=out)
    assert "✓ caps_hold" in out.getvalue()
    assert "✗" not in out.getvalue()
    sql("DELETE FROM automation_sendreservation")
    out = StringIO()
    with pytest.raises(CommandError) as failed:
        call_command("verify_invariants", "--json", stdout=out)
    assert failed.value.returncode == 1
    found = json.loads(out.getvalue())
    assert found["ok"] is False
    (breach,) = [proof for proof in found["proofs"] if proof["breaches"]]
    assert breach["name"] == "marketing_mail_was_reserved"
    assert breach["samples"] == [str(Delivery.objects.get(channel="email").pk)]


@pytest.mark.usefixtures("shop")
def test_the_periodic_check_logs_what_is_broken(caplog: pytest.LogCaptureFixture) -> None:
    """R-033: an operator is told without looking."""
    sql("DELETE FROM automation_sendreservation")
    invariants.verify_and_log()
    assert [record.invariant for record in caplog.records if record.message == "invariant broken"] == [  # type: ignore[attr-defined]
        "marketing_mail_was_reserved"
    ]
