"""/v1/…: Segment's shape, its names, its answers, and browsers on other sites."""

from __future__ import annotations

import base64
import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client

from automation.api import names
from automation.api.examples import SEGMENT
from automation.models import Event
from profiles.models import Identity
from tests.integration.api.shops import Shop, stored

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SITE = "https://shop.example"


@pytest.mark.parametrize(
    ("path", "call", "name", "data"),
    [
        (
            "track",
            {"event": "Order Completed", "properties": {"total": 40}},
            "purchase_completed",
            {"total": 40},
        ),
        ("track", {"event": "Clicked The Thing"}, "clicked_the_thing", {}),
        ("identify", {"traits": {"email": "a@b.example"}}, "identify", {"traits": {"email": "a@b.example"}}),
        ("identify", {}, "identify", {"traits": {}}),
        ("page", {"name": "Home", "properties": {"title": "T"}}, "page_view", {"name": "Home", "title": "T"}),
        (
            "page",
            {"name": "A", "category": "C", "properties": {"name": "B"}},
            "page_view",
            {"name": "B", "category": "C"},
        ),
        ("screen", {"name": "Cart"}, "screen_view", {"name": "Cart"}),
        ("group", {"groupId": 7, "traits": {"n": 1}}, "group", {"group_id": "7", "traits": {"n": 1}}),
        ("alias", {"previousId": "old"}, "alias", {}),
    ],
)
def test_each_call_becomes_an_event(
    shop: Shop, path: str, call: dict[str, Any], name: str, data: Any
) -> None:
    """S-007, S-064: track, identify, page, screen, group and alias; 200 {"success": true} after the commit."""
    answer = shop.post({"userId": "ada", "messageId": "m-1", **call}, f"/v1/{path}")
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    found = stored()
    assert (found.name, found.data, found.message_id) == (name, data, "m-1")
    assert Identity.objects.get(kind="customer").value == "ada"


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    ("letter", "call", "name"),
    [
        ("t", {"event": "X"}, "x"),
        ("i", {}, "identify"),
        ("p", {}, "page_view"),
        ("s", {"name": "Cart"}, "screen_view"),
        ("g", {"groupId": "g"}, "group"),
        ("a", {"previousId": "v"}, "alias"),
        ("b", {"batch": [{"type": "track", "userId": "ada", "event": "X"}]}, "x"),
    ],
)
def test_the_browsers_short_forms_take_text_and_the_key_in_the_body(
    client: Client, shop: Shop, letter: str, call: dict[str, Any], name: str, slash: str
) -> None:
    """S-007: sendBeacon and simple requests cannot set headers."""
    raw = json.dumps({"userId": 12, "writeKey": shop.token, **call}).encode()
    answer = client.generic(
        "POST", f"/v1/{letter}{slash}", raw, content_type="text/plain;charset=UTF-8", HTTP_ORIGIN=SITE
    )
    assert answer.status_code == 200
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert stored().name == name
    assert stored().source == "web"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"writeKey":"bk_live_wrong","userId":"a","event":"x"}', 401),
        (b'{"writeKey":5,"userId":"a","event":"x"}', 401),
        (b'{"userId":"a","event":"x"}', 401),
        (b"[]", 401),
        (b"not json", 400),
    ],
)
def test_without_a_valid_key_in_the_body_nothing_is_stored(client: Client, body: bytes, status: int) -> None:
    """H-067: errors carry `code` and `message`, which these clients read, and CORS, so that pages can read them."""
    answer = client.generic("POST", "/v1/t", body, content_type="text/plain", HTTP_ORIGIN=SITE)
    assert answer.status_code == status
    assert answer.json()["code"] == {401: "unauthenticated", 400: "validation"}[status]
    assert answer.json()["message"]
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert Event.objects.count() == 0


def test_a_key_in_the_body_counts_for_segments_addresses_only(client: Client, shop: Shop) -> None:
    body = {"customer_id": "a", "event_type": "x", "writeKey": shop.token}
    assert client.post("/api/v1/events/", body, content_type="application/json").status_code == 401


def test_a_batch_stores_the_good_calls_and_names_the_bad_ones(shop: Shop) -> None:
    """R-004: one bad call does not sink its batch; clients that look at the status alone see success."""
    batch = [
        {"type": "track", "userId": "a", "event": "One", "messageId": "1"},
        {"type": "track", "userId": "a"},
        {"type": "dance", "userId": "a"},
        {"type": "track", "event": "No One"},
        {"type": "track", "userId": "a", "event": "One", "messageId": "1"},
        {"type": "track", "userId": "a", "event": "Other", "messageId": "1"},
        {"type": "page", "anonymousId": "v", "messageId": 5},
    ]
    answer = shop.post({"batch": batch, "sentAt": NOW.isoformat()}, "/v1/batch")
    assert answer.status_code == 200
    assert answer.json()["success"] is True
    refused = [(entry["status"], entry["errors"][0]["pointer"]) for entry in answer.json()["rejected"]]
    assert refused == [
        ("rejected", "/batch/1/event"),
        ("rejected", "/batch/2/type"),
        ("rejected", "/batch/3/userId"),
        ("conflict", "/batch/5/messageId"),
    ]
    assert sorted(Event.objects.values_list("message_id", flat=True)) == ["1", "5"]


