"""Live events: rows, chips of every trigger that listened, the poll by cursor, and replaying without effect."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from automation import backtest
from automation.admin import live_rows, replay
from automation.backtest import past
from automation.engine.types import Mode
from automation.models import (
    CatalogueEntry,
    Delivery,
    Event,
    Execution,
    QueuedEvent,
    RejectedRequest,
    WriteKey,
)
from automation.pipeline import catalogue, index, publish
from tests.factories import decide_all, incoming, known, make_trigger, send
from tests.integration.admin import rows
from tests.integration.admin.conftest import SignIn

decides = pytest.mark.django_db(transaction=True)  # A batch takes locks in transactions of its own.
PAGE = "/admin/automation/event/live/"
POLL = f"{PAGE}poll/"
CART: dict[str, Any] = {
    "type": "event_match",
    "event_type": "cart_abandonment",
    "data_conditions": [{"field": "total_value", "operator": "greater_than", "value": 50}],
}


def poll(client: Client, after: str = "0", **query: str) -> Any:
    """The answer of the poll."""
    return client.get(POLL, {"after": after, **query}).json()


def chips(client: Client, **query: str) -> dict[str, list[str]]:
    """Event name -> its chips in words, newest rows first."""
    found: dict[str, list[str]] = {}
    for row in poll(client, **query)["rows"]:
        found.setdefault(row["name"], []).extend(
            f"{chip['trigger']} {chip['said']}".strip() for chip in row["chips"]
        )
    return found


@decides
def test_every_trigger_that_listened_has_its_chip(root: Client) -> None:
    """H-023, H-047: fired, held back with its reason, shadow, could not be checked, and a miss with what its condition
    saw, of which nothing is stored; one that listens to another event has none.
    """
    make_trigger("fires", on="page_view")
    make_trigger("tries", on="page_view", mode=Mode.SHADOW)
    make_trigger("mails", on="page_view", actions=[{"type": "send_email", "template_id": "hello"}])
    make_trigger("filters", conditions=[CART])
    make_trigger(
        "wants-orders",
        conditions=[
            {"type": "event_match", "event_type": "cart_abandonment"},
            {
                "type": "customer_attribute",
                "attribute": "orders_count",
                "operator": "greater_than",
                "value": 2,
            },
        ],
    )
    broken = {
        **CART,
        "event_type": "rated",
        "data_conditions": [{**CART["data_conditions"][0], "field": "stars"}],
    }
    make_trigger("breaks", conditions=[broken])
    send(*known("alice", consent=False), incoming("page_view"), incoming("rated", data={"stars": "many"}))
    send(incoming("cart_abandonment", data={"total_value": 12}), incoming("search"))
    decide_all()
    found = chips(root)
    assert found["rated"] == ["breaks held back (could not be checked)"]
    assert set(found["page view"]) == {
        "fires fires",
        "tries would have fired (shadow)",
        "mails held back (no consent)",
    }
    assert set(found["cart abandonment"]) == {
        "filters filters not met: total value is more than 50 – it was 12",
        "wants-orders filters not met: orders count is more than 2 – it was 0",
    }
    assert found["search"] == ["no trigger listens"]


@decides
def test_a_trigger_that_changed_since_is_not_denied(root: Client) -> None:
    """What its former version would have said is not guessed, and nobody says that no trigger listens."""
    match = {"type": "event_match", "event_type": "cart_abandonment"}
    orders = {
        "type": "customer_attribute",
        "attribute": "orders_count",
        "operator": "greater_than",
        "value": 2,
    }
    trigger = make_trigger("picky", conditions=[match, orders])
    send(*known("alice", consent=False), incoming("cart_abandonment"))
    decide_all()
    trigger.conditions = [match, {**orders, "value": 3}]
    trigger.save()
    publish.publish(trigger, by=None, mode=Mode.LIVE)
    index.forget()
    assert chips(root)["cart abandonment"] == ["picky changed since"]


@decides
def test_an_undecided_event_waits_and_its_chip_turns(root: Client) -> None:
    """The cursor stays below an event until nothing about it can change any more."""
    make_trigger("fires", on="page_view")
    send(incoming("page_view"))
    first = poll(root)
    assert [chip["said"] for row in first["rows"] for chip in row["chips"]] == ["waits for its decision"]
    decide_all()
    again = poll(root, first["cursor"])
    assert [chip["trigger"] for row in again["rows"] for chip in row["chips"]] == ["fires"]
    Event.objects.update(received_at=datetime.now(UTC) - timedelta(minutes=5))
    last = poll(root, again["cursor"])
    assert poll(root, last["cursor"])["rows"] == []


@decides
def test_by_outcome_an_event_appears_when_it_is_decided(root: Client) -> None:
    """Also when a later one was decided before it."""
    make_trigger("fires", on="page_view")
    first, second = send(incoming("page_view", "alice"), incoming("page_view", "bob"))
    waiting = QueuedEvent.objects.get(pk=first.event_id)
    QueuedEvent.objects.filter(pk=first.event_id).delete()
    decide_all()
    Event.objects.update(received_at=datetime.now(UTC) - timedelta(seconds=20))
    answer = poll(root, show="fired")
    assert [row["id"] for row in answer["rows"]] == [f"e{second.event_id}"]
    waiting.save(force_insert=True)
    decide_all()
    again = poll(root, answer["cursor"], show="fired")
    assert f"e{first.event_id}" in {row["id"] for row in again["rows"]}


@decides
def test_a_held_event_and_an_import_say_so(root: Client) -> None:
    """Not every event is decided."""
    make_trigger("fires", on="page_view")
    send(incoming("page_view", is_import=True))
    decide_all()
    assert chips(root)["page view"] == ["imported: fires no trigger"]


@decides
def test_repeated_holds_lead_to_the_decision_that_counts_them(root: Client) -> None:
    """H-023: a hold that was counted on an earlier decision is still said, with its reason."""
    make_trigger("mails", on="page_view", actions=[{"type": "send_email", "template_id": "hello"}])
    send(*known("alice", consent=False), incoming("page_view"))
    decide_all()
    send(incoming("page_view"))
    decide_all()
    assert Execution.objects.get().held_count == 2
    assert chips(root)["page view"] == ["mails held back again (no consent)", "mails held back (no consent)"]


FILTERS: tuple[tuple[dict[str, str], set[str]], ...] = (
    ({}, {"page view", "search", "Rejected with 400"}),
    ({"show": "fired"}, {"page view"}),
    ({"show": "held"}, {"search"}),
    ({"show": "rejected"}, {"Rejected with 400"}),
    ({"customer": "bob"}, {"search"}),
    ({"customer": "nobody"}, set()),
    ({"event": "page_view"}, {"page view"}),
    ({"event": "page_view", "customer": "bob"}, set()),
    ({"show": "fired", "customer": "alice"}, {"page view"}),
    ({"show": "fired", "event": "search"}, set()),
    ({"show": "nonsense", "before": "x"}, {"page view", "search", "Rejected with 400"}),
)


@decides
def test_filters(root: Client) -> None:
    """By outcome, customer and name; the page without a script and the poll say the same."""
    make_trigger("fires", on="page_view")
    make_trigger("tries", on="search", mode=Mode.SHADOW)
    send(incoming("page_view", "alice"), incoming("search", "bob"))
    decide_all()
    RejectedRequest.objects.create(
        digest="0" * 32, route="/api/v1/events/", status=400, kind="validation", message="No.", pointer="/x"
    )
    for query, names in FILTERS:
        assert set(chips(root, **query)) == names, query
        text = root.get(PAGE, query).content.decode()
        assert set(re.findall(r'data-slot="name">([^<]+)<', text)) == names, query


@pytest.mark.parametrize("query", [{"customer": "\0"}, {"event": "\0"}])
def test_a_filter_that_postgresql_cannot_read_filters_nothing(root: Client, query: dict[str, str]) -> None:
    """NUL stands in no text that is stored."""
    assert root.get(PAGE, query).status_code == 200


def test_a_rejected_request_names_the_offending_field(root: Client) -> None:
    """Reason and pointer; what was refused often is one row with a number."""
    RejectedRequest.objects.create(
        digest="0" * 32,
        route="/api/v1/events/",
        status=400,
        kind="validation",
        message="Enter a number.",
        pointer="/event_data/total_value",
        count=57,
    )
    (row,) = poll(root)["rows"]
    assert row["name"] == "Rejected with 400 (57 times)"
    assert [chip["said"] for chip in row["chips"]] == ["/event_data/total_value: Enter a number."]
    again = poll(root, poll(root)["cursor"])
    assert again["rows"] == []


@decides
def test_a_property_of_two_types_is_warned_of(root: Client) -> None:
    """The share is that of all events of the name."""
    catalogue.flush()  # What this process had counted of other tests.
    CatalogueEntry.objects.all().delete()
    for value in [*range(7), "8"]:
        send(incoming("cart_abandonment", data={"total_value": value}))
        decide_all()
    catalogue.flush()
    warnings = [row["warnings"] for row in poll(root)["rows"]]
    assert warnings[0] == ["total_value arrived as text in 12.5 % of events."]


@decides
def test_many_rows_cost_as_many_queries_as_few(root: Client) -> None:
    """Nothing is asked row by row, and no table is counted."""
    make_trigger("fires", on="page_view")
    make_trigger("filters", conditions=[CART])
    conditions = [
        {"type": "event_match", "event_type": "cart_abandonment"},
        {"type": "customer_attribute", "attribute": "orders_count", "operator": "greater_than", "value": 2},
    ]
    make_trigger("wants-orders", conditions=conditions)

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            poll(root)
        assert not [one["sql"] for one in queries if re.search(r"COUNT\(", one["sql"])]
        return len(queries)

    for number in range(2):
        send(incoming("page_view", f"c{number}"), incoming("cart_abandonment", f"c{number}"))
    decide_all()
    few = asked()
    for number in range(40):
        send(incoming("page_view", f"c{number}"), incoming("cart_abandonment", f"c{number}"))
    decide_all()
    assert asked() == few <= 26


def test_a_poll_is_bounded_and_says_that_it_is_a_sample(
    root: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most ROWS rows, the newest; above SAMPLE_RATE events a second it says so."""
    monkeypatch.setattr(live_rows, "SAMPLE_RATE", 0.1)
    assert poll(root)["is_sample"] is False
    send(*(incoming("page_view", f"c{number}") for number in range(120)))
    answer = poll(root)
    assert (len(answer["rows"]), answer["is_sample"]) == (100, True)
    assert answer["rows"][0]["id"] == f"e{Event.objects.latest('pk').pk}"


