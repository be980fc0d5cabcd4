"""From an outbox row to a mail in somebody's mailbox, and back into the rows."""

from __future__ import annotations

import re

import pytest
from django.conf import settings

from automation.models import Tally
from automation.pipeline.deliver import deliver_batch
from tests.integration.deliver.factory import (
    EMAIL,
    deliveries,
    make_event,
    make_execution,
    make_profile,
    make_template,
    make_trigger,
)
from tests.integration.deliver.mailserver import Ledger

pytestmark = pytest.mark.django_db(transaction=True)


def deliver(lane: str = "medium", limit: int = 50) -> int:
    return deliver_batch(lane, worker="test", limit=limit)


def test_a_due_email_is_sent_with_every_field_right(smtp: Ledger) -> None:
    """S-147, S-153, S-156, S-157, S-158, H-004, R-025, R-027: payload, headers and stored result."""
    make_template()
    profile = make_profile(email="alice@example.com", first_name="Alice")
    trigger = make_trigger([EMAIL])
    event = make_event(profile)
    execution = make_execution(trigger, profile, event=event)

    assert deliver() == 1

    (mail,), (recipients,) = smtp.messages, smtp.recipients
    (row,) = deliveries(execution)
    assert recipients == ["alice@example.com"]
    assert mail["To"] == "alice@example.com"
    assert mail["From"] == settings.DEFAULT_FROM_EMAIL
    assert mail["Subject"] == "Hello Alice"
    assert mail["Message-ID"] == f"<{row.pk}@{settings.MESSAGE_ID_DOMAIN}>"
    assert mail["X-Entity-Ref"] == str(row.pk)
    assert mail["X-Beckon-Delivery"] == str(row.pk)
    assert mail["X-Beckon-Event"] == str(event.pk)  # Not the customer's id, as in the source article.
    assert mail["X-Beckon-Trigger"] == trigger.key
    link = re.fullmatch(r"<(http://[^>]+/unsubscribe/[^>]+/)>", str(mail["List-Unsubscribe"]).strip())
    assert link is not None
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    html = mail.get_body(("html",)).get_content()  # type: ignore[attr-defined]
    assert "<p>Hello Alice</p>" in html
    assert link.group(1) in html
    text = mail.get_body(("plain",)).get_content()  # type: ignore[attr-defined]
    assert text.splitlines()[0] == "Hello Alice"
    assert link.group(1) in text

    assert (row.status, row.tries, row.attempt, row.lease_until) == ("sent", 1, 1, None)
    assert (row.address, row.error, row.error_class) == ("alice@example.com", "", "")
    assert row.provider_id == mail["Message-ID"]
    assert row.result == {"action_type": "email_sent", "email_id": row.provider_id, "template_id": "hello"}
    assert row.sending_at is not None
    assert row.finished_at is not None
    execution.refresh_from_db()
    assert (execution.status, execution.reason) == ("triggered", "")
    assert execution.started_at is not None
    assert execution.processed_at is not None
    assert execution.started_at <= execution.processed_at
    assert Tally.objects.get(kind="deliveries").label == "sent"