def test_a_batch_of_bad_calls_only_is_400(shop: Shop) -> None:
    answer = shop.post({"batch": [{"type": "track"}]}, "/v1/batch")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/batch/0/userId"


@pytest.mark.parametrize(
    "body", [{}, {"batch": []}, {"batch": 1}, {"batch": [{}] * 501}, [], {"batch": [1], "sentAt": 5}]
)
def test_an_unusable_batch_is_400(shop: Shop, body: Any) -> None:
    assert shop.post(body, "/v1/batch").status_code == 400


def test_a_gzip_batch_with_basic_auth_is_read(client: Client, shop: Shop) -> None:
    """R-006: as the server-side clients send it."""
    raw = gzip.compress(json.dumps({"batch": [{"type": "identify", "userId": "a"}]}).encode())
    answer = client.generic(
        "POST",
        "/v1/batch",
        raw,
        content_type="application/json",
        HTTP_CONTENT_ENCODING="gzip",
        HTTP_AUTHORIZATION="Basic " + base64.b64encode(f"{shop.token}:".encode()).decode(),
    )
    assert (answer.status_code, answer.json()) == (200, {"success": True})


def test_imported_history_is_marked(shop: Shop) -> None:
    """S-066: /v1/import stores and never fires."""
    call = {"type": "track", "userId": "a", "event": "X", "timestamp": "2020-01-01T00:00:00Z"}
    assert shop.post({"batch": [call]}, "/v1/import").status_code == 200
    found = stored()
    assert (found.is_import, found.source) == (True, "import")
    assert found.occurred_at == datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("call", "sent_at", "occurred"),
    [
        ({}, None, NOW),
        ({"timestamp": "2026-11-24T11:00:00Z"}, None, NOW - timedelta(hours=1)),
        ({"timestamp": "2026-11-24T13:59:00Z"}, "2026-11-24T14:00:00Z", NOW - timedelta(minutes=1)),
        ({"timestamp": "2026-11-24T09:00:00Z"}, "2026-11-24T09:00:05+00:00", NOW - timedelta(seconds=5)),
        (
            {"originalTimestamp": "2026-11-24T13:58:00Z", "timestamp": "2026-11-24T11:58:00Z"},
            "2026-11-24T14:00:00Z",
            NOW - timedelta(minutes=2),
        ),
        (
            {"timestamp": "2026-11-24T14:00:00Z", "sentAt": "2026-11-24T14:00:30Z"},
            None,
            NOW - timedelta(seconds=30),
        ),
        ({"timestamp": "2026-11-24T15:00:00Z"}, "2026-11-24T14:00:00Z", NOW),
    ],
)
def test_the_error_of_the_senders_clock_cancels_out(
    shop: Shop, call: dict[str, Any], sent_at: str | None, occurred: datetime
) -> None:
    """S-066: occurred = received - (sentAt - timestamp), as Segment does it."""
    with time_machine.travel(NOW, tick=False):
        shop.post(
            {"batch": [{"type": "track", "userId": "a", "event": "X", **call}], "sentAt": sent_at},
            "/v1/batch",
        )
    assert stored().occurred_at == occurred


def test_a_browsers_retry_with_a_fresh_clock_is_a_duplicate(shop: Shop) -> None:
    """R-002, R-003: `sentAt` and context may differ, what happened may not."""
    call = {"userId": "a", "event": "X", "messageId": "m", "timestamp": "2026-11-24T11:00:00Z"}
    first = shop.post({**call, "sentAt": "2026-11-24T11:00:01Z", "context": {"page": {"url": "u"}}}, "/v1/t")
    again = shop.post({**call, "sentAt": "2026-11-24T11:00:09Z", "context": {}}, "/v1/t")
    other = shop.post({**call, "properties": {"n": 1}}, "/v1/t")
    assert [answer.status_code for answer in (first, again, other)] == [200, 200, 409]
    assert other.json()["code"] == "conflict"
    assert Event.objects.count() == 1


