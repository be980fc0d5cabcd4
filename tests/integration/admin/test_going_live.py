"""The page that confirms: what it says, and that only what was looked at goes live."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client
from django.urls import reverse

from automation.backtest import window
from automation.engine.types import Mode
from automation.models import AuditEntry, CatalogueEntry, Execution, Trigger, TriggerVersion
from automation.pipeline import asking, index, publish
from profiles.models import Consent
from tests.integration.admin import rows
from tests.integration.admin.conftest import SignIn
from tests.integration.admin.test_triggers import LIST, change, confirm

NAME = "automation_trigger_publish"


def page(trigger: Trigger) -> str:
    return reverse(f"admin:{NAME}", args=[trigger.pk])


def agreeing(name: str, value: float, *, consent: bool = True) -> None:
    """A customer with a cart of an hour ago."""
    profile = rows.customer(name)
    rows.event(profile, "identify", ago=120, data={"traits": {"email": profile.email}})
    happened = rows.event(profile, ago=60, data={"total_value": value})
    if consent:
        Consent.objects.create(
            profile=profile, is_granted=True, source="form", recorded_at=happened.occurred_at
        )


def test_only_what_was_looked_at_goes_live(root: Client) -> None:
    """S-079: another document, another mode or another version asks again; then it is live as confirmed."""
    trigger = rows.trigger()
    change(root, trigger, cooldown_minutes="60")
    seen = publish.fingerprint(Trigger.objects.get())
    Trigger.objects.update(cooldown_minutes=1.0)
    answer = confirm(root, trigger, fingerprint=seen)
    text = answer.content.decode()
    assert "Somebody changed this trigger while you were looking at it" in text
    assert "minutes of rest per customer: none → 1" in text
    assert TriggerVersion.objects.count() == 1
    publish.set_mode(trigger.pk, Mode.PAUSED, by=None)
    again = answer.context["form"]["fingerprint"].value()  # type: ignore[attr-defined]
    assert "while you were looking" in confirm(root, trigger, fingerprint=again).content.decode()
    assert Trigger.objects.get().mode == "paused"
    confirm(root, trigger)
    stored = Trigger.objects.get()
    assert (stored.mode, stored.current_version.number) == ("live", 2)  # type: ignore[union-attr]
    entry = AuditEntry.objects.latest("pk")
    assert (entry.action, entry.details["changes"]) == ("trigger.changed", "Version 2 is live.")


@pytest.mark.parametrize("fingerprint", ["", "0" * 64])
def test_without_what_was_looked_at_nothing_goes_live(root: Client, fingerprint: str) -> None:
    """S-079: a form made by hand is asked like any other."""
    trigger = rows.trigger(mode=Mode.DRAFT)
    confirm(root, trigger, fingerprint=fingerprint)
    assert Trigger.objects.get().mode == "draft"


def test_the_page_says_what_would_have_happened_and_to_whom(root: Client) -> None:
    """S-079: volume of 14 days, those who did not agree, other listeners, and steps that are gone."""
    segment = {"type": "add_to_segment", "segment": "seen"}
    mail = {"type": "send_email", "template_id": "cart_recovery"}
    trigger = rows.trigger(actions=[mail, segment], holdout_percent=0)
    rows.trigger("other")
    rows.trigger("deaf", conditions=[{"type": "event_match", "event_type": "page_view"}])
    rows.trigger("quiet", mode=Mode.SHADOW)
    for number in range(3):
        agreeing(f"c{number}", 80)
    agreeing("never asked", 80, consent=False)
    agreeing("small cart", 10)
    Trigger.objects.filter(pk=trigger.pk).update(actions=[mail])
    index.forget()
    text = root.get(page(trigger)).content.decode()
    for said in (
        "Would have fired 3 times, for 3 customers",
        "1 time the recipient lacks consent to",
        "Step removed: add them to the segment seen",
        "1 other live trigger listens to the same event:",
        "Cart recovery other",
        "Nobody new would get it.",
        "3 customers get it either way",
    ):
        assert said in text, said
    assert "Cart recovery deaf" not in text
    assert "Cart recovery quiet" not in text


def test_the_page_says_who_would_differ_from_the_version_that_acts(root: Client) -> None:
    """S-079: both documents are judged over the same days."""
    trigger = rows.trigger(holdout_percent=0)
    agreeing("big", 500)
    agreeing("middle", 80)
    changed = {"field": "total_value", "operator": "greater_than", "value": 100}
    Trigger.objects.update(conditions=[{**rows.CART, "data_conditions": [changed]}])
    text = root.get(page(trigger)).content.decode()
    assert "1 customer would not get it who does now:" in text
    assert "1 customer gets it either way." in text
    assert "Would have fired 1 time, for 1 customer" in text
    Trigger.objects.update(mode="paused")
    assert "Against the version that acts now" not in root.get(page(trigger)).content.decode()


def test_what_waits_keeps_its_version(root: Client) -> None:
    """S-080: the page says how much, and of which version."""
    trigger = rows.trigger()
    happened = rows.event(rows.customer())
    waits = rows.execution(happened, trigger, status="pending", reason="", due_at=happened.received_at)
    Execution.objects.create(**_copy(waits))
    rows.delivery(waits, status="pending")
    assert "1 action is waiting and keeps version 1." in root.get(page(trigger)).content.decode()


def _copy(execution: Execution) -> dict[str, Any]:
    fields = {field.attname: getattr(execution, field.attname) for field in Execution._meta.concrete_fields}
    return {**fields, "id": None, "dedupe_key": "another"}


def test_looking_changes_nothing(root: Client) -> None:
    """S-079: the projection only reads."""
    trigger = rows.trigger(mode=Mode.DRAFT)
    agreeing("alice", 80)
    before = (Execution.objects.count(), TriggerVersion.objects.count(), AuditEntry.objects.count())
    for _ in range(2):
        assert root.get(page(trigger)).status_code == 200
    assert (Execution.objects.count(), TriggerVersion.objects.count(), AuditEntry.objects.count()) == before
    assert Trigger.objects.get().mode == "draft"


def test_every_way_to_live_leads_to_the_page(root: Client) -> None:
    """S-002, S-079: the form and the list; the list names each of several."""
    first, second = rows.trigger("a", mode=Mode.DRAFT), rows.trigger("b", mode=Mode.PAUSED)
    assert change(root, first, mode="live")["Location"] == page(first)
    data = {"action": "go_live", "_selected_action": [second.pk]}
    assert root.post(reverse(LIST), data)["Location"] == page(second)
    both = root.post(reverse(LIST), {**data, "_selected_action": [first.pk, second.pk]}, follow=True)
    for trigger in (first, second):
        assert page(trigger) in both.content.decode()
    assert not Trigger.objects.filter(mode="live").exists()


def test_every_publication_from_the_form_makes_a_version(root: Client) -> None:
    """S-002, S-080: what a person edits in the admin is what the engine gets, with who and when."""
    trigger = rows.trigger(mode=Mode.DRAFT)
    for number, minutes in ((2, "60"), (3, "90")):
        change(root, trigger, mode="live", cooldown_minutes=minutes)
        confirm(root, trigger)
        version = Trigger.objects.get().current_version
        assert version is not None
        assert (version.number, version.published_by) == (number, User.objects.get())
        assert version.definition["cooldown_minutes"] == float(minutes)
        assert index.current().by_id[trigger.pk].definition.cooldown_minutes == float(minutes)


def test_a_live_trigger_saved_without_a_change_needs_no_confirmation(root: Client) -> None:
    """S-080: there is nothing to confirm."""
    trigger = rows.trigger()
    assert change(root, trigger)["Location"] == reverse(LIST)
    assert "it is live as you see it" in root.get(page(trigger)).content.decode()
    assert 'name="_publish"' not in root.get(page(trigger)).content.decode()


def test_the_second_person_sees_the_same_page(sign_in: SignIn) -> None:
    """R-049: with who asked, and both answers."""
    publisher, marketer = sign_in("Admin"), sign_in("Marketer")
    trigger = rows.trigger()
    change(marketer, trigger, cooldown_minutes="60")
    asking.ask(trigger.pk, by=User.objects.get(username="Marketer"), note="Please")
    text = publisher.get(page(trigger)).content.decode()
    assert ('name="_publish"' in text, 'name="_decline"' in text, "Please" in text) == (True, True, True)
    assert "had it been live" in text


def test_an_automatic_pause_shows_its_reason(root: Client) -> None:
    """S-079: on the page of the trigger and in the list."""
    trigger = rows.trigger()
    publish.set_mode(trigger.pk, Mode.PAUSED, by=None, reason="120 events of this hour could not be checked.")
    CatalogueEntry.objects.all().delete()
    for url in (reverse("admin:automation_trigger_change", args=[trigger.pk]), reverse(LIST)):
        assert "120 events of this hour could not be checked." in root.get(url).content.decode()


def test_a_slow_look_back_does_not_stand_in_the_way(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """S-079: what PostgreSQL gave up on is said, and it goes live all the same."""
    trigger = rows.trigger(mode=Mode.DRAFT)
    monkeypatch.setattr(window, "entries", Mock(side_effect=OperationalError("statement timeout")))
    answer = root.get(page(trigger))
    assert "Too much is stored to say quickly" in answer.content.decode()
    confirm(root, trigger)
    assert Trigger.objects.get().mode == "live"
