"""The versions of a trigger: what differs in words, who and when, and back to an earlier one."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from automation.admin.trigger_form import state_of
from automation.engine.types import Mode
from automation.models import AuditEntry, Trigger, TriggerVersion
from automation.pipeline import asking, publish
from tests.integration.admin import rows
from tests.integration.admin.conftest import SignIn
from tests.integration.admin.test_triggers import change, confirm


def page(trigger: Trigger) -> str:
    return reverse("admin:automation_trigger_versions", args=[trigger.pk])


def restore(client: Client, trigger: Trigger, number: str, **how: Any) -> HttpResponse:
    """Press the button on the page as it is now."""
    seen = state_of(Trigger.objects.get(pk=trigger.pk))
    return client.post(page(trigger), {"number": number, "seen_state": seen}, **how)  # type: ignore[return-value]


@pytest.fixture
def thrice() -> Trigger:
    """Published with no rest, with an hour, and with two."""
    trigger = rows.trigger()
    for minutes in (60.0, 120.0):
        Trigger.objects.update(cooldown_minutes=minutes)
        publish.publish(trigger, by=None)
    trigger.refresh_from_db()
    return trigger


def test_each_version_differs_in_words_from_the_one_before_or_the_newest(
    root: Client, thrice: Trigger
) -> None:
    """S-080."""
    before = root.get(page(thrice)).content.decode()
    assert "minutes of rest per customer: none → 60" in before
    assert "minutes of rest per customer: 60 → 120" in before
    now = root.get(page(thrice), {"against": "now"}).content.decode()
    assert "minutes of rest per customer: none → 120" in now
    assert "none → 60" not in now


def test_who_and_when(sign_in: SignIn) -> None:
    """S-080: of the trigger itself and of each version."""
    client, _ = sign_in("Marketer"), rows.template()
    trigger = rows.trigger()
    change(client, trigger, cooldown_minutes="60")
    confirm(client, trigger)
    text = client.get(page(trigger)).content.decode()
    stored = Trigger.objects.get()
    assert (str(stored.updated_by), stored.created_by) == ("Marketer", None)
    assert stored.updated_at > stored.created_at
    assert "Marketer" in text
    assert "Beckon itself" in text


def test_a_restored_version_acts_as_a_new_one_when_it_is_confirmed(root: Client, thrice: Trigger) -> None:
    """S-080: nothing of the history is lost, and nothing acts unconfirmed."""
    answer = restore(root, thrice, "1")
    assert answer["Location"] == reverse("admin:automation_trigger_publish", args=[thrice.pk])
    stored = Trigger.objects.get()
    assert (stored.cooldown_minutes, stored.current_version.number) == (None, 3)  # type: ignore[union-attr]
    assert asking.authors_of(stored) == {User.objects.get().pk}
    said = "Restored version 1: minutes of rest per customer: 120 → none"
    assert AuditEntry.objects.latest("pk").details["changes"] == said
    confirm(root, thrice)
    newest = TriggerVersion.objects.latest("number")
    first = TriggerVersion.objects.get(number=1)
    assert (newest.number, newest.definition) == (4, first.definition)


def test_a_trigger_in_shadow_gets_the_new_version_at_once(root: Client, thrice: Trigger) -> None:
    """S-080: nothing is sent there."""
    publish.publish(thrice, by=None, mode=Mode.SHADOW)
    assert restore(root, thrice, "2")["Location"] == page(thrice)
    stored = Trigger.objects.get()
    assert (stored.mode, stored.current_version.number) == ("shadow", 4)  # type: ignore[union-attr]


@pytest.mark.parametrize("number", ["", "9", "-1", "x", "9" * 30])
def test_an_unknown_version_is_not_restored(root: Client, thrice: Trigger, number: str) -> None:
    """S-080."""
    assert "There is no such version." in restore(root, thrice, number, follow=True).content.decode()
    assert Trigger.objects.get().cooldown_minutes == 120.0


def test_a_version_that_would_be_refused_today_is_not_restored(root: Client, thrice: Trigger) -> None:
    """S-097: its template is gone; the page says so and the document stays."""
    first = TriggerVersion.objects.get(number=1)
    document = {**first.definition, "actions": [{"type": "send_email", "template_id": "gone"}]}
    TriggerVersion.objects.filter(pk=first.pk).update(definition=document)
    text = restore(root, thrice, "1", follow=True).content.decode()
    assert "would not be valid today. /actions/0/template_id" in text
    assert Trigger.objects.get().cooldown_minutes == 120.0


def test_somebody_elses_newer_draft_is_not_overwritten_unseen(root: Client, thrice: Trigger) -> None:
    """S-080: the page says who changed it, and restores when it is asked again."""
    form = root.get(page(thrice)).context["seen_state"]
    change(root, thrice, cooldown_minutes="7")
    answer = root.post(page(thrice), {"number": "1", "seen_state": form}, follow=True)
    assert "Nothing was restored: root changed this trigger" in answer.content.decode()
    assert Trigger.objects.get().cooldown_minutes == 7.0
    root.post(page(thrice), {"number": "1", "seen_state": answer.context["seen_state"]})
    assert Trigger.objects.get().cooldown_minutes is None


def test_who_may_only_look_restores_nothing(sign_in: SignIn, thrice: Trigger) -> None:
    """S-080: an analyst, an operator, and anybody when it is archived."""
    for name in ("Analyst", "Operator"):
        client = sign_in(name)
        assert "Restore version" not in client.get(page(thrice)).content.decode()
        assert client.post(page(thrice), {"number": "1"}).status_code == 403
    publish.set_mode(thrice.pk, Mode.ARCHIVED, by=None)
    assert sign_in("Marketer").post(page(thrice), {"number": "1"}).status_code == 403
    assert Trigger.objects.get().cooldown_minutes == 120.0
