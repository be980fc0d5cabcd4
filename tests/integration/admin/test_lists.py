"""Lists over big tables: no counting, no query per row, exact searches, pages by key."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from automation.models import Delivery, Event, Execution, QuarantinedEvent, Task
from profiles.models import Consent, Membership, Profile, Segment
from tests.integration.admin import rows
from tests.integration.admin.conftest import SignIn


def url(model: str) -> str:
    """The list of a model such as automation.event."""
    return reverse(f"admin:{model.replace('.', '_')}_changelist")


def fill(model: str) -> Callable[[int], None]:
    """Makes the n-th row of a model."""
    by = rows.trigger()

    def make(number: int) -> None:
        profile = rows.customer(f"c{number}")
        event = rows.event(profile, ago=number)
        execution = rows.execution(event, by)
        if model == "automation.delivery":
            rows.delivery(execution)
        elif model == "automation.quarantinedevent":
            quarantined(event)
        elif model == "automation.task":
            Task.objects.create(profile=profile, title=f"Call {number}")
        elif model == "profiles.consent":
            Consent.objects.create(
                profile=profile, is_granted=True, source="test", recorded_at=event.occurred_at
            )
        elif model == "profiles.membership":
            segment, _ = Segment.objects.get_or_create(key="vip", name="VIP")
            Membership.objects.create(profile=profile, segment=segment)

    return make


def quarantined(event: Event, **fields: Any) -> QuarantinedEvent:
    """An event that failed too often."""
    return QuarantinedEvent.objects.create(
        **{
            "event_id": event.pk,
            "profile_id": event.profile_id,
            "occurred_at": event.occurred_at,
            "lane": 3,
            "error_class": "ZeroDivisionError",
            "traceback": "Traceback …",
            "code_version": "0.1.0",
        }
        | fields
    )


BIG = (
    "automation.event",
    "automation.execution",
    "automation.delivery",
    "automation.quarantinedevent",
    "automation.task",
    "profiles.profile",
    "profiles.consent",
    "profiles.membership",
    "profiles.identity",
)


@pytest.mark.parametrize("model", BIG)
def test_a_list_costs_the_same_for_five_rows_and_for_forty(root: Client, model: str) -> None:
    """S-001: and it never counts the table."""
    make = fill(model)
    for number in range(5):
        make(number)
    with CaptureQueriesContext(connection) as few:
        assert root.get(url(model)).status_code == 200
    for number in range(5, 40):
        make(number)
    with CaptureQueriesContext(connection) as many:
        text = root.get(url(model)).content.decode()
    assert text.count("action-checkbox") >= 40 or text.count("<tr>") >= 40
    assert len(many) == len(few)
    table = f'FROM "{model.replace(".", "_")}"'
    assert not [q["sql"] for q in many if "COUNT(" in q["sql"] and table in q["sql"]]


def test_pages_follow_the_key_downwards(root: Client) -> None:
    """S-001: each page begins below the last key of the one before; together they show every row once."""
    profile = rows.customer()
    made = [rows.event(profile, ago=number).pk for number in range(120)]
    found: list[int] = []
    query = ""
    for _ in range(5):
        text = root.get(url("automation.event") + query).content.decode()
        found += [int(pk) for pk in dict.fromkeys(re.findall(r"/admin/automation/event/(\d+)/change/", text))]
        older = re.search(r'href="(\?[^"]*before=[^"]*)"[^>]*rel="next"', text)
        if older is None:
            break
        query = older[1].replace("&amp;", "&")
    assert found == sorted(made, reverse=True)


@pytest.mark.parametrize("before", ["x", "1; drop table", "9" * 40])
def test_a_key_that_is_none_is_no_error(root: Client, before: str) -> None:
    """S-001."""
    rows.event(rows.customer())
    assert root.get(url("automation.event"), {"before": before}, follow=True).status_code == 200
    assert root.get(url("automation.delivery"), {"before": before}, follow=True).status_code == 200


def test_events_are_found_by_customer_id_event_id_and_message_id(root: Client) -> None:
    """S-001: exact values only; each has an index."""
    mine = rows.event(rows.customer("alice"), message_id="order-77")
    other = rows.event(rows.customer("bob"), message_id="order-78")
    for term in ("alice", str(mine.pk), "order-77"):
        text = root.get(url("automation.event"), {"q": term}).content.decode()
        assert f"/event/{mine.pk}/change/" in text, term
        assert f"/event/{other.pk}/change/" not in text, term
    assert f"/event/{mine.pk}/change/" not in root.get(url("automation.event"), {"q": "ali"}).content.decode()


def test_deliveries_are_found_by_their_keys(root: Client) -> None:
    """S-001."""
    by = rows.trigger()
    execution = rows.execution(rows.event(rows.customer("alice")), by)
    mine = rows.delivery(execution)
    other = rows.delivery(rows.execution(rows.event(rows.customer("bob")), by))
    for term in ("alice", str(mine.pk), mine.idempotency_key, str(execution.pk)):
        text = root.get(url("automation.delivery"), {"q": term}).content.decode()
        assert str(mine.pk) in text, term
        assert str(other.pk) not in text, term


def test_decisions_are_filtered_by_outcome_and_reason(root: Client) -> None:
    """S-084."""
    by, profile = rows.trigger(), rows.customer()
    held = rows.execution(rows.event(profile), by)
    fired = rows.execution(rows.event(profile), by, status="triggered", reason="", reasons=[])
    for query, wanted, unwanted in (
        ({"status": "suppressed"}, held, fired),
        ({"status": "triggered"}, fired, held),
        ({"reason": "frequency_cap"}, held, fired),
        ({"last": "hour", "status": "suppressed", "trigger__id__exact": by.pk}, held, fired),
    ):
        text = root.get(url("automation.execution"), query).content.decode()
        assert f"/execution/{wanted.pk}/change/" in text, query
        assert f"/execution/{unwanted.pk}/change/" not in text, query


@pytest.mark.parametrize(
    "model",
    [
        "automation.event",
        "automation.execution",
        "automation.delivery",
        "automation.tally",
        "automation.queuedevent",
        "automation.quarantinedevent",
        "automation.triggerversion",
        "automation.sendreservation",
    ],
)
def test_what_happened_cannot_be_edited_even_by_a_superuser(root: Client, model: str) -> None:
    """S-001: neither added, changed nor deleted; the action that deletes is not offered."""
    by = rows.trigger()
    event = rows.event(rows.customer())
    delivery = rows.delivery(rows.execution(event, by))
    tally = rows.counted(by, "fired", 1)
    pks: dict[str, Any] = {
        "automation.event": event.pk,
        "automation.execution": delivery.execution_id,
        "automation.delivery": delivery.pk,
        "automation.tally": tally.pk,
        "automation.quarantinedevent": quarantined(event).pk,
        "automation.triggerversion": by.current_version_id,
    }
    name = model.replace(".", "_")
    assert root.post(reverse(f"admin:{name}_add"), {}).status_code == 403
    if model in pks:
        assert root.post(reverse(f"admin:{name}_change", args=[pks[model]]), {"name": "x"}).status_code == 403
        assert (
            root.post(reverse(f"admin:{name}_delete", args=[pks[model]]), {"post": "yes"}).status_code == 403
        )
    assert "delete_selected" not in root.get(url(model)).content.decode()
    assert (Event.objects.count(), Execution.objects.count(), Delivery.objects.count()) == (1, 1, 1)


def test_addresses_are_masked_for_those_who_may_not_see_them(sign_in: SignIn) -> None:
    """S-008: only who holds view_pii sees an address, in lists and on pages."""
    execution = rows.execution(rows.event(rows.customer("alice")), rows.trigger())
    delivery = rows.delivery(execution)
    pages = (
        url("profiles.profile"),
        reverse("admin:profiles_profile_change", args=[execution.profile_id]),
        url("automation.delivery"),
        reverse("admin:automation_delivery_change", args=[delivery.pk]),
    )
    analyst, marketer = sign_in("Analyst"), sign_in("Marketer")
    for page in pages:
        assert "alice@example.com" not in analyst.get(page).content.decode(), page
        assert "a…@example.com" in analyst.get(page).content.decode(), page
    assert "alice@example.com" in marketer.get(pages[1]).content.decode()
    assert "alice@example.com" in marketer.get(pages[3]).content.decode()


def test_text_from_events_is_escaped(root: Client) -> None:
    """S-001: a name, a trace and an error that hold markup are shown as text."""
    bad = "<img src=x onerror=alert(1)>"
    profile = rows.customer("mallory", first_name=bad, traits={"t": bad})
    event = rows.event(profile, data={"title": bad}, source=bad[:50])
    trace = {
        "conditions": {"result": "met", "first_failing": None, "/conditions/0": {"result": bad, "seen": bad}}
    }
    execution = rows.execution(
        event, rows.trigger(), trace=trace, reasons=[{"reason": bad, "params": {bad: bad}}]
    )
    delivery = rows.delivery(execution, error=bad, result={"body": bad})
    for record in (profile, event, execution, delivery):
        name = f"{record._meta.app_label}_{record._meta.model_name}"
        for page in (reverse(f"admin:{name}_change", args=[record.pk]), reverse(f"admin:{name}_changelist")):
            text = root.get(page).content.decode()
            assert "<img src=x" not in text, page
    assert (
        "&lt;img src=x"
        in root.get(reverse("admin:automation_event_change", args=[event.pk])).content.decode()
    )


def test_a_picker_of_customers_searches_exactly(root: Client) -> None:
    """S-001: the autocomplete of a customer does not scan the table."""
    rows.customer("alice")
    rows.customer("alison")
    query = {"app_label": "profiles", "model_name": "consent", "field_name": "profile", "term": "alice"}
    found = root.get(reverse("admin:autocomplete"), query).json()["results"]
    assert [one["text"] for one in found] == ["alice"]
    assert Profile.objects.count() == 2
