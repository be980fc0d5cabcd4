"""What may not stand in a mail header: no byte of such a message leaves, and nobody tries it again."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from email.policy import SMTP
from typing import Any

import pytest
from django.core.mail import EmailMultiAlternatives

from automation.channels import mime
from automation.channels.base import DeliveryError, Email
from automation.pipeline.deliver import deliver_batch
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
Start = Callable[..., Scripted]

BREAKS = {"CR": "\r", "LF": "\n", "CR LF": "\r\n", "NUL": "\0", "folded": "\r\n "}


def email(**fields: Any) -> Email:
    values: dict[str, Any] = {
        "delivery_id": uuid.UUID(int=7),
        "to": "alice@example.com",
        "subject": "Hello",
        "html": "",
        "text": "Hello",
        "metadata": {},
    }
    return Email(**{**values, **fields})


def attempt(**data: Any) -> Any:
    """One delivery whose subject and sender take what the customer's event says; tried twice."""
    execution = make_execution(
        make_trigger([{**EMAIL, **data.pop("action", {})}]), event=make_event(make_profile(), data=data)
    )
    for _ in range(2):
        deliver_batch("medium", worker="test", limit=10)
    execution.refresh_from_db()
    return deliveries(execution)[0], execution


@pytest.mark.parametrize("name", [name for name in BREAKS if name != "NUL"])  # No event can hold a NUL.
def test_a_subject_from_an_event_cannot_break_into_the_headers(scripted: Start, name: str) -> None:
    """R-048: failed for good at the first try; the mail server was not even called."""
    server = scripted()
    make_template(subject="About {{ event.title }}")
    row, execution = attempt(title=f"shoes{BREAKS[name]}Bcc: mallory@example.com")
    assert (row.status, row.error_class, row.tries) == ("failed", "header_injection", 1)
    assert execution.status == "failed"
    assert server.commands == []


@pytest.mark.parametrize("name", BREAKS)
@pytest.mark.parametrize(
    "make",
    [
        lambda text: email(subject=f"a{text}b"),
        lambda text: email(from_name=f"a{text}b"),
        lambda text: email(unsubscribe_url=f"https://shop.test/{text}x"),
        *(
            (lambda text, key=key: email(metadata={key: f"a{text}b"}))
            for key in ("delivery_id", "event_id", "trigger_id")
        ),
    ],
    ids=["Subject", "From", "List-Unsubscribe", "X-Beckon-Delivery", "X-Beckon-Event", "X-Beckon-Trigger"],
)
def test_no_header_takes_a_line_break_or_nul(make: Callable[[str], Email], name: str) -> None:
    """R-048: every header that a value of ours, of staff or of a customer goes into; permanent, so never retried."""
    with pytest.raises(DeliveryError) as refused:
        mime.build(make(BREAKS[name]))
    assert (refused.value.permanent, refused.value.kind) == (True, "header_injection")


@pytest.mark.parametrize(
    "address",
    [
        "a@example.com\r\nBcc: b@example.com",
        "a@example.com\nRCPT TO:<b@example.com>",
        "a@example.com\r",
        "a@example.com, b@example.com",
        "a@example.com b@example.com",
        "a@example.com;b@example.com",
        "Alice <a@example.com>",
        "<a@example.com>",
        "a@example.com>",
        "a@b@example.com",
        "a",
        "",
    ],
)
def test_an_address_is_one_address(scripted: Start, address: str) -> None:
    """R-048: validated where the message is built, whatever a trait said; nothing is sent, nothing is retried."""
    with pytest.raises(DeliveryError) as refused:
        mime.build(email(to=address))
    assert (refused.value.permanent, refused.value.kind) == (True, "invalid_address")
    server = scripted()
    make_template()
    execution = make_execution(make_trigger([EMAIL]))
    Profile.objects.update(email=address)
    for _ in range(2):
        deliver_batch("medium", worker="test", limit=10)
    row = deliveries(execution)[0]
    assert row.status in ("failed", "skipped", "cancelled", "suppressed"), row.status
    assert row.tries <= 1
    assert server.commands == []


@pytest.mark.parametrize("name", [name for name in BREAKS if name != "NUL"])
def test_a_sender_name_cannot_break_into_the_headers(scripted: Start, name: str) -> None:
    """R-048: as for the subject, when it stands in the published action."""
    server = scripted()
    make_template()
    row, execution = attempt(action={"from_name": f"Shop{BREAKS[name]}Bcc: mallory@example.com"})
    assert (row.status, row.error_class, row.tries) == ("failed", "header_injection", 1)
    assert execution.status == "failed"
    assert server.commands == []


def test_each_message_has_one_recipient(smtp: Ledger) -> None:
    """R-048: in the envelope and in the headers."""
    make_template()
    trigger = make_trigger([EMAIL])
    people = [make_profile() for _ in range(3)]
    for person in people:
        make_execution(trigger, person)
    while deliver_batch("medium", worker="test", limit=10):
        pass
    assert sorted(smtp.recipients) == sorted([person.email] for person in people)
    assert sorted(str(message["To"]) for message in smtp.messages) == sorted(p.email for p in people)
    for message in smtp.messages:
        assert message["Cc"] is None
        assert message["Bcc"] is None


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Shop", "Shop <"),
        ("Müller & Söhne", "=?utf-8?"),
        ("Doe, Jane", '"Doe, Jane" <'),
        ('The "Shop"', '"The \\"Shop\\"" <'),
        ("mallory@evil.test>", '"mallory@evil.test>" <'),
        ("店", "=?utf-8?"),
    ],
)
def test_a_display_name_is_encoded_and_stays_a_name(name: str, written: str, settings: Any) -> None:
    """R-048: RFC 2047 in ASCII on the wire, and the address behind it is ours."""
    settings.DEFAULT_FROM_EMAIL = "Beckon <hello@shop.test>"
    built: EmailMultiAlternatives = mime.build(email(from_name=name))
    raw = built.message().as_bytes()
    line = next(line for line in raw.split(b"\n") if line.startswith(b"From:"))
    assert line.isascii()
    assert line.decode().removeprefix("From: ").startswith(written)
    (sender,) = SMTP.header_factory("From", line.decode().removeprefix("From: ")).addresses
    assert (sender.display_name, sender.addr_spec) == (name, "hello@shop.test")
