"""The preview beside the editor: it judges what was typed, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import InternalError, connection
from django.http import HttpResponse
from django.test import Client

from automation import backtest, personal, traces
from automation.admin import preview
from automation.backtest import window
from automation.backtest.replay import reading
from automation.engine.validate import validate_definition
from automation.models import Event, Trigger
from automation.pipeline import catalogue
from profiles.models import Profile
from tests.factories import EMAIL, decide_all, incoming, known, make_template, make_trigger, send

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/admin/automation/trigger/preview/"
ROW = {"field": "total_value", "operator": "greater_than", "value": 50}
CART = {"type": "event_match", "event_type": "cart_abandonment", "data_conditions": [ROW]}
LOYAL = {"type": "customer_attribute", "attribute": "orders_count", "operator": "greater_than", "value": 0}
ANY = {"type": "any", "conditions": [LOYAL, {**LOYAL, "attribute": "lifetime_value", "value": 5}]}


@pytest.fixture(autouse=True)
def full_buckets() -> None:
    """Nobody has asked for a preview yet."""
    preview.RATE.forget()


@pytest.fixture
def shop() -> None:
    """Alice bought before, Bob did not; both left carts, one of them cannot be read."""
    make_template()
    send(*known(), *known("bob"), incoming("purchase_completed", data={"total": 10}))
    for customer, value in (("alice", 80), ("alice", 20), ("bob", 90), ("alice", ["a"]), ("alice", 120)):
        send(incoming("cart_abandonment", customer, data={"total_value": value}))
    decide_all()


def ask(client: Client, **body: Any) -> HttpResponse:
    """POST a body; conditions and actions are good ones unless given."""
    values = {"conditions": [CART, LOYAL], "actions": [EMAIL], "guards": {"holdout_percent": "0"}, **body}
    return client.post(URL, values, content_type="application/json")


def row_counts() -> dict[str, int]:
    """How many rows each table of ours holds."""
    names = [
        m._meta.db_table for app in ("automation", "profiles") for m in apps.get_app_config(app).get_models()
    ]
    with connection.cursor() as cursor:
        found = {}
        for name in names:
            cursor.execute(f'SELECT count(*) FROM "{name}"')
            found[name] = cursor.fetchone()[0]
    return found


def test_it_says_what_would_have_happened(shop: None, root: Client) -> None:
    """S-002, S-003, H-047: bars, funnel, reasons and people in one answer; broken is counted apart."""
    before = row_counts()
    answer = ask(root).json()
    assert (answer["errors"], answer["sentence"]["then"]) == ({}, ["send the e-mail “Hello”"])
    found = answer["backtest"]
    assert (found["events"], found["sampled"], found["approximate"]) == (5, 5, False)
    # Alice's second cart meets the frequency cap that the first one filled; the list is "broken", not "no".
    assert (found["fired"], found["customers"], found["days"]) == (1, 1, [0] * 13 + [1])
    assert {(held["code"], held["n"]) for held in found["held_back"]} == {
        ("broken_condition", 1),
        ("frequency_cap", 1),
    }
    assert {held["label"] for held in found["held_back"]} >= {"enough messages"}
    assert answer["nodes"] == {"/conditions/0": [5, 3], "/conditions/1": [3, 2]}
    assert answer["broken"] == {"/conditions/0": 1}
    outcomes = {(sample["customer"], sample["outcome"]) for sample in answer["samples"]}
    assert outcomes == {("Alice", "fired"), ("Bob", "not_met")}
    assert [s["text"] for s in answer["samples"]] == [
        "Would get it.",
        "Stopped at: orders count is more than 0.",
    ]
    assert row_counts() == before


def test_one_of_three_was_stopped_by_a_condition(root: Client) -> None:
    """However many guards held people back: the cards have something to show."""
    make_template()
    send(*known("bob"), *known("cora", consent=False), *known("dan", email=""), *known("eve"))
    no = {"topic": "marketing", "channel": "email", "is_granted": False}
    send(incoming("consent_changed", "eve", data=no))
    for who in ("bob", "cora", "dan", "eve"):
        if who != "bob":
            send(incoming("purchase_completed", who, data={"order_id": who, "total": 10}))
        send(incoming("cart_abandonment", who, data={"total_value": 80}))
    decide_all()
    samples = ask(root).json()["samples"]
    assert [one["outcome"] for one in samples] == ["held_back", "held_back", "not_met"]
    assert samples[2]["customer"] == "Bob"


def test_groups_count_their_conditions_too(shop: None, root: Client) -> None:
    """Inside a group each condition is plainly true or false for whoever reaches the group."""
    answer = ask(root, conditions=[CART, ANY]).json()
    assert answer["nodes"] == {
        "/conditions/0": [5, 3],
        "/conditions/1": [3, 2],
        "/conditions/1/conditions/0": [3, 2],
        "/conditions/1/conditions/1": [3, 2],
    }


def test_one_person_is_explained_on_the_cards(shop: None, root: Client) -> None:
    """H-047: every condition with what it saw, also beyond the one that stopped it, and the guard rails."""
    bob = Event.objects.get(name="cart_abandonment", profile__customer_id="bob")
    answer = ask(root, conditions=[CART, LOYAL, CART], explain=bob.pk).json()
    trace = answer["trace"]
    assert trace["/conditions/1"] == {"result": "not_met", "seen": "0", "reached": True}
    assert (trace["/conditions/2"]["result"], trace["/conditions/2"]["reached"]) == ("met", False)
    assert {guard["code"]: guard["ok"] for guard in answer["guards"]}["frequency_cap"] is True
    broken = Event.objects.filter(name="cart_abandonment").order_by("pk")[3]
    trace = ask(root, explain=broken.pk).json()["trace"]
    assert trace["/conditions/0"]["result"] == "broken"
    capped = Event.objects.filter(name="cart_abandonment").order_by("pk")[4]
    make_trigger("other", actions=[EMAIL])
    send(incoming("cart_abandonment", "alice", data={"total_value": 1}))
    decide_all()
    send(incoming("cart_abandonment", "alice", data={"total_value": 70}))
    newest = Event.objects.order_by("-pk").first()
    assert newest is not None
    guards = {g["code"]: g for g in ask(root, explain=newest.pk).json()["guards"]}
    assert guards["frequency_cap"]["ok"] is False
    assert guards["frequency_cap"]["until"] is not None
    assert capped.pk != newest.pk


def test_a_trace_shows_the_customers_own_clock(root: Client) -> None:
    """H-035: in Tokyo it is another hour than here, and the card says which one was looked at."""
    send(*known(time_zone="Asia/Tokyo"))
    send(incoming("cart_abandonment", data={"total_value": 80}))
    decide_all()
    event = Event.objects.get(name="cart_abandonment")
    there = event.occurred_at.astimezone(ZoneInfo("Asia/Tokyo"))
    hour = {
        "type": "time_based",
        "time_condition_type": "time_of_day",
        "start": f"{there:%H}:00",
        "end": f"{there:%H}:59",
    }
    answer = ask(root, conditions=[CART, hour], explain=event.pk).json()
    assert answer["trace"]["/conditions/1"]["seen"] == f"{there:%H:%M}"
    is_met = there.minute < 59  # The end is not inside.
    assert answer["nodes"]["/conditions/1"] == [1, int(is_met)]


@pytest.mark.parametrize(
    ("body", "pointers", "is_judged"),
    [
        ({"conditions": [CART, {"type": "nonsense"}]}, ["/conditions/1"], False),
        ({"conditions": []}, ["/conditions"], False),
        ({"actions": [{"type": "send_email", "template_id": "gone"}]}, ["/actions/0/template_id"], True),
        ({"actions": []}, ["/actions"], True),
        ({"guards": {"cooldown_minutes": "soon"}}, ["/cooldown_minutes"], False),
        ({"guards": {"timing": '{"kind": "delay", "minutes": -1}'}}, ["/timing/minutes"], False),
    ],
)
def test_what_is_open_is_said_and_actions_do_not_stop_it(
    shop: None, root: Client, body: dict[str, Any], pointers: list[str], is_judged: bool
) -> None:
    """S-002, S-003: the validator's own pointers; without conditions there is nothing to judge."""
    answer = ask(root, **body).json()
    assert list(answer["errors"]) == pointers
    assert (answer["backtest"] is not None) is is_judged


