"""POST /api/v1/events/: what is accepted, how it is stored, and what a repeat does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from automation.api.examples import CART_ABANDONMENT
from automation.models import Event, QueuedEvent
from profiles.models import Identity
from tests.integration.api.shops import EVENTS, Shop, stored

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def event(**fields: Any) -> dict[str, Any]:
    return {"customer_id": "ada", "event_type": "page_view", **fields}


def test_the_articles_sample_event_is_accepted_verbatim(shop: Shop) -> None:
    """S-188, S-007, S-063, S-064, S-065, S-068: the cart of lines 804-833 as JSON, stored field by field."""
    with time_machine.travel("2026-11-24T20:48:00Z", tick=False):
        answer = shop.post(CART_ABANDONMENT)
    assert answer.status_code == 202
    body = answer.json()
    found = stored()
    assert body == {
        "status": "accepted",
        "event_id": found.id,
        "message_id": found.message_id,
        "duplicate": False,
        "decision_url": f"http://127.0.0.1:8000/api/v1/events/{found.id}/",
        "live_url": f"http://127.0.0.1:8000/admin/automation/event/{found.id}/change/",
    }
    assert found.name == found.original_name == "cart_abandonment"
    assert found.data == CART_ABANDONMENT["event_data"]
    assert found.data["total_value"] == 124.98
    assert found.session_id == "session_xyz789"
    assert found.source == "website"
    assert found.context == {
        "device": {"type": "desktop", "os": "Windows", "browser": "Chrome"},
        "page": {"url": "https://example.com/checkout"},
        "metadata": {"page_url": "https://example.com/checkout"},
    }
    assert found.occurred_at == datetime(2026, 11, 24, 20, 47, tzinfo=UTC)
    assert found.client_ts == "2026-11-24T20:47:00Z"
    assert (found.is_late, found.is_import, found.is_skewed) == (False, False, False)
    identity = Identity.objects.get()
    assert (identity.kind, identity.value, identity.profile_id) == (
        "customer",
        "customer_12345",
        found.profile_id,
    )


def test_the_queue_row_is_there_when_the_answer_is(shop: Shop) -> None:
    """R-001, S-109: event and queue row are stored together before 202."""
    event_id = shop.post(event()).json()["event_id"]
    assert QueuedEvent.objects.get().event_id == event_id == stored().id


@pytest.mark.parametrize("path", ["/api/v1/events", "/api/v1/events/"])
def test_the_address_works_with_and_without_slash(shop: Shop, path: str) -> None:
    assert shop.post(event(), path).status_code == 202


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("Order Completed", "order_completed"),
        ("orderCompleted", "order_completed"),
        ("order-completed!", "order_completed"),
        ("HTTPRequest", "http_request"),
        ("ORDER", "order"),
        ("Bestellung ändern", "bestellung_ändern"),
        ("  $pageview ", "pageview"),
        ("a" * 100, "a" * 100),
    ],
)
def test_names_become_snake_case_and_the_original_is_kept(shop: Shop, sent: str, name: str) -> None:
    """S-064: one spelling per event."""
    assert shop.post(event(event_type=sent)).status_code == 202
    found = stored()
    assert (found.name, found.original_name) == (name, sent)


@pytest.mark.parametrize(("sent", "kept"), [(42, "42"), ("42", "42"), (-1, "-1"), (10**15, str(10**15))])
def test_a_numeric_customer_id_becomes_text(shop: Shop, sent: Any, kept: str) -> None:
    """S-063: whoever sends numbers and whoever sends text mean the same customer."""
    assert shop.post(event(customer_id=sent)).status_code == 202
    assert Identity.objects.get().value == kept


def test_a_visitor_without_customer_id_has_an_anonymous_profile(shop: Shop) -> None:
    """S-063: anonymous_id alone is enough."""
    assert shop.post({"anonymous_id": "v-1", "event_type": "page_view"}).status_code == 202
    assert Identity.objects.get().kind == "anonymous"


def test_null_fields_count_as_missing(shop: Shop) -> None:
    nothing = dict.fromkeys(
        ("event_data", "timestamp", "session_id", "source", "device_info", "metadata", "message_id")
    )
    assert shop.post(event(**nothing)).status_code == 202
    assert stored().data == {}


def test_of_a_repeated_key_the_last_wins(shop: Shop) -> None:
    """R-005: also inside event_data."""
    raw = b'{"customer_id":"a","event_type":"x","customer_id":"b","event_data":{"n":1,"n":2}}'
    assert shop.post(raw).status_code == 202
    assert Identity.objects.get().value == "b"
    assert stored().data == {"n": 2}


# --- Repeats


def test_a_repeat_is_a_duplicate_and_stores_nothing(shop: Shop) -> None:
    """S-108, H-010, R-002: a client's retry is one event, however often."""
    first = shop.post(event(message_id="m-1"))
    repeats = [shop.post(event(message_id="m-1")) for _ in range(3)]
    assert first.json()["duplicate"] is False
    for repeat in repeats:
        assert repeat.status_code == 202
        assert repeat.json()["status"] == "duplicate"
        assert repeat.json()["duplicate"] is True
        assert repeat.json()["event_id"] == first.json()["event_id"]
    assert Event.objects.count() == QueuedEvent.objects.count() == 1


