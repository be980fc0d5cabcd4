"""Uncertain deliveries are settled by evidence: their receiver's word, or the use of their unsubscribe link."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from automation.ids import uuid7
from automation.models import Delivery, SendReservation
from automation.models.audit import AuditEntry
from automation.rendering import unsubscribe
from automation.rendering.unsubscribe import Subscription
from tests.integration.api.shops import Shop
from tests.integration.deliver.factory import EMAIL, deliveries, make_execution, make_template, make_trigger

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def adapter(new_key: Callable[..., Any], client: Client) -> Shop:
    """A program whose key may settle deliveries, and nothing else."""
    return Shop(new_key(source="provider", scopes=("profiles:write",))[1], "provider", client)


def uncertain() -> Delivery:
    make_template()
    (row,) = deliveries(make_execution(make_trigger([EMAIL])))
    Delivery.objects.filter(pk=row.pk).update(status="uncertain", error_class="interrupted")
    return row


def path_of(row_id: Any) -> str:
    return reverse("delivery-feedback", args=[row_id])


@pytest.mark.parametrize(
    ("outcome", "status", "places"), [("arrived", "delivered", 1), ("not_arrived", "failed", 0)]
)
def test_the_receivers_word_settles_it_once(adapter: Shop, outcome: str, status: str, places: int) -> None:
    """R-026: repeating it changes nothing; what did not arrive frees its place under the caps."""
    row = uncertain()
    answers = [
        adapter.post({"outcome": outcome, "detail": "bob@example.com is gone"}, path_of(row.pk))
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert [answer.json() for answer in answers] == [
        {"id": str(row.pk), "status": status, "changed": True},
        {"id": str(row.pk), "status": status, "changed": False},
    ]
    row.refresh_from_db()
    assert row.result["settled_by"] == "feedback"
    assert row.error == ("[address] is gone" if status == "failed" else "")
    assert SendReservation.objects.count() == places
    assert AuditEntry.objects.filter(action="delivery.feedback").count() == 1


@pytest.mark.parametrize(
    ("status", "outcome", "code"),
    [
        ("sent", "arrived", 200),
        ("sent", "not_arrived", 409),
        ("failed", "arrived", 409),
        ("failed", "not_arrived", 200),
        ("pending", "arrived", 409),
        ("sending", "not_arrived", 409),
        ("cancelled", "arrived", 409),
    ],
)
def test_what_is_known_otherwise_is_a_conflict_and_stays(
    adapter: Shop, status: str, outcome: str, code: int
) -> None:
    """R-026: feedback never changes what is certain."""
    row = uncertain()
    Delivery.objects.update(status=status)
    assert adapter.post({"outcome": outcome}, path_of(row.pk)).status_code == code
    row.refresh_from_db()
    assert row.status == status
    assert not AuditEntry.objects.filter(action="delivery.feedback").exists()


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/outcome"),
        ({"outcome": "maybe"}, "/outcome"),
        ({"outcome": ["arrived"]}, "/outcome"),
        ({"outcome": "arrived", "detail": "x" * 301}, "/detail"),
        ({"outcome": "arrived", "detail": 5}, "/detail"),
        ({"outcome": "arrived", "extra": 1}, "/extra"),
        ([], ""),
        (b"{", ""),
        (b'{"outcome": "arrived", "a\\ud800": 1}', "/a\ufffd"),
    ],
)
def test_a_body_that_says_something_else_is_refused(adapter: Shop, body: Any, pointer: str) -> None:
    answer = adapter.post(body, path_of(uncertain().pk))
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_an_unknown_delivery_is_not_found_and_events_keys_may_not_ask(adapter: Shop, shop: Shop) -> None:
    """R-036, R-037: a key that stands in a shop's pages settles nothing."""
    assert adapter.post({"outcome": "arrived"}, path_of(uuid7())).status_code == 404
    assert adapter.post({"outcome": "arrived"}, "/api/v1/deliveries/7/feedback/").status_code == 404
    assert adapter.post({"outcome": "arrived"}, path_of("-" * 36)).status_code == 404
    row = uncertain()
    assert shop.post({"outcome": "arrived"}, path_of(row.pk)).status_code == 403
    assert shop.post({"outcome": "arrived"}, path_of(row.pk), HTTP_AUTHORIZATION="").status_code == 401
    row.refresh_from_db()
    assert row.status == "uncertain"


@pytest.mark.parametrize(
    ("names_it", "method", "status"),
    [(True, "post", "delivered"), (True, "get", "uncertain"), (False, "post", "uncertain")],
)
def test_the_use_of_the_unsubscribe_link_proves_arrival(
    client: Client, names_it: bool, method: str, status: str
) -> None:
    """R-026, R-047: looking proves nothing, scanners do that; links of before name no message and still work."""
    row = uncertain()
    about = Subscription(row.profile_id, "marketing", "email", str(row.pk) if names_it else "")
    answer = getattr(client, method)(reverse("unsubscribe", args=[unsubscribe.token(about)]))
    assert answer.status_code == 200
    row.refresh_from_db()
    assert row.status == status
    assert row.result.get("settled_by") == ("one_click" if status == "delivered" else None)