def test_segments_context_is_put_where_conditions_look(shop: Shop) -> None:
    """S-067, S-069, S-070, S-071: one form of context for both shapes; the address is cut to its network."""
    context = {
        "ip": "203.0.113.77",
        "userAgent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15"
        " (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1",
        "device": {"manufacturer": "Apple", "advertisingId": "secret"},
        "os": {"name": "iPhone OS", "version": "17.0"},
        "location": {"city": "Berlin", "latitude": 52.520008},
        "page": {"url": "https://a.example/?utm_term=t", "path": "/"},
        "campaign": {"name": "spring", "source": "news"},
        "locale": "de-DE",
        "timezone": "Europe/Berlin",
        "sessionId": 1764,
        "library": {"name": "analytics.js"},
    }
    shop.post({"userId": "a", "anonymousId": "v", "event": "X", "context": context}, "/v1/track")
    found = stored()
    assert found.context == {
        "device": {
            "manufacturer": "Apple",
            "os": "iOS",
            "os_version": "17.0",
            "type": "mobile",
            "browser": "Safari",
        },
        "location": {"city": "Berlin", "latitude": 52.52, "ip": "203.0.113.0"},
        "page": {"url": "https://a.example/?utm_term=t", "path": "/"},
        "utm": {"term": "t", "campaign": "spring", "source": "news"},
        "locale": "de-DE",
        "timezone": "Europe/Berlin",
        "metadata": {"library": {"name": "analytics.js"}},
        "anonymous_id": "v",
    }
    assert found.session_id == "1764"
    assert found.source == "web"


def test_context_of_the_batch_holds_for_every_call(shop: Shop) -> None:
    batch = [
        {"type": "track", "userId": "a", "event": "X", "messageId": "1"},
        {"type": "track", "userId": "a", "event": "X", "messageId": "2", "context": {"locale": "fr"}},
    ]
    shop.post({"batch": batch, "context": {"locale": "de"}}, "/v1/batch")
    assert stored(message_id="1").context == {"locale": "de"}
    assert stored(message_id="2").context == {"locale": "fr"}


@pytest.mark.parametrize(
    "context", [{"page": "x", "device": [], "location": 1, "campaign": None, "os": "y"}, {}]
)
def test_context_of_another_form_is_passed_over(shop: Shop, context: dict[str, Any]) -> None:
    assert shop.post({"userId": "a", "event": "X", "context": context}, "/v1/track").status_code == 200


def test_an_alias_keeps_the_id_used_before(shop: Shop) -> None:
    """S-063: what the pipeline needs to join the two."""
    shop.post({"userId": "ada", "previousId": "old-ada"}, "/v1/alias")
    assert stored().context == {"previous_id": "old-ada"}


def test_a_page_without_page_context_has_its_properties(shop: Shop) -> None:
    shop.post({"userId": "a", "properties": {"url": "https://a.example/", "x": 1}}, "/v1/page")
    assert stored().context["page"] == {"url": "https://a.example/"}


def test_ids_tie_a_visitor_to_a_customer(shop: Shop) -> None:
    """S-063: the anonymous profile becomes the customer's."""
    shop.post({"anonymousId": "v", "event": "X"}, "/v1/track")
    shop.post({"anonymousId": "v", "userId": "ada"}, "/v1/identify")
    assert len({identity.profile_id for identity in Identity.objects.all()}) == 1
    assert Identity.objects.count() == 2


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("Product Viewed", "product_view"),
        ("Product Added", "add_to_cart"),
        ("Product Removed", "remove_from_cart"),
        ("Order Completed", "purchase_completed"),
        ("order_completed", "purchase_completed"),
        ("orderCompleted", "purchase_completed"),
        ("Products Searched", "search"),
        ("Product List Viewed", "category_viewed"),
        ("Checkout Started", "checkout_started"),
        ("Email Link Clicked", "email_clicked"),
        ("Email Opened", "email_opened"),
        ("Email Delivered", "email_delivered"),
        ("Email Bounced", "email_bounced"),
        ("Email Marked as Spam", "email_complained"),
        ("Unsubscribed", "email_unsubscribed"),
        ("Application Opened", "app_opened"),
        ("Signed Up", "signup"),
        ("Something Else", "something_else"),
    ],
)
def test_segments_names_become_the_articles(theirs: str, ours: str) -> None:
    """S-064: a table, and snake_case for the rest."""
    assert names.from_segment(theirs) == ours


def test_both_sides_of_the_table_are_canonical() -> None:
    for theirs, ours in names.SEGMENT.items():
        assert names.canonical(theirs) == theirs
        assert names.canonical(ours) == ours


def test_settings_of_a_project_point_to_this_server(client: Client, shop: Shop) -> None:
    """What the browser library asks for first; an unknown key does not exist."""
    answer = client.get(f"/v1/projects/{shop.token}/settings", HTTP_ORIGIN=SITE)
    assert answer.status_code == 200
    assert answer["Access-Control-Allow-Origin"] == "*"
    ours = answer.json()["integrations"]["Segment.io"]
    assert (ours["apiKey"], ours["apiHost"], ours["protocol"]) == (shop.token, "testserver/v1", "http")
    assert client.get("/v1/projects/bk_live_wrong/settings").status_code == 404


@pytest.mark.parametrize("name", sorted(SEGMENT))
def test_every_example_is_accepted(shop: Shop, name: str) -> None:
    assert shop.post(SEGMENT[name], f"/v1/{name}").json() == {"success": True}
