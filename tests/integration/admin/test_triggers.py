"""The page of a trigger: what a marketer can do there, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from automation.admin.trigger_form import state_of
from automation.engine.types import Mode
from automation.models import Epoch, Trigger, TriggerVersion
from automation.pipeline import publish
from tests.integration.admin import rows
from tests.integration.admin.conftest import SignIn

LIST = "admin:automation_trigger_changelist"


def filled(**fields: Any) -> dict[str, Any]:
    """The form as a browser would send it."""
    values: dict[str, Any] = {
        "name": "Cart recovery",
        "key": "cart",
        "description": "",
        "mode": "draft",
        "conditions": [rows.CART],
        "actions": [{"type": "send_email", "template_id": "cart_recovery"}],
        "type": "behavioral",
        "message_class": "marketing",
        "topic": "marketing",
        "timing": "",
        "cancel_when": "",
        "recheck": "on",
        "priority": "3",
        "on_lost": "suppress",
        "value": "0",
    } | fields
    return {
        name: json.dumps(value) if isinstance(value, (list, dict)) else value
        for name, value in values.items()
    }


def add(client: Client, **fields: Any) -> HttpResponse:
    """Send the form that adds a trigger."""
    return client.post(reverse("admin:automation_trigger_add"), filled(**fields))  # type: ignore[return-value]


def change(client: Client, trigger: Trigger, **fields: Any) -> HttpResponse:
    """Send the form that changes a trigger."""
    url = reverse("admin:automation_trigger_change", args=[trigger.pk])
    seen = state_of(Trigger.objects.get(pk=trigger.pk))  # As the page that was opened just now says.
    values = {"name": trigger.name, "mode": trigger.mode, "seen_state": seen} | fields
    return client.post(url, filled(**values))  # type: ignore[return-value]


def errors(answer: HttpResponse) -> dict[str, list[str]]:
    """What the form says, by field."""
    form = answer.context["adminform"].form  # type: ignore[attr-defined]
    return {field: list(found) for field, found in form.errors.items()}


def confirm(client: Client, trigger: Trigger, **fields: Any) -> HttpResponse:
    """Press *Go live* on the page that says what it changes."""
    url = reverse("admin:automation_trigger_publish", args=[trigger.pk])
    data = {"fingerprint": publish.fingerprint(Trigger.objects.get(pk=trigger.pk)), "_publish": "1"}
    return client.post(url, data | fields, follow=True)  # type: ignore[return-value]


@pytest.mark.parametrize("mode", ["draft", "shadow"])
def test_a_marketer_adds_a_trigger(sign_in: SignIn, mode: str) -> None:
    """S-008, S-079: in shadow it is published at once; a draft is only stored."""
    rows.template()
    answer = add(sign_in("Marketer"), mode=mode)
    assert answer.status_code == 302
    trigger = Trigger.objects.get()
    assert trigger.mode == mode
    assert trigger.conditions == [rows.CART]
    assert str(trigger.created_by) == "Marketer"
    assert TriggerVersion.objects.filter(trigger=trigger).count() == (mode != "draft")


def test_a_trigger_added_live_acts_once_it_is_confirmed(sign_in: SignIn) -> None:
    """S-008, S-079: it is stored as a draft, and the next page says what going live means."""
    rows.template()
    client = sign_in("Marketer")
    answer = add(client, mode="live")
    trigger = Trigger.objects.get()
    assert answer["Location"] == reverse("admin:automation_trigger_publish", args=[trigger.pk])
    assert (trigger.mode, trigger.current_version) == ("draft", None)
    assert "version 1 is live" in confirm(client, trigger).content.decode()
    assert Trigger.objects.get().mode == "live"


@pytest.mark.parametrize("mode", ["draft", "shadow", "live", "paused"])
@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"conditions": []}, "conditions", "A trigger without conditions"),
        ({"conditions": [{"type": "no_such_type"}]}, "conditions", "Condition 1: "),
        (
            {
                "conditions": [
                    rows.CART
                    | {"data_conditions": [{"field": "total_value", "operator": "between", "value": 5}]}
                ]
            },
            "conditions",
            "Condition 1, row 1: ",
        ),
        (
            {"actions": [{"type": "send_email", "template_id": "none_such"}]},
            "actions",
            "Action 1: There is no template",
        ),
        ({"actions": [{"type": "fly"}]}, "actions", "Action 1: "),
        ({"timing": "delay", "timing_after": "-5"}, "timing", "Delay: use "),
        ({"goal": "Purchase!"}, "goal", "Goal event: use "),
        ({"max_per_period": "0", "max_per_period_span": "1"}, "max_per_period", "Times: use 1 to "),
        ({"dedupe_path": "a..b"}, "dedupe_path", "Use letters"),
    ],
)
def test_a_problem_stands_at_its_field_and_nothing_is_saved(
    root: Client, mode: str, fields: dict[str, Any], field: str, said: str
) -> None:
    """S-152, H-032, H-033, H-034: validation is the same in every mode."""
    rows.template()
    answer = add(root, mode=mode, **fields)
    assert answer.status_code == 200
    found = errors(answer)
    assert any(text.startswith(said) for text in found[field]), found
    assert not Trigger.objects.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[{]", "line 1, column 3"),
        ('[\n{"type": "event_match",}\n]', "line 2"),
        ("[NaN]", "NaN"),
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ('["\\ud800"]', "broken character"),
    ],
)
def test_unreadable_text_says_where_and_comes_back_as_it_was(root: Client, text: str, said: str) -> None:
    """Nothing that a person typed is lost."""
    answer = add(root, conditions=text)
    assert answer.status_code == 200
    assert said in errors(answer)["conditions"][0]
    assert answer.context["adminform"].form["conditions"].value() == text  # type: ignore[attr-defined]
    assert not Trigger.objects.exists()


def test_saving_a_live_trigger_makes_the_next_version(root: Client) -> None:
    """S-080: with the change in words, also in Django's own history."""
    trigger = rows.trigger()
    assert change(root, trigger, cooldown_minutes="1440").status_code == 302
    assert TriggerVersion.objects.count() == 1
    assert "minutes of rest per customer: none → 1440" in LogEntry.objects.latest("pk").change_message
    confirm(root, trigger)
    version = TriggerVersion.objects.get(number=2)
    assert version.changes == "minutes of rest per customer: none → 1440"
    assert Trigger.objects.get().current_version == version
    assert version.published_by == User.objects.get()