def test_the_page_waits_for_the_first_event_and_offers_snippets(root: Client, settings: Any) -> None:
    """curl, Python and JavaScript with the real address; a fresh key's page has them with the key, once."""
    text = root.get(PAGE).content.decode()
    assert "Waiting for your first event…" in text
    assert text.count(f"{settings.PUBLIC_URL}/api/v1/events/") == 3
    assert text.count("bk_live_YOUR_KEY") == 3
    answer = root.post(
        reverse("admin:automation_writekey_add"),
        {"name": "Shop", "source": "shop", "scopes": ["events:write"], "is_active": "on"},
    ).content.decode()
    assert answer.count(f"bk_live_{WriteKey.objects.get().public_id}_") == 4
    assert "bk_live_YOUR_KEY" not in answer
    send(incoming("page_view"))
    assert "Waiting for your first event…" not in root.get(PAGE).content.decode()


def test_older_events_are_a_page_away_without_a_script(root: Client) -> None:
    """By key, down and back up."""
    send(*(incoming("page_view", f"c{number}") for number in range(60)))
    text = root.get(PAGE).content.decode()
    older = re.search(r'href="(\?before=\d+)" rel="next"', text)
    assert older is not None
    rest = root.get(PAGE + older[1]).content.decode()
    assert rest.count('<li class="live-row" data-id="e') == 10
    assert "‹ Newer" in rest