def test_without_an_id_the_server_makes_a_sortable_one(shop: Shop) -> None:
    """R-002: a UUIDv7, returned; two such events are two."""
    ids = [shop.post(event()).json()["message_id"] for _ in range(2)]
    assert ids[0] < ids[1]
    assert all(len(text) == 36 and text[14] == "7" for text in ids)


def test_the_same_id_with_another_body_is_a_conflict(shop: Shop) -> None:
    """R-003: 409, and nothing is stored."""
    first = shop.post(event(message_id="m-1")).json()
    answer = shop.post(event(message_id="m-1", event_data={"other": True}))
    assert answer.status_code == 409
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["type"].endswith("/api/docs/#conflict")
    assert str(first["event_id"]) in answer.json()["detail"]
    assert Event.objects.count() == 1


def test_message_ids_are_separate_between_sources(shop: Shop, new_key: Any) -> None:
    """R-002: UNIQUE(source, message_id)."""
    other = Shop(new_key(source="app")[1], "app", shop.client)
    shop.post(event(message_id="m-1"))
    assert other.post(event(message_id="m-1", event_data={"x": 1})).json()["duplicate"] is False
    assert Event.objects.count() == 2


def test_a_replacement_key_shares_the_ids_of_its_source(shop: Shop, new_key: Any) -> None:
    """R-036: two active keys for rotation."""
    replacement = Shop(new_key(source="shop")[1], "shop", shop.client)
    shop.post(event(message_id="m-1"))
    assert replacement.post(event(message_id="m-1")).json()["duplicate"] is True


# --- Batches


def test_a_batch_answers_for_each_event_in_order(shop: Shop) -> None:
    """R-004: accepted, duplicate, conflict and rejected side by side; the bad ones stop nobody."""
    shop.post(event(message_id="old"))
    batch = [
        event(message_id="new"),
        event(message_id="old"),
        {"event_type": "x"},
        event(message_id="old", event_data={"other": 1}),
        17,
        event(message_id="new"),
        event(message_id="bad", event_data={"deep": {"n": 10**16}}),
    ]
    answer = shop.post({"events": batch})
    assert answer.status_code == 200
    body = answer.json()
    assert [result["status"] for result in body["results"]] == [
        "accepted",
        "duplicate",
        "rejected",
        "conflict",
        "rejected",
        "duplicate",
        "rejected",
    ]
    totals = {key: body[key] for key in ("accepted", "duplicates", "conflicts", "rejected")}
    assert totals == {"accepted": 1, "duplicates": 2, "conflicts": 1, "rejected": 3}
    assert body["results"][0]["event_id"] == body["results"][5]["event_id"]
    assert body["results"][2]["errors"] == [
        {
            "pointer": "/events/2/customer_id",
            "message": "It is not said whose event this is.",
            "hint": "Send customer_id, or anonymous_id for a visitor you do not know yet.",
        }
    ]
    assert body["results"][4]["errors"][0]["pointer"] == "/events/4"
    assert body["results"][6]["errors"][0]["pointer"] == "/events/6/event_data/deep/n"
    assert sorted(Event.objects.values_list("message_id", flat=True)) == ["new", "old"]


