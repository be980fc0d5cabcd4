"""The list of triggers: what each did in 14 days, what is wrong with it, and what one can take away."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from automation.admin import trigger_facts
from automation.engine.types import Mode
from automation.models import CatalogueEntry, Tally, Template, Trigger
from automation.pipeline import publish
from tests.integration.admin import rows
from tests.integration.admin.conftest import SignIn
from tests.integration.admin.test_triggers import LIST


def seen(name: str = "cart_abandonment", *, days: float = 0) -> None:
    """An event of this name, `days` ago."""
    at = datetime.now(UTC) - timedelta(days=days)
    CatalogueEntry.objects.update_or_create(name=name, defaults={"first_seen": at, "last_seen": at})


def shown(client: Client, **query: str) -> list[str]:
    """Keys of the listed triggers."""
    return [trigger.key for trigger in client.get(reverse(LIST), query).context["cl"].result_list]


def test_fourteen_days_of_the_viewers_calendar(root: Client) -> None:
    """Fired by day, held back, and the last hour; older tallies are left out."""
    trigger = rows.trigger()
    now = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    for ago, label, n in (
        (0, "fired", 5),
        (3, "fired", 7),
        (13, "fired", 1),
        (14, "fired", 99),
        (2, "suppressed:cooldown", 4),
    ):
        Tally.objects.create(
            hour=now - timedelta(days=ago), kind="executions", trigger_id=trigger.pk, label=label, count=n
        )
    found = trigger_facts.fortnights([trigger.pk], now)[trigger.pk]
    assert found.fired == [1, *[0] * 9, 7, 0, 0, 5]
    assert (found.held, found.last_at) == (4, now)
    text = root.get(reverse(LIST)).content.decode()
    assert "Fired per day in the last 14 days, 13 in all" in text
    assert "High" not in text
    assert 'Medium <span class="quiet">within 5 min</span>' in text


def test_problems_are_named_and_filtered(root: Client) -> None:
    """A missing template, an event that stopped coming, conditions that cannot be checked, actions that fail."""
    seen()
    fine, gone, broken, failing = (rows.trigger(key) for key in ("fine", "gone", "broken", "failing"))
    deaf = rows.trigger("deaf", conditions=[{"type": "event_match", "event_type": "page_view"}])
    seen("page_view", days=8)
    rows.template("other")
    Trigger.objects.filter(pk=gone.pk).update(actions=[{"type": "send_email", "template_id": "other"}])
    Template.objects.filter(key="other").update(is_published=False)
    rows.counted(broken, "/conditions/0", 6, kind="broken")
    rows.counted(failing, "failed", 6, kind="deliveries")
    rows.counted(failing, "sent", 60, kind="deliveries")
    rows.counted(fine, "/conditions/0", 2, kind="broken")
    text = root.get(reverse(LIST)).content.decode()
    for said in (
        "The template “other” is missing or not published.",
        "No event “page_view” for 7 days.",
        "6 events could not be checked.",
        "6 of 66 actions failed.",
    ):
        assert text.count(said) == 1, said
    assert shown(root, problem="yes") == ["broken", "deaf", "failing", "gone"]
    assert shown(root, problem="no") == ["fine"]
    publish.set_mode(deaf.pk, Mode.DRAFT, by=None)
    assert shown(root, problem="yes") == ["broken", "failing", "gone"]


def test_filters_by_event_and_mode(root: Client) -> None:
    """By what a trigger waits for, also next to other conditions."""
    rows.trigger("cart")
    rows.trigger("view", mode=Mode.SHADOW, conditions=[{"type": "event_match", "event_type": "page_view"}])
    assert shown(root, event="page_view") == ["view"]
    assert shown(root, event="cart_abandonment") == ["cart"]
    assert shown(root, mode="shadow") == ["view"]
    assert shown(root, event="x' OR 1=1 --") == []


def test_the_queries_do_not_grow_with_the_rows(root: Client) -> None:
    """Nothing is asked of the database row by row, nor for the filter by problem."""

    def queries(**query: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            root.get(reverse(LIST), query)
        return len(captured)

    rows.trigger("t0")
    few = (queries(), queries(problem="yes"))
    for number in range(1, 20):
        rows.counted(rows.trigger(f"t{number}"), "fired", 3)
    assert (queries(), queries(problem="yes")) == few


def test_the_empty_list_says_how_to_begin(sign_in: SignIn) -> None:
    """Recipes for who may add, and the first event for everybody."""
    text = sign_in("Marketer").get(reverse(LIST)).content.decode()
    assert f"{reverse('admin:automation_trigger_add')}?recipe=cart_recovery" in text
    assert "/api/v1/events/" in text
    analyst = sign_in("Analyst").get(reverse(LIST)).content.decode()
    assert "?recipe=" not in analyst
    assert "/api/v1/events/" in analyst
    rows.trigger()
    assert "?recipe=" not in sign_in().get(reverse(LIST)).content.decode()


def test_a_duplicate_is_a_draft_of_its_own(root: Client) -> None:
    """The same document under the next free key and name; nothing of it acts."""
    trigger = rows.trigger(cooldown_minutes=60.0)
    for _ in range(2):
        root.post(reverse(LIST), {"action": "duplicate", "_selected_action": [trigger.pk]})
    copies = list(Trigger.objects.exclude(pk=trigger.pk).order_by("key"))
    assert [(one.key, one.name, one.mode) for one in copies] == [
        ("cart-2", "Cart recovery cart (2)", "draft"),
        ("cart-3", "Cart recovery cart (3)", "draft"),
    ]
    assert copies[0].current_version is None
    assert str(copies[0].created_by) == "root"
    same = {"key": "cart", "name": trigger.name}
    assert copies[0].document() | same == Trigger.objects.get(pk=trigger.pk).document()


def test_export_as_json(sign_in: SignIn) -> None:
    """One file with the documents, in the form that import_triggers reads."""
    first, second = rows.trigger("b"), rows.trigger("a", mode=Mode.PAUSED)
    data = {"action": "export_json", "_selected_action": [first.pk, second.pk]}
    answer = sign_in("Analyst").post(reverse(LIST), data)
    assert answer["Content-Disposition"] == 'attachment; filename="triggers.json"'
    assert [(one["key"], one["mode"]) for one in json.loads(answer.content)] == [
        ("a", "paused"),
        ("b", "live"),
    ]


def test_copy_as_curl_sends_an_event_that_would_match(root: Client) -> None:
    """Its body is the event that the trigger waits for; text of people stays text."""
    trigger = rows.trigger(name="<img src=x>")
    answer = root.post(reverse(LIST), {"action": "copy_as_curl", "_selected_action": [trigger.pk]})
    text = answer.content.decode()
    assert "<img" not in text
    (_, command), *_rest = answer.context["commands"]
    body = json.loads(command.partition("-d '")[2].rpartition("'")[0])
    assert body["event_type"] == "cart_abandonment"
    assert body["event_data"] == {"total_value": 51}