def test_soft_findings_are_warnings(shop: None, root: Client) -> None:
    """An event that never came, a trait that hardly anybody has, and variables that no message would hold."""
    catalogue.flush()
    conditions = [
        {"type": "event_match", "event_type": "cart_abandonmnet"},
        {"type": "sequence", "sequence": [{"event_type": "nevr"}, {"event_type": "cart_abandonmnet"}]},
        {**LOYAL, "attribute": "shoe_size"},
    ]
    warnings = ask(root, conditions=conditions).json()["warnings"]
    assert list(warnings) == [
        "/conditions/0/event_type",
        "/conditions/1/sequence/0/event_type",
        "/conditions/1/sequence/1/event_type",
        "/conditions/2/attribute",
    ]
    assert "0 %" in warnings["/conditions/2/attribute"]["message"]
    make_template(
        "wrong",
        html="{{ first_name }} {{ frist_name }} {{ event.total_value }} {{ event.colour }} {{ cart_value }}",
    )
    actions = [EMAIL, {**EMAIL, "template_id": "wrong"}]
    warnings = ask(root, conditions=[CART], actions=actions).json()["warnings"]
    assert list(warnings) == ["/actions/1/template_id"]
    assert "event.colour, frist_name," in warnings["/actions/1/template_id"]["message"]