@pytest.mark.parametrize(
    ("bad", "pointer"),
    [
        (b'{"customer_id":"a","event_type":"x","event_data":{"n":NaN}}', "/events/1/event_data/n"),
        (b'{"customer_id":"a","event_type":"x","event_data":{"n":-Infinity}}', "/events/1/event_data/n"),
        (b'{"customer_id":"a","event_type":"x","event_data":{"t":"\\ud800"}}', "/events/1/event_data/t"),
        (b'{"customer_id":"a","event_type":"x","event_data":{"t":"a\\u0000b"}}', "/events/1/event_data/t"),
        (b'{"customer_id":"a","event_type":"x","event_data":{"t":"\xff"}}', "/events/1"),
        (
            b'{"customer_id":"a","event_type":"x","event_data":' + b"[" * 99 + b"]" * 99 + b"}",
            "/events/1/event_data" + "/0" * 19,
        ),
    ],
)
def test_one_poisonous_event_does_not_spoil_its_batch(shop: Shop, bad: bytes, pointer: str) -> None:
    """R-004, R-005: what is not JSON by the letter is refused by itself, at its place."""
    good = b'{"customer_id":"\xc3\xa4 NaN \\ud83d\\ude00","event_type":"x"}'
    answer = shop.post(b'{"events": [' + good + b", " + bad + b" ," + good + b"]}")
    results = answer.json()["results"]
    assert [result["status"] for result in results] == ["accepted", "rejected", "accepted"]
    assert results[1]["errors"][0]["pointer"] == pointer
    assert {identity.value for identity in Identity.objects.all()} == {"ä NaN 😀"}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"events": []}, "/events"),
        ({"events": [event()] * 501}, "/events"),
        ({"events": {}}, "/events"),
        ({"events": None}, "/events"),
        ({"events": [event()], "evnets": 1}, "/evnets"),
        ([event()], ""),
        ("text", ""),
        (None, ""),
        (7, ""),
    ],
)
def test_an_unusable_batch_is_refused_as_a_whole(shop: Shop, body: Any, pointer: str) -> None:
    """R-004: 1 to 500 events in `events`, and nothing unknown beside them."""
    answer = shop.post(body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert Event.objects.count() == 0


def test_five_hundred_events_are_one_batch(shop: Shop) -> None:
    """R-004: the limit itself is allowed; event ids follow the sender's order."""
    answer = shop.post({"events": [event(message_id=f"m-{n}") for n in range(500)]})
    assert answer.json()["accepted"] == 500
    ids = [result["event_id"] for result in answer.json()["results"]]
    assert ids == sorted(ids)
    assert [r["message_id"] for r in answer.json()["results"]] == [f"m-{n}" for n in range(500)]


# --- Time


@pytest.mark.parametrize(
    ("timestamp", "occurred", "late", "skewed"),
    [
        (None, NOW, False, False),
        ("2026-11-24T11:00:00Z", NOW - timedelta(hours=1), False, False),
        ("2026-11-24t12:00:00.5+01:00", NOW - timedelta(hours=1) + timedelta(seconds=0.5), False, False),
        ("2026-11-24T12:04:00Z", NOW, False, False),
        ("2026-11-24T12:05:00Z", NOW, False, False),
        ("2026-11-24T12:05:01Z", NOW, False, True),
        ("9999-12-31T23:59:59Z", NOW, False, True),
        ("2026-11-17T12:00:00Z", NOW - timedelta(days=7), False, False),
        ("2026-11-17T11:59:59Z", NOW - timedelta(days=7, seconds=1), True, False),
        ("2016-12-31T23:59:60Z", datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC), True, False),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC), True, False),
    ],
)
def test_when_an_event_happened(
    shop: Shop, timestamp: str | None, occurred: datetime, late: bool, skewed: bool
) -> None:
    """S-066, R-007, H-058: the future is clamped, more than 5 minutes flagged; older than 7 days is late."""
    with time_machine.travel(NOW, tick=False):
        answer = shop.post(event(timestamp=timestamp))
    found = stored()
    assert found.occurred_at == occurred
    assert (found.is_late, found.is_skewed) == (late, skewed)
    assert found.client_ts == (timestamp or "")
    assert found.received_at == NOW
    assert answer.json().get("warnings", []) == ["late_event"] * late + ["clock_skew"] * skewed


def test_with_sent_at_the_error_of_the_clients_clock_cancels_out(shop: Shop) -> None:
    """S-066: occurred = received - (sent - timestamp), here with a clock two hours ahead."""
    with time_machine.travel(NOW, tick=False):
        shop.post(event(timestamp="2026-11-24T13:50:00Z", sent_at="2026-11-24T14:00:00Z"))
    found = stored()
    assert found.occurred_at == NOW - timedelta(minutes=10)
    assert found.sent_at == NOW + timedelta(hours=2)
    assert found.is_skewed is False


@pytest.mark.parametrize(
    "timestamp",
    [
        1764000000,
        1764000000.5,
        "2026-11-24T12:00:00",
        "2026-11-24",
        "24.11.2026 12:00",
        "2026-13-01T00:00:00Z",
        "2026-11-24T12:00:00+24:00",
        "0001-01-01T00:00:00+02:00",
        "",
        "x" * 65,
        {},
        True,
    ],
)
def test_a_time_that_is_not_rfc_3339_is_refused_with_a_hint(shop: Shop, timestamp: Any) -> None:
    """R-007: a number or a time without zone could mean anything."""
    answer = shop.post(event(timestamp=timestamp))
    assert answer.status_code == 400
    fault = answer.json()["errors"][0]
    assert fault["pointer"] == "/timestamp"
    assert "RFC 3339" in fault["hint"]
    assert Event.objects.count() == 0


# --- What is refused


