"""Accepting events: one commit, no duplicates, order kept, identities resolved."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from automation.engine.types import Mode, Priority
from automation.models import Event, Execution, MessageKey, QueuedEvent
from profiles.models import Identity, Profile
from tests.factories import decide_all, incoming, make_trigger, outcomes, send

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_event_its_key_and_its_queue_row_are_committed_together() -> None:
    """S-109, R-001."""
    (accepted,) = send(incoming(data={"total_value": 124.98}))
    event = Event.objects.get()
    assert (accepted.event_id, accepted.is_duplicate, accepted.is_conflict) == (event.pk, False, False)
    assert event.data == {"total_value": 124.98}
    assert MessageKey.objects.get().event_id == event.pk
    assert QueuedEvent.objects.get().event_id == event.pk


def test_a_repeated_message_id_is_a_duplicate_and_changes_nothing() -> None:
    """H-010, S-108, R-002: the client's id is the key."""
    make_trigger()
    (first,) = send(incoming(message_id="m1"))
    (again,) = send(incoming(message_id="m1"))
    assert (again.event_id, again.is_duplicate) == (first.event_id, True)
    decide_all()
    send(incoming(message_id="m1"))
    decide_all()
    assert outcomes() == [("pending", "")]
    assert Event.objects.count() == 1


def test_the_same_id_twice_in_one_body() -> None:
    """performance.md §2: must not fail the statement; the first counts."""
    accepted = send(incoming(message_id="m1"), incoming(message_id="m2"), incoming(message_id="m1"))
    assert [item.is_duplicate for item in accepted] == [False, False, True]
    assert Event.objects.count() == 2


def test_the_same_id_with_another_body_is_a_conflict() -> None:
    """R-003."""
    send(incoming(message_id="m1", data={"a": 1}))
    (again,) = send(incoming(message_id="m1", data={"a": 2}))
    assert (again.is_duplicate, again.is_conflict) == (False, True)
    assert Event.objects.get().data == {"a": 1}


def test_message_ids_are_unique_within_a_source_only() -> None:
    send(incoming(message_id="m1"), source="shop")
    (other,) = send(incoming(message_id="m1"), source="app")
    assert not other.is_duplicate


def test_without_an_id_the_server_makes_a_uuid7() -> None:
    (accepted,) = send(incoming())
    assert accepted.message_id[14] == "7"
    assert Event.objects.get().message_id == accepted.message_id


def test_event_ids_keep_the_senders_order_whatever_the_message_ids() -> None:
    """performance.md §2: an order by message id changed which events fired under a cooldown."""
    names = [f"e{n}" for n in range(50)]
    ids = [f"{(n * 37) % 50:03}" for n in range(50)]
    send(*(incoming(name, message_id=mid) for name, mid in zip(names, ids, strict=True)))
    assert list(Event.objects.order_by("id").values_list("name", flat=True)) == names


def test_the_lane_is_the_highest_priority_that_listens() -> None:
    """S-054..S-057: live and shadow triggers count, nobody listening means low."""
    make_trigger(on="alarm", priority=Priority.CRITICAL, mode=Mode.SHADOW)
    make_trigger(on="alarm", priority=Priority.LOW)
    send(incoming("alarm"), incoming("nothing"))
    lanes = dict(QueuedEvent.objects.values_list("event_id", "lane"))
    names = dict(Event.objects.values_list("id", "name"))
    assert {names[i]: lane for i, lane in lanes.items()} == {"alarm": 1, "nothing": 4}


