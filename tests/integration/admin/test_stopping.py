"""Pausing, archiving, and the question what becomes of what waits."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
from django.db import OperationalError
from django.test import Client
from django.urls import reverse

from automation.engine.types import Mode
from automation.models import AuditEntry, Delivery, Execution, Trigger
from automation.pipeline import calling_off, publish
from tests.integration.admin import rows
from tests.integration.admin.conftest import SignIn
from tests.integration.admin.test_triggers import LIST, change

WAITING = "admin:automation_trigger_waiting"


def waiting(trigger: Trigger) -> Execution:
    """A decision of `trigger` that waits, and a message of it."""
    happened = rows.event(rows.customer(f"of {trigger.key}"))
    decided = rows.execution(happened, trigger, status="pending", reason="", due_at=None)
    rows.delivery(decided, status="pending", due_at="2030-01-01T00:00Z")
    return decided


def address(*triggers: Trigger) -> str:
    return f"{reverse(WAITING)}?{'&'.join(f'trigger={trigger.pk}' for trigger in triggers)}"


@pytest.mark.parametrize(
    ("action", "mode"), [("pause", "paused"), ("archive", "archived"), ("restore", "draft")]
)
def test_it_stops_at_once_and_asks_afterwards(sign_in: SignIn, action: str, mode: str) -> None:
    """S-079, H-057: nothing new starts while the question is open."""
    trigger = rows.trigger()
    waiting(trigger)
    client = sign_in("Marketer")
    answer = client.post(reverse(LIST), {"action": action, "_selected_action": [trigger.pk]})
    assert answer["Location"] == address(trigger)
    assert Trigger.objects.get().mode == mode
    text = client.get(answer["Location"]).content.decode()
    assert "Keep them waiting" in text
    assert "Call them off" in text
    assert Delivery.objects.get().status == "pending"


def test_the_form_asks_too(root: Client) -> None:
    """S-079."""
    trigger = rows.trigger()
    waiting(trigger)
    assert change(root, trigger, mode="paused")["Location"] == address(trigger)
    assert Trigger.objects.get().pause_reason == "Paused by root."


def test_nothing_is_asked_where_nothing_waits(root: Client) -> None:
    """S-079."""
    trigger = rows.trigger()
    assert change(root, trigger, mode="paused")["Location"] == address(trigger)
    answer = root.get(address(trigger), follow=True)
    assert answer.redirect_chain == [(reverse(LIST), 302)]
    assert "Nothing waits." in answer.content.decode()


def test_counting_what_waits_does_not_undo_the_stop(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """S-079, H-057: it is counted on the next page; who wanted to go on editing comes back to it."""
    trigger = rows.trigger()
    monkeypatch.setattr(calling_off, "waiting", Mock(side_effect=OperationalError("statement timeout")))
    asked = change(root, trigger, mode="paused", _continue="1")["Location"]
    assert Trigger.objects.get().mode == "paused"
    monkeypatch.undo()
    assert root.get(asked)["Location"] == reverse("admin:automation_trigger_change", args=[trigger.pk])


@pytest.mark.parametrize("way", ["form", "list"])
def test_from_live_to_shadow_it_asks_with_words_of_its_own(root: Client, way: str) -> None:
    """S-079: nothing is sent there, and what waits can be called off."""
    trigger = rows.trigger()
    decided = waiting(trigger)
    if way == "form":
        answer = change(root, trigger, mode="shadow")
    else:
        data = {"action": "go_shadow", "_selected_action": [trigger.pk]}
        answer = root.post(reverse(LIST), data)  # type: ignore[assignment]
    assert answer["Location"] == address(trigger)
    assert Trigger.objects.get().mode == "shadow"
    text = root.get(address(trigger)).content.decode()
    assert "What comes due in shadow is judged and recorded" in text
    assert "The trigger was paused" not in text
    root.post(address(trigger), {"_cancel": "1"})
    assert Delivery.objects.get(execution_id=decided.pk).status == "cancelled"


@pytest.mark.parametrize("action", ["pause", "go_shadow"])
def test_what_is_archived_leaves_that_only_as_a_draft(root: Client, action: str) -> None:
    """S-079: the list says so."""
    trigger = rows.trigger()
    publish.set_mode(trigger.pk, Mode.ARCHIVED, by=None)
    data = {"action": action, "_selected_action": [trigger.pk]}
    answer = root.post(f"{reverse(LIST)}?mode=archived", data, follow=True)
    assert "stays as it is. It is archived. Take it back to draft first." in answer.content.decode()
    assert Trigger.objects.get().mode == "archived"


def test_called_off_with_an_entry_in_the_log(sign_in: SignIn) -> None:
    """S-079: all triggers of the page; an operator may."""
    first, second = rows.trigger("a"), rows.trigger("b")
    waiting(first)
    waiting(second)
    client = sign_in("Operator")
    data = {"action": "pause", "_selected_action": [first.pk, second.pk]}
    url = client.post(reverse(LIST), data)["Location"]
    assert url == address(first, second)
    client.post(url, {"_cancel": "1"})
    assert list(Delivery.objects.values_list("status", flat=True)) == ["cancelled", "cancelled"]
    assert list(Execution.objects.values_list("reason", flat=True)) == ["trigger_paused", "trigger_paused"]
    said = "Called off 0 waiting decisions and 1 waiting actions."
    assert AuditEntry.objects.filter(details__changes=said, actor="Operator").count() == 2


def test_kept_is_kept(root: Client) -> None:
    """S-079."""
    trigger = rows.trigger(mode=Mode.LIVE)
    waiting(trigger)
    Trigger.objects.update(mode="paused")
    root.post(address(trigger), {"_keep": "1"})
    assert Delivery.objects.get().status == "pending"


def test_of_a_live_trigger_nothing_is_called_off(root: Client) -> None:
    """S-079: by address, too."""
    trigger = rows.trigger()
    waiting(trigger)
    assert "it is not stopped" in root.get(address(trigger)).content.decode()
    root.post(address(trigger), {"_cancel": "1"})
    assert Delivery.objects.get().status == "pending"


@pytest.mark.parametrize("query", ["", "?trigger=x", "?trigger=99999999999999999999", "?trigger=0"])
def test_unknown_triggers_are_404(root: Client, query: str) -> None:
    """R-037."""
    assert root.get(reverse(WAITING) + query).status_code == 404