def test_names_stay_masked_for_who_may_not_see_them(shop: None, sign_in: Callable[..., Client]) -> None:
    """R-049: an analyst sees initials and no value of a person."""
    answer = ask(sign_in("Analyst")).json()
    assert {sample["customer"] for sample in answer["samples"]} == {"A…", "B…"}
    event = Event.objects.get(name="cart_abandonment", profile__customer_id="bob")
    email = {"type": "customer_attribute", "attribute": "email", "operator": "contains", "value": "bob@"}
    analyst = Client()
    analyst.force_login(get_user_model().objects.get(username="Analyst"))
    # Neither whom a condition on an address holds for, nor what it saw, nor how many: asked often, that spells it out.
    hidden = ask(analyst, conditions=[CART, {"type": "any", "conditions": [email]}], explain=event.pk).json()
    assert (hidden["samples"], hidden["trace"], hidden["backtest"]) == ([], None, None)
    assert (hidden["nodes"], hidden["broken"]) == ({}, {})
    assert "personal data" in hidden["warnings"][""]["message"]
    assert "personal data" in hidden["withheld"]
    shown = ask(sign_in("Marketer"), conditions=[CART, email], explain=event.pk).json()
    assert shown["trace"]["/conditions/1"]["seen"] == "bob@example.com"


@pytest.mark.parametrize(
    ("key", "path", "is_so"),
    [
        ("attribute", "email", True),
        ("attribute", "before.email", True),
        ("attribute", "traits", True),
        ("attribute", "traits.name", True),
        ("attribute", "traits.work_email", True),
        ("field", "contacts[0].first_name", True),
        ("field", "contacts[].home_phone", True),
        ("field", "shipping", True),
        ("field", "profile.birthday", True),
        ("same", "billing_address", True),
        ("field", "items[].name", False),
        ("field", "total_value", False),
        ("attribute", "orders_count", False),
        ("value", "email", False),
    ],
)
def test_what_is_personal_is_known_by_its_path(key: str, path: str, is_so: bool) -> None:
    """R-049: whatever is asked for, also in groups, stop rules and the goal."""
    row = {"type": "x", key: path}
    assert personal.asks([{"type": "any", "conditions": [row]}]) is is_so
    for name in ("conditions", "cancel_when"):
        assert personal.reads_personal({name: [row]}) is is_so
    assert personal.reads_personal({"goal": {"data_conditions": [row]}}) is is_so


def test_what_was_seen_is_masked_by_its_field() -> None:
    """R-049: a name looks like no address, and an object may hold one."""
    name = {"type": "customer_attribute", "attribute": "first_name", "operator": "equals", "value": "Bob"}
    document = {"conditions": [name, LOYAL, {**LOYAL, "attribute": "traits.size"}]}
    seen: tuple[Any, ...] = ("Alice", 3, {"given": "Alice"})
    trace = {f"/conditions/{n}": {"result": "met", "seen": value} for n, value in enumerate(seen)}
    assert [line.masked().seen for line in traces.lines(document, trace)] == ["…", "3", "…"]


