"""What each failure of an SMTP server means for the delivery, with a server that fails by script."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from automation.channels import smtp
from automation.models import Delivery, Execution
from automation.pipeline.calls import CALLS
from automation.pipeline.deliver import deliver_batch, try_again
from profiles.models import AddressSuppression
from tests.integration.deliver.factory import EMAIL, deliveries, make_execution, make_template, make_trigger
from tests.integration.deliver.mailserver import Scripted

pytestmark = pytest.mark.django_db(transaction=True)
Start = Callable[..., Scripted]


def attempt(message_class: str = "marketing", **fields: Any) -> tuple[Delivery, Execution]:
    """One delivery, tried once."""
    make_template()
    execution = make_execution(make_trigger([EMAIL], message_class=message_class, **fields))
    assert deliver_batch("medium", worker="test", limit=10) == 1
    execution.refresh_from_db()
    return deliveries(execution)[0], execution


@pytest.mark.parametrize(
    ("script", "error_class"),
    [
        ({"connect": "421 too busy"}, "smtp_421"),
        ({"connect": "554 not here"}, "smtp_554"),
        ({"connect": "drop"}, "smtp_connection"),
        ({"mail": "421 closing"}, "smtp_421"),
        ({"mail": "drop"}, "smtp_connection"),
        ({"rcpt": "450 mailbox busy"}, "smtp_450"),
        ({"rcpt": "drop"}, "smtp_connection"),
        ({"data": "451 try later"}, "smtp_451"),
        ({"data": "drop"}, "smtp_connection"),
        ({"body": "452 full"}, "smtp_452"),
    ],
)
def test_a_failure_before_the_message_was_taken_is_tried_again(
    scripted: Start, script: dict[str, str], error_class: str
) -> None:
    """R-028, R-029, S-159: refusals of the moment and drops before the end of DATA."""
    scripted(**script)
    row, execution = attempt()
    assert (row.status, row.error_class, row.tries) == ("pending", error_class, 1)
    assert row.lease_until is None
    assert row.due_at is not None
    assert row.due_at <= datetime.now(UTC) + timedelta(seconds=5)  # Full jitter below the base.
    assert (execution.status, execution.processed_at) == ("processing", None)


def test_a_server_that_is_not_there_is_tried_again(settings: Any) -> None:
    """R-028: connection refused."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings.EMAIL_PORT = probe.getsockname()[1]
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST = "127.0.0.1"
    row, _ = attempt()
    assert (row.status, row.error_class) == ("pending", "smtp_connection")


@pytest.mark.parametrize(
    ("script", "error_class", "is_suppressed"),
    [
        ({"rcpt": "550 no"}, "smtp_550", False),
        ({"rcpt": "550 5.1.1 no such user"}, "smtp_550", True),
        ({"rcpt": "550 5.7.1 spam"}, "smtp_550", False),
        ({"body": "550 5.1.10 null MX"}, "smtp_550", True),
        ({"body": "554 5.1.8 bad sender"}, "smtp_554", False),
        ({"body": "554 rejected"}, "smtp_554", False),
        ({"mail": "553 5.1.1 sender refused"}, "smtp_553", False),
        ({"data": "554 no"}, "smtp_554", False),
    ],
)
def test_a_final_refusal_ends_the_delivery(
    scripted: Start, script: dict[str, str], error_class: str, is_suppressed: bool
) -> None:
    """R-028, H-065: 5xx is permanent; 5.1.x about the recipient means never to write there again."""
    scripted(**script)
    row, execution = attempt()
    assert (row.status, row.error_class, row.tries) == ("failed", error_class, 1)
    assert row.finished_at is not None
    assert (execution.status, execution.error) == ("failed", row.error)
    found = list(AddressSuppression.objects.values_list("channel", "address", "why"))
    assert found == ([("email", row.address, "bounce")] if is_suppressed else [])


@pytest.mark.parametrize(
    ("message_class", "status", "execution_status"),
    [("marketing", "uncertain", "triggered"), ("transactional", "pending", "processing")],
)
def test_silence_after_the_whole_message_is_uncertain_for_marketing_and_repeated_otherwise(
    scripted: Start, message_class: str, status: str, execution_status: str
) -> None:
    """R-026, R-028, H-016: nobody can know whether it went out."""
    server = scripted(body="drop")
    row, execution = attempt(message_class)
    assert server.bodies == 1
    assert (row.status, row.error_class) == (status, "smtp_no_answer")
    assert execution.status == execution_status


def test_an_uncertain_message_is_not_sent_again(scripted: Start) -> None:
    """R-026: not by itself, not ever."""
    server = scripted(body="drop")
    attempt()
    assert deliver_batch("medium", worker="test", limit=10) == 0
    assert server.bodies == 1