@decides
def test_personal_data_are_masked_without_the_permission(sign_in: SignIn) -> None:
    """S-008: customer, payload and what a condition saw."""
    for field in ("to", "first_name"):  # By its pattern, and by its field.
        row = {"field": field, "operator": "equals", "value": "x"}
        make_trigger(
            f"filters-{field.replace('_', '-')}",
            conditions=[{"type": "event_match", "event_type": "page_view", "data_conditions": [row]}],
        )
    who = "alice.w@example.com"
    send(incoming("page_view", who, data={"to": who, "first_name": "Alicia"}))
    decide_all()
    analyst, marketer = sign_in("Analyst"), sign_in("Marketer")
    for page in (PAGE, POLL):
        assert "alice.w" not in analyst.get(page).content.decode()
        assert "Alicia" not in analyst.get(page).content.decode()
        assert who in marketer.get(page).content.decode()
    again = reverse("admin:automation_event_replay", args=[Event.objects.get().pk])
    for secret in ("alice.w", "Alicia"):
        assert secret not in analyst.get(again).content.decode()
    assert "Alicia" in marketer.get(again).content.decode()


@decides
def test_a_replay_judges_again_and_changes_nothing(root: Client) -> None:
    """S-085: each listening trigger with its trace, or the chosen one whether it listens or not."""
    trigger = make_trigger("mails", on="page_view", actions=[{"type": "send_email", "template_id": "hello"}])
    other = make_trigger("filters", conditions=[CART])
    send(*known("alice"), incoming("page_view"))
    decide_all()
    event = Event.objects.get(name="page_view")
    before = (Execution.objects.count(), Delivery.objects.count(), QueuedEvent.objects.count())
    url = reverse("admin:automation_event_replay", args=[event.pk])
    text = root.get(url).content.decode()
    assert "✓ passed" in text
    assert f"/trigger/{trigger.pk}/change/" in text
    assert f"/trigger/{other.pk}/change/" not in text
    assert f"/trigger/{other.pk}/change/" in root.get(url, {"trigger": other.pk}).content.decode()
    assert before == (Execution.objects.count(), Delivery.objects.count(), QueuedEvent.objects.count())


