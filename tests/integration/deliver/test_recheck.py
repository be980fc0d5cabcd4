"""What happened between the decision and the moment of sending (R-024, H-020)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from automation.models import Delivery, Execution, SendReservation, Tally, Trigger
from automation.pipeline.deliver import deliver_batch
from profiles.models import AddressSuppression, Consent, Profile
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


def _refuse(profile: Profile, topic: str = "marketing") -> None:
    values = {"is_granted": False, "source": "one_click", "recorded_at": datetime.now(UTC)}
    Consent.objects.update_or_create(profile=profile, topic=topic, channel="email", defaults=values)


def _set(**fields: Any) -> Callable[[Profile], None]:
    return lambda profile: Profile.objects.filter(pk=profile.pk).update(**fields) and None


def _mode(mode: str) -> Callable[[Profile], None]:
    return lambda profile: Trigger.objects.update(mode=mode) and None


def _suppress(profile: Profile) -> None:
    AddressSuppression.objects.create(channel="email", address=profile.email.upper())


CHANGES = [
    ("unsubscribed", _refuse),
    ("unsubscribed", lambda profile: _refuse(profile, "*")),
    ("no_consent", lambda profile: Consent.objects.all().delete() and None),
    ("address_suppressed", _suppress),
    ("missing_address", _set(email="")),
    ("profile_erased", _set(erased_at=datetime.now(UTC))),
    ("preference", _set(preferences={"channels_off": ["email"]})),
    ("trigger_paused", _mode("paused")),
    ("trigger_paused", _mode("archived")),
    ("trigger_paused", _mode("shadow")),
]


@pytest.mark.parametrize(("reason", "change"), CHANGES)
def test_what_changed_meanwhile_calls_the_message_off(
    smtp: Ledger, reason: str, change: Callable[[Profile], None]
) -> None:
    """R-024, H-020, S-155: cancelled with the reason, nothing sent, the slot under the cap free again."""
    make_template()
    profile = make_profile()
    execution = make_execution(make_trigger([EMAIL]), profile)
    change(profile)
    assert deliver_batch("medium", worker="test", limit=10) == 1
    (row,) = deliveries(execution)
    assert smtp.messages == []
    assert (row.status, row.reason, row.tries, row.address) == ("cancelled", reason, 0, "")
    execution.refresh_from_db()
    assert (execution.status, execution.reason) == ("suppressed", reason)
    assert execution.processed_at is not None
    assert not SendReservation.objects.exists()
    assert Tally.objects.get(kind="deliveries").label == "cancelled"


@pytest.mark.parametrize(
    ("word", "is_sent"),
    [(None, True), (True, True), (False, True)],
)
def test_a_transactional_message_does_not_ask_for_marketing_consent(
    smtp: Ledger, word: bool | None, is_sent: bool
) -> None:
    """R-024: the word on marketing says nothing about an order confirmation."""
    make_template()
    execution = make_execution(
        make_trigger([EMAIL], message_class="transactional"), make_profile(consent=word)
    )
    deliver_batch("medium", worker="test", limit=10)
    assert (deliveries(execution)[0].status == "sent") is is_sent
    assert len(smtp.messages) == is_sent
    assert smtp.messages[0]["List-Unsubscribe"] is None


def test_a_transactional_message_obeys_a_refusal_of_its_own_topic(smtp: Ledger) -> None:
    """R-024: never against the customer's word."""
    make_template()
    profile = make_profile()
    _refuse(profile, "orders")
    execution = make_execution(make_trigger([EMAIL], message_class="transactional", topic="orders"), profile)
    deliver_batch("medium", worker="test", limit=10)
    assert (deliveries(execution)[0].status, smtp.messages) == ("cancelled", [])


def test_without_opt_in_only_a_refusal_stops_a_message(smtp: Ledger, settings: Any) -> None:
    """R-024: the installation's rule, as for the decision."""
    settings.CONSENT_OPT_IN = False
    make_template()
    make_execution(make_trigger([EMAIL]), make_profile(consent=None))
    deliver_batch("medium", worker="test", limit=10)
    assert len(smtp.messages) == 1


def test_the_address_is_the_one_of_the_moment_of_sending(smtp: Ledger) -> None:
    """R-024: not the one of the decision."""
    make_template()
    profile = make_profile(email="old@example.com")
    execution = make_execution(make_trigger([EMAIL]), profile)
    Profile.objects.update(email="new@example.com")
    deliver_batch("medium", worker="test", limit=10)
    assert smtp.recipients == [["new@example.com"]]
    assert deliveries(execution)[0].address == "new@example.com"


def test_a_message_of_an_execution_that_was_called_off_is_not_sent(smtp: Ledger) -> None:
    """H-020: the customer bought meanwhile, and the execution was suppressed."""
    make_template()
    execution = make_execution(make_trigger([EMAIL]))
    Execution.objects.update(status="suppressed", reason="cancelled_by_event")
    deliver_batch("medium", worker="test", limit=10)
    row = Delivery.objects.get()
    assert (row.status, row.reason, smtp.messages) == ("cancelled", "cancelled_by_event", [])
    execution.refresh_from_db()
    assert (execution.status, execution.reason) == ("suppressed", "cancelled_by_event")


def test_an_edited_trigger_sends_what_it_was_decided_with(smtp: Ledger) -> None:
    """R-022: the version of the decision, whatever is edited meanwhile."""
    make_template()
    make_template("other", subject="Other")
    trigger = make_trigger([EMAIL])
    make_execution(trigger)
    trigger.actions = [{"type": "send_email", "template_id": "other"}]
    trigger.save()
    deliver_batch("medium", worker="test", limit=10)
    assert [mail["Subject"] for mail in smtp.messages] == ["Hello Alice"]