def test_a_repeat_carries_the_same_message_id(scripted: Start) -> None:
    """R-027: so that a receiver can drop it."""
    server = scripted(body="drop")
    row, _ = attempt("transactional")
    server.script = {}
    Delivery.objects.update(due_at=datetime.now(UTC))
    assert deliver_batch("medium", worker="test", limit=10) == 1
    again = Delivery.objects.get()
    assert (again.status, again.tries, again.attempt) == ("sent", 2, 2)
    assert again.provider_id == f"<{row.pk}@beckon.local>"
    assert server.bodies == 2


def test_no_address_is_kept_in_an_error(scripted: Start) -> None:
    """H-065: erasure must not have to search error texts."""
    scripted(rcpt="550 <alice@example.com>: user unknown, ask postmaster@example.org")
    row, execution = attempt()
    assert row.error == "The server answered 550 <[address]>: user unknown, ask [address]"
    assert execution.error == row.error


def test_a_delivery_is_given_up_after_twelve_tries(scripted: Start) -> None:
    """R-029, S-146."""
    scripted(rcpt="450 busy")
    make_template()
    execution = make_execution(make_trigger([EMAIL]))
    Delivery.objects.update(tries=11, sending_at=datetime.now(UTC) - timedelta(hours=2))
    assert deliver_batch("medium", worker="test", limit=10) == 1
    (row,) = deliveries(execution)
    assert (row.status, row.tries, row.error_class) == ("failed", 12, "smtp_450")


def test_a_delivery_is_given_up_after_three_days(scripted: Start) -> None:
    """R-029: counted from the first try, not from the decision."""
    scripted(rcpt="450 busy")
    make_template()
    execution = make_execution(make_trigger([EMAIL]))
    Delivery.objects.update(tries=1, sending_at=datetime.now(UTC) - timedelta(hours=73))
    assert deliver_batch("medium", worker="test", limit=10) == 1
    assert deliveries(execution)[0].status == "failed"


@pytest.mark.parametrize("script", [{"rcpt": "hang"}, {"connect": "drip"}, {"rcpt": "drip"}])
def test_a_server_that_hangs_or_drips_holds_a_worker_no_longer_than_the_limit(
    scripted: Start, script: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-031: every wait ends at the deadline of the whole conversation."""
    monkeypatch.setattr(smtp, "READ_SECONDS", 0.5)
    monkeypatch.setattr(smtp, "TOTAL_SECONDS", 1.0)
    scripted(**script)
    began = time.monotonic()
    row, _ = attempt()
    assert CALLS.finish(5)
    row.refresh_from_db()
    assert time.monotonic() - began < 5
    assert (row.status, row.error_class) == ("pending", "smtp_connection")


def test_one_connection_serves_a_batch_and_is_opened_again_when_dropped(scripted: Start) -> None:
    """S-157: a server that closes after some messages costs no attempt."""
    server = scripted()
    make_template()
    trigger = make_trigger([EMAIL])
    first, second = make_execution(trigger), make_execution(trigger)
    assert deliver_batch("medium", worker="test", limit=10) == 2
    assert server.commands.count("ehlo") == 1
    third, fourth = make_execution(trigger), make_execution(trigger)
    server.drop_after = 1
    assert deliver_batch("medium", worker="test", limit=10) == 2
    assert server.commands.count("ehlo") == 3
    for execution in (first, second, third, fourth):
        (row,) = deliveries(execution)
        assert (row.status, row.tries) == ("sent", 1)


def test_a_refused_recipient_does_not_disturb_the_others_of_the_batch(scripted: Start) -> None:
    """R-028: the connection goes on."""
    server = scripted(rcpt="550 5.1.1 gone")
    make_template()
    trigger = make_trigger([EMAIL])
    make_execution(trigger)
    make_execution(trigger)
    assert deliver_batch("medium", worker="test", limit=10) == 2
    assert server.commands.count("ehlo") == 1
    assert set(Delivery.objects.values_list("status", flat=True)) == {"failed"}
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT address) FROM profiles_addresssuppression")
        assert cursor.fetchone()[0] == 2


def test_a_person_may_have_a_failed_delivery_tried_again(scripted: Start) -> None:
    """S-146, H-019: with the same ids; only what failed, and only once."""
    server = scripted(rcpt="550 no")
    row, execution = attempt()
    server.script = {}
    assert try_again(row.pk)
    assert not try_again(row.pk)
    again = Delivery.objects.get()
    assert (again.status, again.tries, again.error, again.sending_at) == ("pending", 0, "", None)
    execution.refresh_from_db()
    assert (execution.status, execution.error, execution.processed_at) == ("processing", "", None)
    assert deliver_batch("medium", worker="test", limit=10) == 1
    again.refresh_from_db()
    assert (again.status, again.provider_id) == ("sent", f"<{row.pk}@beckon.local>")
    assert not try_again(row.pk)
    execution.refresh_from_db()
    assert execution.status == "triggered"
