"""Events that come after the erasure, by every way in, bring nobody back; and cost others nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from automation.api import keys, pressure
from automation.models import Event, MessageKey, QueuedEvent, Tally, WriteKey
from automation.pipeline import internal, merge
from automation.privacy import Who, erase
from profiles.models import Identity, Profile
from tests.factories import decide_all, incoming, known, send
from tests.integration.privacy.people import ANONYMOUS, CUSTOMER, FORMER, NEEDLES, cart, introduced
from tests.integration.privacy.residue import dump, hits

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
EVENT = {"event_type": "page_view", "event_data": {"a": 1}, "message_id": "late-1"}


@pytest.fixture
def grace() -> int:
    """A person with three names who was erased; the number of the empty profile."""
    past = datetime.now(UTC)
    send(incoming("page_view", FORMER), *introduced())
    send(incoming("alias", CUSTOMER, context={"previous_id": FORMER}, at=past), cart())
    decide_all()
    profile_id = Profile.objects.get(customer_id=CUSTOMER).pk
    erase(Who(customer_id=CUSTOMER), by="test", now=NOW)
    assert not Identity.objects.exists()
    return profile_id


@pytest.fixture
def post(settings: Any, tmp_path: Any) -> Callable[[str, Any], Any]:
    """Post JSON with a key."""
    settings.STATIC_ROOT = tmp_path
    for module in (keys, pressure):
        module.forget()
    key = WriteKey(name="shop", scopes=["events:write"])
    token = key.issue()
    key.save()

    def send_it(path: str, body: Any) -> Any:
        return Client().post(
            path,
            json.dumps(body),
            content_type="application/json",
            headers={"Authorization": f"Bearer {token}"},
        )

    return send_it


WAYS = [
    ("/api/v1/events/", {**EVENT, "customer_id": CUSTOMER}),
    ("/api/v1/events/", {**EVENT, "anonymous_id": ANONYMOUS}),
    ("/api/v1/events/", {**EVENT, "customer_id": FORMER}),
    ("/api/v1/events/", {**EVENT, "customer_id": CUSTOMER, "anonymous_id": "a-new-device"}),
    ("/api/v1/events/", {**EVENT, "customer_id": CUSTOMER, "anonymous_id": ANONYMOUS}),
    ("/api/v1/events/", {"events": [{**EVENT, "customer_id": CUSTOMER}, {**EVENT, "customer_id": CUSTOMER}]}),
    ("/v1/track", {"userId": CUSTOMER, "event": "Order Completed", "messageId": "late-2"}),
    ("/v1/identify", {"userId": CUSTOMER, "traits": {"email": "grace.hopper@navy-example.org"}}),
    ("/v1/alias", {"userId": CUSTOMER, "previousId": "somebody-new"}),
    ("/v1/alias", {"userId": "somebody-new", "previousId": CUSTOMER}),
    ("/v1/alias", {"userId": "somebody-new", "previousId": ANONYMOUS}),
    (
        "/v1/batch",
        {"batch": [{"type": "identify", "userId": CUSTOMER, "traits": {"first_name": "Gracelina"}}]},
    ),
    ("/v1/import", {"batch": [{"type": "track", "userId": CUSTOMER, "event": "Order Completed"}]}),
]


@pytest.mark.parametrize(("path", "body"), WAYS, ids=lambda value: str(value)[:60])
def test_a_late_event_is_accepted_and_stored_nowhere(
    grace: int, post: Callable[[str, Any], Any], path: str, body: Any
) -> None:
    """R-052: the answer looks like any other, nothing of it is in a dump, and it is counted."""
    answer = post(path, body)
    assert answer.status_code in (200, 202)
    assert not Identity.objects.filter(value__in=NEEDLES).exists()
    assert (Event.objects.count(), QueuedEvent.objects.count(), MessageKey.objects.count()) == (0, 0, 0)
    assert Tally.objects.filter(kind="events_of_erased").exists()
    assert hits(dump(), NEEDLES) == {}


def test_the_answer_does_not_reveal_the_erasure(grace: int, post: Callable[[str, Any], Any]) -> None:
    """R-052: the same fields with the same kinds of values as for somebody else."""
    late = post("/api/v1/events/", {**EVENT, "customer_id": CUSTOMER}).json()
    other = post("/api/v1/events/", {**EVENT, "customer_id": "alan"}).json()
    assert {**late, "event_id": 0, "decision_url": "", "live_url": ""} == {
        **other,
        "event_id": 0,
        "decision_url": "",
        "live_url": "",
    }
    assert other["event_id"] > late["event_id"] > 0


def test_the_others_of_a_batch_are_stored(grace: int) -> None:
    """R-052, R-004: also one that shares its message id with a dropped one."""
    answers = send(
        cart(message_id="same"), incoming(customer_id="alan", message_id="same"), cart(message_id="x")
    )
    assert [(a.message_id, a.is_duplicate, a.is_conflict) for a in answers] == [
        ("same", False, False),
        ("same", False, False),
        ("x", False, False),
    ]
    assert Event.objects.get().pk == answers[1].event_id
    assert len({answer.event_id for answer in answers}) == 3


def test_somebody_else_on_the_same_device_is_served_without_its_id(grace: int) -> None:
    """R-052: the customer id decides who it is; the erased person's visitor id is tied to nobody."""
    send(
        incoming(customer_id="alan", anonymous_id=ANONYMOUS),
        incoming(customer_id="alan", anonymous_id=ANONYMOUS),
    )
    assert set(Identity.objects.values_list("kind", "value")) == {("customer", "alan")}
    assert Event.objects.count() == 2


def test_our_own_events_about_them_find_no_name(grace: int) -> None:
    """R-052: a link in an old mail."""
    assert internal.tell(grace, "email_clicked", {}, at=NOW) is False
    assert not Event.objects.exists()


def test_a_profile_is_not_joined_to_an_erased_one(grace: int) -> None:
    """R-052: in neither direction, so that no name leads there again."""
    send(*known("alan"))
    decide_all()
    alan = Profile.objects.get(customer_id="alan").pk
    assert merge._join(alan, grace, even_known=True) == alan
    assert merge._join(grace, alan, even_known=True) == grace
    assert Profile.objects.get(pk=alan).merged_into_id is None
    assert Profile.objects.get(pk=grace).merged_into_id is None


def test_a_known_customer_costs_no_query_more_and_an_unknown_one_none_either() -> None:
    """R-052: the tombstones are looked at inside the statement that makes a profile."""
    send(incoming(customer_id="alan"))  # Its statements are prepared from here on.
    asked = {}
    for customer_id in ("alan", "a-new-one"):
        with CaptureQueriesContext(connection) as queries:
            send(incoming(customer_id=customer_id))
        asked[customer_id] = [query["sql"].split("(")[0] for query in queries if "identit" in query["sql"]]
        asked[customer_id] += [
            query["sql"].split("(")[0] for query in queries if "create_pro" in query["sql"]
        ]
        assert not any("profiles_tombstone" in query["sql"] for query in queries)
    assert asked == {
        "alan": ["EXECUTE look_up_identities "],
        "a-new-one": ["EXECUTE look_up_identities "] * 2 + ["EXECUTE create_profiles "],
    }