def test_two_requests_with_the_same_ids_in_different_order_do_not_deadlock() -> None:
    """R-002: keys are inserted in sorted order."""
    ids = [f"m{n:03}" for n in range(200)]
    send(*(incoming(customer_id=f"c{n}") for n in range(4)))
    problems: list[BaseException] = []
    duplicates: list[int] = []

    def one(order: list[str]) -> None:
        try:
            found = send(*(incoming(customer_id=f"c{n % 4}", message_id=m) for n, m in enumerate(order)))
            duplicates.append(sum(item.is_duplicate for item in found))
        except BaseException as error:  # noqa: BLE001 - reported by the assertion below
            problems.append(error)
        finally:
            connection.close()

    for _ in range(3):
        MessageKey.objects.all().delete()
        duplicates.clear()
        threads = [threading.Thread(target=one, args=(order,)) for order in (ids, ids[::-1])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        assert sum(duplicates) == 200


def test_many_first_events_of_one_customer_make_one_profile() -> None:
    threads = [
        threading.Thread(target=lambda: (send(incoming(customer_id="new")), connection.close()))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Profile.objects.filter(customer_id="new").count() == 1
    assert Event.objects.count() == 8


def test_an_anonymous_visitor_becomes_the_customer_with_all_history() -> None:
    """S-063: the first event with both ids claims the anonymous profile."""
    send(incoming("page_view", None, anonymous_id="anon"))
    decide_all()
    send(incoming("identify", "alice", anonymous_id="anon", data={"traits": {"email": "a@example.com"}}))
    decide_all()
    profile = Profile.objects.get()
    assert profile.customer_id == "alice"
    assert profile.events.count() == 2
    assert Identity.objects.filter(profile=profile).count() == 2


def test_an_anonymous_profile_joins_a_known_one_even_with_events_still_queued() -> None:
    """engine.md §1: history and queued work follow; doing it twice changes nothing."""
    make_trigger(on="page_view", max_per_customer=5)
    send(incoming("page_view", "alice"))
    send(incoming("page_view", None, anonymous_id="anon"))
    for _ in range(2):
        send(incoming("page_view", "alice", anonymous_id="anon"))
    decide_all()
    alice = Profile.objects.get(customer_id="alice")
    assert alice.events.count() == 4
    assert Execution.objects.filter(profile=alice).count() == 4
    assert alice.behavioral_patterns["events"]["page_view"][0] == 4


def test_a_known_customer_never_joins_another_without_an_alias() -> None:
    send(incoming("page_view", "alice", anonymous_id="shared"))
    send(incoming("page_view", "bob", anonymous_id="shared"))
    assert Profile.objects.filter(merged_into=None).count() == 2


@pytest.mark.parametrize("is_known", [True, False])
def test_an_alias_joins_the_former_id_even_a_known_customers(is_known: bool) -> None:
    """engine.md §1: known customers are joined only by an explicit alias; twice is once."""
    former = ("old", None) if is_known else (None, "old")
    send(incoming("page_view", former[0], anonymous_id=former[1]))
    for _ in range(2):
        send(incoming("alias", "alice", context={"previous_id": "old"}))
    send(incoming("page_view", former[0], anonymous_id=former[1]))
    decide_all()
    alice = Profile.objects.get(customer_id="alice")
    assert Profile.objects.filter(merged_into=None).get() == alice
    assert alice.events.count() == 4
    assert alice.behavioral_patterns["events"]["page_view"][0] == 2


def test_events_of_any_month_find_a_partition() -> None:
    """S-101: monthly partitions, and a default for what is older or newer than all of them."""
    now = datetime.now(UTC)
    for days in (0, 40, 4000):
        send(incoming(at=now - timedelta(days=days), is_late=days > 7))
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM automation_event ORDER BY occurred_at")
        tables = [row[0] for row in cursor.fetchall()]
    assert tables[0] == "automation_event_rest"
    assert tables[2] == f"automation_event_{now:%Y_%m}"
    assert decide_all() == 3


def test_two_requests_that_meet_the_same_new_people_do_not_deadlock() -> None:
    people = [f"p{n:03}" for n in range(100)]
    problems: list[Any] = []

    def one(order: list[str]) -> None:
        try:
            send(*(incoming(customer_id=c) for c in order))
        except BaseException as error:  # noqa: BLE001 - reported below
            problems.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=one, args=(order,)) for order in (people, people[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert Profile.objects.count() == 100
