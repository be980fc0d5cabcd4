"""GET /api/v1/events/<id>/: what became of an event, for its own source only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from automation.models import QuarantinedEvent, QueuedEvent, WriteKey
from tests.factories import EMAIL, decide_all, make_trigger
from tests.integration.api.shops import Shop

pytestmark = pytest.mark.django_db(transaction=True)
NewKey = Callable[..., tuple[WriteKey, str]]
EVENT = {"customer_id": "ada", "event_type": "cart_abandonment", "message_id": "m-1"}


def path_of(answer: Any) -> str:
    return str(answer.json()["decision_url"]).removeprefix("http://127.0.0.1:8000")


def test_an_undecided_event_is_received(shop: Shop) -> None:
    path = path_of(shop.post(EVENT))
    answer = shop.get(path)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["state"], body["message_id"], body["name"]) == ("received", "m-1", "cart_abandonment")
    assert body["executions"] == []


@pytest.mark.parametrize(("state", "shown"), [("held", "quarantined"), ("discarded", "processed")])
def test_an_event_that_failed_too_often_is_quarantined(shop: Shop, state: str, shown: str) -> None:
    posted = shop.post(EVENT)
    row = QueuedEvent.objects.get()
    QuarantinedEvent.objects.create(
        event_id=row.event_id,
        profile_id=row.profile_id,
        occurred_at=row.occurred_at,
        lane=row.lane,
        error_class="ValueError",
        traceback="",
        code_version="1",
        state=state,
    )
    row.delete()
    assert shop.get(path_of(posted)).json()["state"] == shown


def test_a_foreign_event_does_not_exist(client: Client, shop: Shop, new_key: NewKey) -> None:
    """R-037: 404 as for none, not 403; admin sees all, a replacement key of the source too."""
    path = path_of(shop.post({**EVENT, "source": "other"}))
    other = Shop(new_key(source="other")[1], "other", client)
    other.post(EVENT)  # The same message id in another source.
    assert shop.get(path).status_code == 200
    assert other.get(path).status_code == 404
    assert other.get(path)["Content-Type"] == "application/problem+json"
    assert Shop(new_key(source="shop")[1], "shop", client).get(path).status_code == 200
    assert Shop(new_key(source="x", scopes=("admin",))[1], "x", client).get(path).status_code == 200
    assert Shop(new_key(scopes=("profiles:read",))[1], "shop", client).get(path).status_code == 403
    assert client.get(path).status_code == 401


@pytest.mark.parametrize(
    "number", ["0", "999999999", "9223372036854775807", "9223372036854775808", "9999999999999999999"]
)
def test_an_unknown_number_is_404(shop: Shop, number: str) -> None:
    assert shop.get(f"/api/v1/events/{number}/").status_code == 404
    assert shop.get(f"/api/v1/events/{number}").status_code == 404


def test_a_decided_event_shows_its_executions_and_actions(shop: Shop) -> None:
    """S-188: from the answer of the first event to trigger, status, reason and actions in one request."""
    make_trigger("adds")
    make_trigger("mails", actions=[EMAIL, {"type": "add_to_segment", "segment": "late"}])
    path = path_of(shop.post(EVENT))
    decide_all()
    body = shop.get(path).json()
    assert body["state"] == "processed"
    assert body["live_url"].endswith(f"/admin/automation/event/{body['event_id']}/change/")
    shown = {row["trigger"]: row for row in body["executions"]}
    assert set(shown) == {"adds", "mails"}
    assert shown["adds"]["status"] == "pending"
    assert shown["adds"]["reason"] == ""
    assert [(action["type"], action["channel"], action["status"]) for action in shown["adds"]["actions"]] == [
        ("add_to_segment", "internal", "pending")
    ]
    assert shown["mails"]["status"] == "suppressed"
    assert shown["mails"]["reason"] in ("no_consent", "missing_address")
    assert shown["mails"]["actions"] == []


def test_a_repeated_hold_is_shown_for_the_newest_event(shop: Shop) -> None:
    """Repeated holds collapse into one row; the last event still finds it."""
    make_trigger("mails", actions=[EMAIL])
    shop.post(EVENT)
    decide_all()
    path = path_of(shop.post({**EVENT, "message_id": "m-2"}))
    decide_all()
    rows = shop.get(path).json()["executions"]
    assert [(row["trigger"], row["status"]) for row in rows] == [("mails", "suppressed")]
