"""Send me a test: to the signed-in user alone, with one person's data, and without a trace in the figures."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.test import Client
from django.urls import reverse

from automation import rehearsal
from automation.channels.base import CHANNELS, DeliveryError
from automation.models import AuditEntry, Delivery, Execution, SendReservation, Tally, Task, Trigger
from profiles.models import Membership
from tests.integration.admin import rows
from tests.integration.admin.conftest import SignIn

HTML = "<p>Hello {{ first_name }}: {{ event.total_value }} {{ nobody_knows }}</p><a href='{{ unsubscribe_url }}'>x</a>"
ACTIONS = [
    {"type": "send_email", "template_id": "hello"},
    {"type": "create_task", "title": "Call {{ first_name }}"},
    {"type": "webhook", "url": "https://example.com/hook"},
    {"type": "add_to_segment", "segment": "seen"},
]


@pytest.fixture(autouse=True)
def locmem(settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"


@pytest.fixture
def trigger() -> Trigger:
    rows.template("hello", subject="For {{ first_name }}", html=HTML, text="")
    return rows.trigger(actions=ACTIONS)


@pytest.fixture
def me(sign_in: SignIn) -> Client:
    client = sign_in("Marketer")
    User.objects.filter(username="Marketer").update(email="me@shop.example")
    return client


def page(trigger: Trigger) -> str:
    return reverse("admin:automation_trigger_test", args=[trigger.pk])


def test_it_goes_to_the_signed_in_user_and_nobody_else(me: Client, trigger: Trigger) -> None:
    """S-003: rendered with the customer's data and newest event; marked; no header of a real one."""
    alice = rows.customer("alice", first_name="Alice")
    rows.event(alice, ago=90, data={"total_value": 11})
    rows.event(alice, ago=60, data={"total_value": 73.91})
    rows.event(alice, "page_view", ago=30)
    text = me.post(page(trigger), {"customer": alice.pk}).content.decode()
    (sent,) = mail.outbox
    assert (sent.to, sent.cc, sent.bcc) == (["me@shop.example"], [], [])
    assert sent.subject == "[Test] For Alice"
    assert "Hello Alice: 73.91" in sent.body
    assert "List-Unsubscribe" not in sent.extra_headers
    assert not [name for name in sent.extra_headers if name.startswith("X-Beckon")]
    assert "Sent to me@shop.example." in text
    assert "nobody_knows" in text


def test_the_person_chosen_in_the_editor_is_carried(me: Client, trigger: Trigger) -> None:
    """S-003: the editor names the address; the page has the event filled in, and nonsense does no harm."""
    happened = rows.event(rows.customer("alice"))
    change = me.get(reverse("admin:automation_trigger_change", args=[trigger.pk])).content.decode()
    assert f'data-test-url="{page(trigger)}"' in change
    shown = me.get(page(trigger), {"event": happened.pk}).content.decode()
    assert f'name="event" value="{happened.pk}"' in shown
    assert me.get(page(trigger), {"event": "x", "customer": "' or 1"}).status_code == 200
    assert mail.outbox == []


def test_its_link_ends_nobodys_subscription(me: Client, trigger: Trigger) -> None:
    """R-047: whoever follows it is told that it is no link of ours."""
    alice = rows.customer("alice")
    me.post(page(trigger), {"customer": alice.pk})
    link = mail.outbox[0].alternatives[0][0].partition("href='")[2].partition("'")[0]  # type: ignore[attr-defined]
    path = link[link.index("/unsubscribe/") :]
    assert Client().get(path).status_code == 404
    assert Client().post(path).status_code == 404


def test_nothing_else_happens_and_nothing_is_counted(me: Client, trigger: Trigger) -> None:
    """Webhook, task and segment are shown; no execution, delivery, place or tally is written."""
    alice = rows.customer("alice", first_name="Alice")
    text = me.post(page(trigger), {"customer": alice.pk}).content.decode()
    assert text.count("Shown, not performed:") == 3
    assert "Call Alice" in text
    assert "https://example.com/hook" in text
    for model in (Execution, Delivery, SendReservation, Tally, Task, Membership):
        assert not model._default_manager.exists(), model
    entry = AuditEntry.objects.latest("pk")
    assert entry.details["changes"] == f"Sent a test to themselves with the data of customer {alice.pk}."


