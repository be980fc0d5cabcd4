"""What stands around every page: the sidebar of each role, the search box, the badge of the environment."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from automation.models import MessageKey
from tests.integration.admin import rows
from tests.integration.admin.conftest import SignIn

LISTED = reverse("admin:search")
EVERY_DAY = ["Triggers", "Customers", "Segments", "Templates", "Decisions", "Deliveries", "Tasks"]


def sidebar(client: Client) -> dict[str, list[dict[str, Any]]]:
    groups = client.get(LISTED).context["available_apps"]
    return {group["name"]: group["models"] for group in groups}


def names(entries: list[dict[str, Any]]) -> list[str]:
    return [str(entry["name"]) for entry in entries]


def test_a_marketers_sidebar_is_their_day_and_every_link_of_it_opens(sign_in: SignIn) -> None:
    """S-008: a marketer's way has no screen for developers."""
    client = sign_in("Marketer")
    found = sidebar(client)

    assert list(found) == ["Every day", "Look up", "Settings"]
    assert [name for name in names(found["Every day"]) if name in EVERY_DAY] == EVERY_DAY
    assert names(found["Settings"]) == ["Suppression list"]
    for entry in (entry for entries in found.values() for entry in entries):
        assert client.get(entry["admin_url"]).status_code == 200, entry["name"]


@pytest.mark.parametrize("group", ["Analyst", "Operator"])
def test_every_link_of_a_sidebar_opens(sign_in: SignIn, group: str) -> None:
    """S-008: analysts look and operators run; neither is shown what they may not open."""
    client = sign_in(group)
    found = sidebar(client)

    assert ("For developers" in found) is (group == "Operator")
    for entry in (entry for entries in found.values() for entry in entries):
        assert client.get(entry["admin_url"]).status_code == 200, entry["name"]


@pytest.mark.parametrize(
    ("url", "is_local", "is_shown"),
    [("", False, True), ("smtp://127.0.0.1:1025", True, True), ("smtp://mail.example.com", False, False)],
)
def test_the_badge_is_shown_only_where_no_mail_can_leave(
    root: Client, settings: Any, url: str, is_local: bool, is_shown: bool
) -> None:
    settings.EMAIL_URL, settings.LOCAL_MAILBOX = url, is_local

    assert (b"beckon-environment" in root.get(LISTED).content) is is_shown


def hits(client: Client, term: str) -> dict[str, list[str]]:
    found = client.get(LISTED, {"q": term}).context["found"]
    return {str(title): [hit.url for hit in listed] for title, listed in found}


def test_the_search_finds_a_customer_a_trigger_and_an_event_by_id(root: Client) -> None:
    profile, by = rows.customer("alice-1"), rows.trigger("cart")
    happened = rows.event(profile)

    customer = reverse("admin:profiles_profile_change", args=[profile.pk])
    trigger = reverse("admin:automation_trigger_change", args=[by.pk])
    event = reverse("admin:automation_event_change", args=[happened.pk])
    assert hits(root, "alice-1") == {"Customers": [customer], "Triggers": [], "Events": []}
    assert hits(root, "Alice-1@Example.com")["Customers"] == [customer]
    assert hits(root, "recovery c")["Triggers"] == [trigger]
    assert hits(root, str(happened.pk))["Events"] == [event]
    assert hits(root, happened.message_id)["Events"] == [event]
    assert hits(root, "alice") == {"Customers": [], "Triggers": [], "Events": []}


def test_an_address_finds_nobody_for_those_who_may_not_see_it(sign_in: SignIn) -> None:
    rows.customer("alice-1")

    assert hits(sign_in("Analyst"), "alice-1@example.com")["Customers"] == []


def test_each_kind_is_found_only_by_those_who_may_see_it(sign_in: SignIn) -> None:
    profile = rows.customer("alice-1")
    client = sign_in("Analyst")
    group = Permission.objects.get(codename="view_profile").group_set
    group.clear()

    assert list(hits(client, profile.customer_id or "")) == ["Triggers", "Events"]


def test_the_search_asks_each_kind_a_bounded_number_of_times(
    root: Client, django_assert_max_num_queries: Any
) -> None:
    same = [rows.event(rows.customer(f"c{number}")) for number in range(12)]
    for number, happened in enumerate(same):
        MessageKey.objects.create(
            source=f"s{number}", message_id="the same", event_id=happened.pk, body_hash=b"0" * 16
        )

    with django_assert_max_num_queries(8) as asked:  # Two of them for the session and its user.
        assert len(hits(root, "the same")["Events"]) == 10
    like = [query["sql"] for query in asked.captured_queries if "LIKE" in query["sql"]]
    assert ["automation_trigger" in sql for sql in like] == [True]


@pytest.mark.parametrize("term", ["\0", "<img src=x onerror=alert(1)>", "9" * 40, "%", "' OR 1=1 --"])
def test_whatever_is_searched_for_is_inert(root: Client, term: str) -> None:
    answer = root.get(LISTED, {"q": term})

    assert answer.status_code == 200
    assert b"<img src=x" not in answer.content