def test_people_are_shown_only_to_those_who_may_see_them(shop: None) -> None:
    """Numbers of a trigger are for whoever may view triggers; customers and decisions are not."""
    user = get_user_model().objects.create_user("clerk", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_trigger"))
    client = Client()
    client.force_login(user)
    event = Event.objects.filter(name="cart_abandonment").order_by("pk")[0]
    answer = ask(client, explain=event.pk).json()
    assert (answer["samples"], answer["trace"], answer["guards"]) == ([], None, None)
    assert answer["backtest"]["fired"] == 1
    assert "customers" in answer["withheld"]


@pytest.mark.parametrize("explain", [0, -1, 2**63, True, "1", 1.5])
def test_no_key_of_an_event_is_refused(root: Client, explain: Any) -> None:
    """PostgreSQL never sees a number that it cannot hold."""
    assert ask(root, explain=explain).status_code == 400


@pytest.mark.parametrize(
    "guards",
    [{"priority": 7}, {"valid_from": 1}, {"name": {}}, {"topic": []}, {"key": "\0"}, {"recheck": 3}],
)
def test_crafted_guards_are_problems_not_failures(root: Client, guards: dict[str, Any]) -> None:
    """Whatever a request says in place of text."""
    assert ask(root, guards=guards).status_code == 200


def test_who_may_and_how(shop: None, root: Client) -> None:
    """Session and CSRF token, the permission to view triggers, a readable body, and not too often."""
    assert root.get(URL).status_code == 405
    for body in (b"{", b"[]", b'{"conditions": {}}', b"\xff", b'{"guards": []}'):
        assert root.post(URL, body, content_type="application/json").status_code == 400, body
    outsider = get_user_model().objects.create_user("outsider", is_staff=True)
    client = Client()
    client.force_login(outsider)
    assert ask(client).status_code == 403
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(get_user_model().objects.get(username="root"))
    assert ask(strict).status_code == 403
    preview.RATE.forget()
    said = [ask(root, conditions=[]).status_code for _ in range(25)]
    assert said[0] == 200
    assert said[-1] == 429
    assert int(ask(root)["Retry-After"]) >= 1


def test_too_much_to_judge_is_said(shop: None, root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A query that PostgreSQL stops does not take the page's other answers with it."""

    def stopped(*args: Any, **kwargs: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 1; SELECT pg_sleep(1)")

    monkeypatch.setattr(window, "entries", stopped)
    try:
        answer = ask(root).json()
    finally:
        connection.close()
    assert (answer["backtest"], list(answer["warnings"])) == (None, [""])
    assert answer["sentence"]["then"]


def test_postgresql_refuses_every_write_meanwhile(shop: None) -> None:
    """Read-only is the database's word, not our good intention; afterwards all is as before."""
    with pytest.raises(InternalError, match="read-only transaction"), reading():
        Trigger.objects.create(key="x", name="x")
    trigger = make_trigger("writes-again", conditions=[CART])
    assert trigger.pk


def test_the_stored_trigger_is_the_base(shop: None, root: Client) -> None:
    """What the page does not send is as stored; what it did in the time is found anew, not counted twice."""
    stored = make_trigger("cart", conditions=[CART], actions=[EMAIL], max_per_customer=1)
    send(incoming("cart_abandonment", "bob", data={"total_value": 60}))
    decide_all()
    found = ask(root, conditions=[CART], trigger=stored.pk, guards={}).json()["backtest"]
    assert (found["fired"], found["customers"]) == (2, 2)
    assert {held["code"] for held in found["held_back"]} & {"max_per_customer", "frequency_cap"}


def test_two_versions_differ_for_some() -> None:
    """Who gets it only by the new version, and who only by the old one."""
    make_template()
    send(*known(), *known("bob"))
    for customer, value in (("alice", 40), ("bob", 90)):
        send(incoming("cart_abandonment", customer, data={"total_value": value}))
    decide_all()
    old, new = (
        validate_definition(
            Trigger(
                key="k",
                name="n",
                holdout_percent=0,
                conditions=[{**CART, "data_conditions": [{**ROW, "operator": operator}]}],
                actions=[EMAIL],
            ).document()
        )[0]
        for operator in ("greater_than", "less_than")
    )
    assert old is not None
    assert new is not None
    found = backtest.differ(old, new, now=datetime.now(UTC))
    people = dict(Profile.objects.values_list("pk", "customer_id"))
    assert (found.both, found.lost, found.won, found.after.fired) == (0, 1, 1, 1)
    assert [people[pk] for pk in (*found.lost_examples, *found.won_examples)] == ["bob", "alice"]
    assert backtest.differ(old, old, now=datetime.now(UTC)).both == 1