def test_an_event_may_be_chosen(me: Client, trigger: Trigger) -> None:
    """Alone, or with its own customer; another's is refused."""
    alice, bob = rows.customer("alice", first_name="Alice"), rows.customer("bob")
    happened = rows.event(alice, data={"total_value": 5})
    me.post(page(trigger), {"event": happened.pk})
    assert "Hello Alice: 5" in mail.outbox[0].body
    assert (
        "belongs to another customer"
        in me.post(page(trigger), {"customer": bob.pk, "event": happened.pk}).content.decode()
    )
    for event in ("999999999", "0", "x", "9" * 30):
        assert me.post(page(trigger), {"event": event}).status_code == 200
    assert "Choose a customer or an event." in me.post(page(trigger), {}).content.decode()
    assert len(mail.outbox) == 1


def test_who_has_no_address_is_told_so(sign_in: SignIn, trigger: Trigger) -> None:
    """Nothing is sent, and the button is off."""
    client, alice = sign_in("Marketer"), rows.customer("alice")
    assert "Your account has no e-mail address." in client.get(page(trigger)).content.decode()
    client.post(page(trigger), {"customer": alice.pk})
    assert mail.outbox == []


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        ("django.core.mail.backends.dummy.EmailBackend", "Mail is switched off here"),
        ("django.core.mail.backends.smtp.EmailBackend", "No mail server is configured"),
    ],
)
def test_where_mail_is_not_set_up_it_says_so(
    me: Client, trigger: Trigger, settings: Any, backend: str, said: str
) -> None:
    """Instead of losing the message in silence."""
    settings.EMAIL_BACKEND, settings.EMAIL_URL = backend, ""
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    text = me.post(page(trigger), {"customer": rows.customer("alice").pk}).content.decode()
    assert said in text
    assert "Sent to" not in text


def test_a_subject_with_a_line_break_smuggles_nothing_in(me: Client, trigger: Trigger) -> None:
    """Data of a customer makes no header."""
    alice = rows.customer("alice", first_name="A\r\nBcc: eve@example.com")
    text = me.post(page(trigger), {"customer": alice.pk}).content.decode()
    assert "Subject would contain a line break." in text
    assert mail.outbox == []


def test_who_may_not_see_addresses_tests_nothing(sign_in: SignIn, trigger: Trigger) -> None:
    """A rendered message says what is known of a person."""
    for name in ("Analyst", "Operator"):
        assert sign_in(name).get(page(trigger)).status_code == 403
    marketer = sign_in("Marketer")
    user = User.objects.get(username="Marketer")
    user.groups.get().permissions.filter(codename="view_pii").delete()
    assert marketer.get(page(trigger)).status_code == 403


def test_a_test_sends_five_messages_at_most_and_not_for_long(
    me: Client, trigger: Trigger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are shown and said not to have been sent."""
    Trigger.objects.update(actions=[{**ACTIONS[0], "delay_minutes": n} for n in range(7)])
    alice = rows.customer("alice")
    text = me.post(page(trigger), {"customer": alice.pk}).content.decode()
    assert len(mail.outbox) == 5
    assert text.count("a test sends at most 5 messages") == 2
    monkeypatch.setattr(rehearsal, "SECONDS", -1.0)
    assert "took too long" in me.post(page(trigger), {"customer": alice.pk}).content.decode()
    assert len(mail.outbox) == 5


def test_nothing_is_sent_after_silence_and_the_log_knew_before(
    me: Client, trigger: Trigger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One call that nobody answers is enough; the entry stands whatever happens."""
    Trigger.objects.update(actions=[ACTIONS[0]] * 3)
    noted = []

    def silent(channel: object, message: object) -> None:
        noted.append(AuditEntry.objects.filter(details__changes__startswith="Sent a test").count())
        raise DeliveryError("No answer.", permanent=False, unanswered=True)

    monkeypatch.setattr(CHANNELS["email"], "send", silent)
    text = me.post(page(trigger), {"customer": rows.customer("alice").pk}).content.decode()
    assert noted == [1]
    assert text.count("did not answer for the message before it") == 2


def test_who_asks_for_a_sixth_test_waits(me: Client, trigger: Trigger) -> None:
    """Five a minute of one person."""
    Trigger.objects.update(actions=[ACTIONS[0]])
    alice = rows.customer("alice")
    said = [me.post(page(trigger), {"customer": alice.pk}).content.decode() for _ in range(6)]
    assert "Too many tests at once." not in said[4]
    assert "Too many tests at once." in said[5]
    assert len(mail.outbox) == 5