@pytest.mark.parametrize(
    ("fields", "pointer", "hint"),
    [
        ({"customer_id": None}, "/customer_id", "anonymous_id"),
        ({"customer_id": ""}, "/customer_id", "anonymous_id"),
        ({"customer_id": 1.5}, "/customer_id", "whole number"),
        ({"customer_id": True}, "/customer_id", "whole number"),
        ({"customer_id": "x" * 201}, "/customer_id", ""),
        ({"customer_id": 10**16}, "/customer_id", "as text"),
        ({"event_type": None}, "/event_type", "cart_abandonment"),
        ({"event_type": "!?"}, "/event_type", "page_view"),
        ({"event_type": "x" * 101}, "/event_type", ""),
        ({"event_type": 7}, "/event_type", "cart_abandonment"),
        ({"event_data": []}, "/event_data", "object"),
        ({"event_data": "{}"}, "/event_data", "object"),
        ({"metadata": 1}, "/metadata", "object"),
        ({"source": "x" * 51}, "/source", ""),
        ({"session_id": "x" * 101}, "/session_id", ""),
        ({"message_id": "x" * 129}, "/message_id", ""),
        ({"event_id": "m-1"}, "/event_id", "message_id"),
        ({"properties": {}}, "/properties", "event_data"),
        ({"custmer_id": "x"}, "/custmer_id", "customer_id"),
        ({"colour~/": 1}, "/colour~0~1", "event_data or metadata"),
    ],
)
def test_a_field_that_is_wrong_is_named_with_a_hint(
    shop: Shop, fields: dict[str, Any], pointer: str, hint: str
) -> None:
    """S-007: every refusal says where and what to do; unknown fields are refused, not lost."""
    answer = shop.post(event(**fields))
    assert answer.status_code == 400
    fault = answer.json()["errors"][0]
    assert fault["pointer"] == pointer
    assert hint in fault.get("hint", "")
    assert Event.objects.count() == 0


def test_everything_wrong_is_said_at_once(shop: Shop) -> None:
    answer = shop.post({"customer_id": 1.5, "event_type": 3, "event_data": {"a": "x\0"}, "colour": 1})
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [
        "/event_data/a",
        "/customer_id",
        "/event_type",
        "/colour",
    ]
    assert answer.json()["detail"] == "4 places need attention."


@pytest.mark.parametrize(
    ("fields", "context"),
    [
        (
            {"metadata": {"page_url": "https://a.example/?utm_source=x&utm_campaign=y&q=1", "k": 1}},
            {
                "metadata": {"page_url": "https://a.example/?utm_source=x&utm_campaign=y&q=1", "k": 1},
                "page": {"url": "https://a.example/?utm_source=x&utm_campaign=y&q=1"},
                "utm": {"source": "x", "campaign": "y"},
            },
        ),
        (
            {"metadata": {"utm_medium": "email", "referrer": "https://b.example/"}},
            {
                "metadata": {"utm_medium": "email", "referrer": "https://b.example/"},
                "page": {"referrer": "https://b.example/"},
                "utm": {"medium": "email"},
            },
        ),
        (
            {"location_data": {"country": "DE", "lat": 52.520008, "lng": 13.404954, "ip": "203.0.113.77"}},
            {"location": {"country": "DE", "latitude": 52.52, "longitude": 13.4, "ip": "203.0.113.0"}},
        ),
        (
            {"location_data": {"ip_address": "2001:db8:1234:5678::9", "latitude": "nowhere"}},
            {"location": {"ip": "2001:db8:1234::"}},
        ),
        (
            {
                "device_info": {
                    "type": "Smartphone",
                    "os": "iPhone OS",
                    "browser": "Mobile Safari",
                    "model": "X",
                }
            },
            {"device": {"type": "mobile", "os": "iOS", "browser": "Safari", "model": "X"}},
        ),
        (
            {
                "device_info": {
                    "user_agent": "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko)"
                    " Chrome/120.0 Safari/537.36 Edg/120.0"
                }
            },
            {
                "device": {
                    "user_agent": "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko)"
                    " Chrome/120.0 Safari/537.36 Edg/120.0",
                    "os": "Windows",
                    "browser": "Edge",
                    "type": "desktop",
                }
            },
        ),
    ],
)
def test_what_surrounds_an_event_has_one_form(
    shop: Shop, fields: dict[str, Any], context: dict[str, Any]
) -> None:
    """S-069, S-070, S-071: device normalised, location coarse, metadata verbatim with utm and page read out."""
    assert shop.post(event(**fields)).status_code == 202
    assert stored().context == context


def test_the_address_is_only_for_posting(shop: Shop) -> None:
    answer = shop.get(EVENTS)
    assert answer.status_code == 405
    assert "POST" in answer["Allow"]
    assert answer["Content-Type"] == "application/problem+json"