def test_a_save_without_a_change_makes_no_version(root: Client) -> None:
    """S-080."""
    trigger = rows.trigger()
    assert change(root, trigger).status_code == 302
    assert TriggerVersion.objects.count() == 1


def test_the_key_cannot_be_changed(root: Client) -> None:
    """S-072: files and links refer to it."""
    trigger = rows.trigger()
    change(root, trigger, key="other")
    assert Trigger.objects.get().key == trigger.key


def test_somebody_elses_change_is_not_overwritten_unseen(root: Client) -> None:
    """S-080: the second save says what happened, keeps the text, and works when sent again."""
    trigger = rows.trigger()
    seen = state_of(trigger)
    publish.set_mode(trigger.pk, Mode.PAUSED, by=User.objects.get(), reason="It failed too often.")
    answer = change(root, trigger, seen_state=seen, mode="live", name="Mine")
    assert answer.status_code == 200
    page = answer.content.decode()
    assert "Somebody else saved this trigger while you were editing it" in page
    assert "<strong>root</strong> saved at" in page
    assert "It failed too often." in page
    assert "name: Cart recovery cart → Mine" in page
    assert Trigger.objects.get().mode == "paused"
    form = answer.context["adminform"].form  # type: ignore[attr-defined]
    assert form["name"].value() == "Mine"
    unsaid = change(root, trigger, seen_state="", mode="live", name="Mine")
    assert "Somebody else saved this trigger while you were editing it" in unsaid.content.decode()
    assert Trigger.objects.get().name != "Mine"
    again = change(root, trigger, seen_state=form["seen_state"].value(), mode="live", name="Mine")
    assert again.status_code == 302
    assert (Trigger.objects.get().mode, Trigger.objects.get().name) == ("paused", "Mine")
    confirm(root, trigger)
    assert Trigger.objects.get().mode == "live"


@pytest.mark.parametrize(
    ("action", "mode"),
    [
        ("go_shadow", "shadow"),
        ("pause", "paused"),
        ("archive", "archived"),
        ("restore", "draft"),
    ],
)
def test_actions_change_the_mode_and_raise_the_epoch(sign_in: SignIn, action: str, mode: str) -> None:
    """S-079, H-057: the kill switch is one click, and every worker compares the epoch."""
    trigger = rows.trigger(mode=Mode.LIVE)
    before = Epoch.objects.get().value
    client = sign_in("Marketer")
    answer = client.post(reverse(LIST), {"action": action, "_selected_action": [trigger.pk]})
    assert answer.status_code == 302
    assert Trigger.objects.get().mode == mode
    assert Epoch.objects.get().value > before
    assert LogEntry.objects.filter(object_id=str(trigger.pk)).exists()