@decides
def test_a_long_trace_stays_small_and_each_leaf_says_what_it_saw(root: Client) -> None:
    """S-085: the stored trace of the real engine has at most 4 KB, and the page shows what each of its leaves saw."""
    leaves = [{"field": f"f{n}", "operator": "contains", "value": "a" * 40} for n in range(30)]
    halves = [
        {"type": "event_match", "event_type": "page_view", "data_conditions": half}
        for half in (leaves[:15], leaves[15:])
    ]
    make_trigger("long", conditions=halves)
    send(incoming("page_view", data={f"f{n}": "a" * (40 + n) for n in range(30)}))
    decide_all()
    execution = Execution.objects.get()
    trace = execution.trace["conditions"]
    assert len(json.dumps(trace, separators=(",", ":"))) <= 4096
    text = root.get(reverse("admin:automation_execution_change", args=[execution.pk])).content.decode()
    shown = [line for pointer, line in trace.items() if pointer.startswith("/") and "seen" in line]
    assert len(shown) >= 30
    assert text.count('class="trace-seen"') == len(shown)


@decides
def test_what_senders_write_is_inert(root: Client) -> None:
    """S-001: markup as name, id, property and source is text on the page and in the poll's JSON."""
    bad = "<img src=x onerror=alert(1)>"
    profile = rows.customer(bad)
    event = rows.event(profile, name=bad, original_name=bad, data={bad: bad}, source=bad[:50])
    rows.execution(event, rows.trigger(name=bad))
    for page in (PAGE, reverse("admin:automation_event_replay", args=[event.pk])):
        text = root.get(page).content.decode()
        assert bad not in text
        assert "&lt;img src=x" in text
    answer = root.get(POLL)
    assert answer["Content-Type"] == "application/json"
    assert bad in json.dumps(answer.json())


def test_a_trigger_is_made_from_an_event(root: Client) -> None:
    """The link of a row opens the form that adds a trigger with the event's name in its WHEN."""
    send(incoming("wish_listed"))
    (row,) = poll(root)["rows"]
    url = dict(row["links"])["Make a trigger from this"]
    form = root.get(url).context["adminform"].form
    assert form.initial["conditions"] == [{"type": "event_match", "event_type": "wish_listed"}]
    assert "wish_listed" in root.get(url).content.decode()


def test_a_replay_has_three_seconds_and_names_whom_it_did_not_ask(
    root: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-085: time runs out after the first trigger; the second can be asked alone."""
    event, _first, second = rows.event(rows.customer()), rows.trigger("a"), rows.trigger("b")
    url = reverse("admin:automation_event_replay", args=[event.pk])
    explain = backtest.explain

    def long(*args: Any, **kwargs: Any) -> backtest.Explanation:
        monkeypatch.setattr(replay, "SECONDS", 0.0)
        return explain(*args, **kwargs)

    monkeypatch.setattr(backtest, "explain", long)
    found = root.get(url).context
    assert [one.pk for one in found["unasked"]] == [second.pk]
    assert len(found["found"]) == 1
    monkeypatch.setattr(replay, "SECONDS", 3.0)
    monkeypatch.setattr(backtest, "explain", Mock(side_effect=OperationalError("statement timeout")))
    assert "it took too long" in root.get(url, {"trigger": second.pk}).content.decode()


def test_replays_are_limited(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """S-085: a person who asks again and again is told to wait, before anything is judged."""
    rows.trigger()
    url = reverse("admin:automation_event_replay", args=[rows.event(rows.customer()).pk])
    replay.RATE.forget()
    while not (wait := replay.RATE.take(str(User.objects.get().pk))):
        pass
    assert wait
    monkeypatch.setattr(backtest, "explain", Mock(side_effect=AssertionError))
    answer = root.get(url)
    assert (answer.status_code, answer["Retry-After"]) == (429, "2")
    assert "Wait a moment" in answer.content.decode()


def test_an_explained_customer_is_loaded_once(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking and judging share what is known of the customer, and PostgreSQL gives up early."""
    event, trigger = rows.event(rows.customer()), rows.trigger()
    loaded = []
    courses = past.courses

    def counting(*args: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            loaded.append(cursor.fetchone()[0])
        return courses(*args)

    monkeypatch.setattr(past, "courses", counting)
    root.get(reverse("admin:automation_event_replay", args=[event.pk]), {"trigger": trigger.pk})
    assert loaded == ["3s"]