def test_an_invalid_trigger_is_not_published_by_an_action(root: Client) -> None:
    """S-079, H-033: the page says where the fault is and offers nothing; sent all the same, nothing happens."""
    trigger = rows.trigger(mode=Mode.DRAFT)
    Trigger.objects.update(conditions=[])
    answer = root.post(reverse(LIST), {"action": "go_live", "_selected_action": [trigger.pk]}, follow=True)
    assert "/conditions" in answer.content.decode()
    assert 'name="_publish"' not in answer.content.decode()
    assert "/conditions" in confirm(root, trigger).content.decode()
    assert Trigger.objects.get().mode == "draft"


def test_an_archived_trigger_is_read_only_and_hidden(root: Client) -> None:
    """S-079: its history stays."""
    trigger = rows.trigger(mode=Mode.LIVE)
    publish.set_mode(trigger.pk, Mode.ARCHIVED, by=None)
    assert change(root, trigger, name="New name").status_code == 403
    assert Trigger.objects.get().name == trigger.name
    assert trigger.name not in root.get(reverse(LIST)).content.decode()
    assert trigger.name in root.get(reverse(LIST), {"mode": "archived"}).content.decode()


def test_nobody_deletes_a_trigger(root: Client) -> None:
    """S-079: executions refer to it."""
    trigger = rows.trigger()
    assert root.post(reverse("admin:automation_trigger_delete", args=[trigger.pk])).status_code == 403
    assert Trigger.objects.filter(pk=trigger.pk).exists()


def test_the_page_says_the_trigger_in_plain_english(root: Client) -> None:
    """The sentence is built from the conditions and actions themselves."""
    trigger = rows.trigger()
    said = "When cart abandonment happens where total value is more than 50, then send the e-mail “Cart recovery”."
    assert said in root.get(reverse("admin:automation_trigger_change", args=[trigger.pk])).content.decode()
    assert said in root.get(reverse(LIST)).content.decode()


def test_the_list_counts_the_last_day_in_one_query(root: Client) -> None:
    """Fired and held back come from the tallies; the number of queries does not grow with the rows."""

    def queries() -> tuple[int, str]:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            text = root.get(reverse(LIST)).content.decode()
        return len(captured), text

    first = rows.trigger("t0")
    rows.counted(first, "fired", 1234)
    rows.counted(first, "suppressed:frequency_cap", 4321)
    rows.counted(first, "suppressed:holdout", 1)
    for number in range(1, 5):
        rows.trigger(f"t{number}")
    few, text = queries()
    assert "1,234" in text
    assert "4,322" in text
    for number in range(5, 50):
        rows.trigger(f"t{number}")
    many, text = queries()
    assert text.count("Cart recovery t") >= 50
    assert many == few


def test_the_page_shows_why_it_did_not_fire(root: Client) -> None:
    """The first failing conditions in words, from the tallies."""
    trigger = rows.trigger()
    rows.counted(trigger, "/conditions/0", 77, kind="missed")
    rows.counted(trigger, "/conditions/0", 3, kind="broken")
    text = root.get(reverse("admin:automation_trigger_change", args=[trigger.pk])).content.decode()
    assert "77" in text
    assert "could not be checked" in text


def test_who_may_only_look_sees_the_trigger(sign_in: SignIn) -> None:
    """S-008: an analyst, and anybody for an archived trigger; there is nothing to save."""
    trigger = rows.trigger()
    page = reverse("admin:automation_trigger_change", args=[trigger.pk])
    analyst = sign_in("Analyst").get(page)
    assert analyst.status_code == 200
    assert "total value is more than 50" in analyst.content.decode()
    assert 'name="_save"' not in analyst.content.decode()
    publish.set_mode(trigger.pk, Mode.ARCHIVED, by=None)
    marketer = sign_in("Marketer").get(page)
    assert marketer.status_code == 200
    assert 'name="_save"' not in marketer.content.decode()


@pytest.mark.django_db
def test_fired_counts_neither_what_waits_nor_what_was_held_back() -> None:
    """The list's figures are those of the decisions page."""
    from automation.admin.trigger_facts import lately
    from automation.pipeline import tally

    tally.add(
        ("executions", 3, 7, label, n)
        for label, n in (("fired", 2), ("waiting:delay", 5), ("suppressed:cooldown", 3))
    )
    done = lately([7])[7]
    assert (done.fired, done.held) == (2, 3)
