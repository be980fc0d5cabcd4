"""Who is who: names that are tied, profiles that are joined, and what must not be joined."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from psycopg2.errors import DeadlockDetected, LockNotAvailable

from automation.api import pressure
from automation.engine.types import Priority
from automation.models import Event, QueuedEvent, TriggerState
from automation.pipeline import ingest, merge, process
from profiles import services
from profiles.models import Identity, Profile
from tests.factories import decide_all, incoming, make_trigger, outcomes, send

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime.now(UTC)


@contextmanager
def elsewhere(statement: str) -> Iterator[None]:
    """Another connection executes `statement` and keeps its transaction open."""
    ready, done = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(statement)
                ready.set()
                done.wait(30)
        finally:
            connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert ready.wait(10)
    try:
        yield
    finally:
        done.set()
        thread.join()


def at_once(*steps: Callable[[], Any]) -> list[BaseException]:
    """Run the steps at the same moment, each on its own connection; returns what went wrong."""
    barrier, problems = threading.Barrier(len(steps)), []

    def one(step: Callable[[], Any]) -> None:
        try:
            barrier.wait(10)
            step()
        except BaseException as error:  # noqa: BLE001 - reported by the caller's assertion
            problems.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=one, args=(step,)) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return problems


# --- Imports and the queue


@pytest.mark.parametrize(("is_import", "is_state"), [(False, True), (True, False)])
def test_imported_history_never_holds_what_happens_now(is_import: bool, is_state: bool) -> None:
    """An import rides the low lane; an identify of today goes first, one of the import does not."""
    make_trigger(on="alarm", priority=Priority.CRITICAL)
    send(incoming("identify", at=NOW - timedelta(hours=1), is_import=is_import))
    assert QueuedEvent.objects.get().is_state is is_state
    send(incoming("alarm"))
    decided = process.decide_next(Priority.CRITICAL, limit=10, worker="test")
    assert decided == (0 if is_state else 1)


@pytest.mark.parametrize(
    ("held_by", "is_refused"),
    [
        ("nothing", True),
        ("an older state event of the same customer", False),
        ("a newer state event of the same customer", True),
        ("an older state event of another customer", True),
    ],
)
def test_one_customers_stuck_event_does_not_refuse_everybody(held_by: str, is_refused: bool) -> None:
    """R-009: only urgent events that a worker could take say that the workers are behind."""
    make_trigger(on="alarm", priority=Priority.CRITICAL)
    send(incoming("alarm", at=NOW))
    if held_by != "nothing":
        at = NOW + timedelta(seconds=-1 if "older" in held_by else 1)
        send(incoming("identify", "alice" if "same" in held_by else "bob", at=at))
    QueuedEvent.objects.update(accepted_at=NOW - timedelta(minutes=1), due_at=NOW - timedelta(minutes=1))
    assert (pressure._look()[0] < Priority.LOW) is is_refused


def test_a_state_event_in_the_urgent_lane_that_waits_too_long_refuses() -> None:
    make_trigger(on="identify", priority=Priority.CRITICAL)
    send(incoming("identify"))
    QueuedEvent.objects.update(accepted_at=NOW - timedelta(minutes=1), due_at=NOW - timedelta(minutes=1))
    assert pressure._look()[1] == "Urgent events wait too long."


# --- What a join carries over


def profile_of(customer_id: str | None, anonymous_id: str = "anon") -> int:
    """The profile of a first event."""
    send(incoming("page_view", customer_id, anonymous_id=None if customer_id else anonymous_id))
    kind, value = ("customer", customer_id) if customer_id else ("anonymous", anonymous_id)
    return Identity.objects.get(kind=kind, value=value).profile_id


def test_no_wish_to_hear_less_is_lost_by_a_join() -> None:
    """S-063: what the visitor asked for in the preference centre holds for the customer."""
    alice, anon = profile_of("alice"), profile_of(None)
    Profile.objects.filter(pk=alice).update(preferences={"channels_off": ["sms"], "language": "de"})
    wishes = {"channels_off": ["email"], "at_most_weekly": True, "language": "fr"}
    Profile.objects.filter(pk=anon).update(preferences=wishes)
    assert merge.join(anon, alice) == alice
    assert Profile.objects.get(pk=alice).preferences == {
        "channels_off": ["email", "sms"],
        "at_most_weekly": True,
        "language": "de",
    }
    assert Profile.objects.get(pk=anon).preferences == {}


@pytest.mark.parametrize("is_newer", [True, False])
def test_of_two_cooldowns_of_one_key_the_later_one_runs_on(is_newer: bool) -> None:
    """With whole and broken seconds, whose texts do not sort like the moments."""
    trigger = make_trigger()
    alice, anon = profile_of("alice"), profile_of(None)
    earlier, later = "2026-01-01T10:00:00Z", "2026-01-01T10:00:00.500000Z"
    theirs, ours = (later, earlier) if is_newer else (earlier, later)
    for profile_id, at, own in ((alice, ours, "a"), (anon, theirs, "b")):
        TriggerState.objects.create(
            profile_id=profile_id,
            trigger_id=trigger.pk,
            last_at=at,
            count=1,
            recent=[at, "2026-01-01T09:00:00Z" if own == "a" else "2026-01-01T09:30:00Z"],
            by_key={"cart": at, own: "2026-01-01T08:00:00Z"},
        )
    merge.join(anon, alice)
    state = TriggerState.objects.get()
    assert (state.profile_id, state.count) == (alice, 2)
    assert state.by_key == {"cart": later, "a": "2026-01-01T08:00:00Z", "b": "2026-01-01T08:00:00Z"}
    assert state.recent == [later, earlier, "2026-01-01T09:30:00Z", "2026-01-01T09:00:00Z"]


def test_a_state_without_keys_and_times_is_joined_too() -> None:
    trigger = make_trigger()
    alice, anon = profile_of("alice"), profile_of(None)
    for profile_id in (alice, anon):
        TriggerState.objects.create(profile_id=profile_id, trigger_id=trigger.pk)
    merge.join(anon, alice)
    state = TriggerState.objects.get()
    assert (state.by_key, state.recent, state.last_at) == ({}, [], None)


def test_after_a_join_nothing_overtakes_the_visitors_waiting_state_event() -> None:
    """R-015: the visitor's identify is in the slower lane, the customer's alarm in the faster one."""
    make_trigger(
        on="alarm",
        priority=Priority.CRITICAL,
        conditions=[
            {"type": "event_match", "event_type": "alarm"},
            {"type": "customer_attribute", "attribute": "first_name", "operator": "equals", "value": "Ada"},
        ],
    )
    alice = profile_of("alice")
    decide_all()
    traits = {"traits": {"first_name": "Ada"}}
    send(incoming("identify", None, anonymous_id="anon", data=traits, at=NOW - timedelta(minutes=1)))
    send(incoming("alarm", "alice", anonymous_id="anon"))
    waiting = QueuedEvent.objects.get(is_state=True)
    assert (waiting.profile_id, waiting.shard) == (alice, alice % 64)
    assert process.decide_next(Priority.CRITICAL, limit=10, worker="test") == 0
    decide_all()
    assert outcomes() == [("pending", "")]


def test_a_join_does_not_wait_for_a_queue_row_in_a_workers_hands() -> None:
    """The worker that holds it waits for the profile; it follows `merged_into` afterwards."""
    alice = profile_of("alice")
    decide_all()
    send(incoming("identify", None, anonymous_id="anon"))
    anon = Identity.objects.get(value="anon").profile_id
    with elsewhere("SELECT event_id FROM automation_queuedevent WHERE is_state FOR UPDATE"):
        assert merge.join(anon, alice) == alice
        assert QueuedEvent.objects.get().profile_id == anon
    decide_all()
    assert Event.objects.filter(profile_id=alice).count() == 2


# --- Ties


def resolve(*subjects: tuple[str | None, str | None]) -> list[int]:
    return services.resolve([services.Subject(*subject) for subject in subjects], join=merge.join)


def leads_to(value: str) -> int:
    """The profile that a name leads to, as a customer's if it is one, followed through joins."""
    profile = Identity.objects.filter(value=value).order_by("-kind")[0].profile
    return profile.merged_into_id or profile.pk


def test_first_contacts_of_one_customer_never_fail_each_other() -> None:
    """S-063, R-015: identify(customer, visitor) and order(customer) at the same moment, many times."""
    rounds = range(60)
    resolve(*((None, f"v{n}") for n in rounds))
    problems = [
        at_once(lambda n=n: resolve((f"c{n}", f"v{n}")), lambda n=n: resolve((f"c{n}", None))) for n in rounds
    ]
    assert [problem for found in problems for problem in found] == []
    for n in rounds:
        assert Profile.objects.filter(customer_id=f"c{n}").count() == 1
        assert leads_to(f"c{n}") == leads_to(f"v{n}")
    assert Profile.objects.filter(merged_into=None).count() == 60


def test_two_customers_who_meet_one_visitor_at_the_same_moment_stay_two() -> None:
    rounds = range(30)
    resolve(*((None, f"v{n}") for n in rounds))
    problems = [
        at_once(lambda n=n: resolve((f"a{n}", f"v{n}")), lambda n=n: resolve((f"b{n}", f"v{n}")))
        for n in rounds
    ]
    assert [problem for found in problems for problem in found] == []
    for n in rounds:
        assert leads_to(f"a{n}") != leads_to(f"b{n}")
        assert leads_to(f"v{n}") in {leads_to(f"a{n}"), leads_to(f"b{n}")}
        assert Profile.objects.get(customer_id=f"a{n}").pk == leads_to(f"a{n}")


def test_a_profile_that_was_joined_is_not_claimed_again() -> None:
    """The claim read the visitor's profile before the join emptied it; nothing of the claim remains."""
    alice, anon = profile_of("alice"), profile_of(None)
    merge.join(anon, alice)
    assert services._claim(anon, "bob") is False
    assert not Identity.objects.filter(value="bob").exists()
    assert Profile.objects.get(pk=anon).customer_id is None


def test_a_claim_of_a_customer_who_exists_changes_nothing() -> None:
    alice, anon = profile_of("alice"), profile_of(None)
    assert services._claim(anon, "alice") is False
    assert leads_to("alice") == alice
    assert Profile.objects.get(pk=anon).customer_id is None


@pytest.mark.parametrize("is_known", [True, False])
def test_a_shared_device_does_not_make_ingestion_wait_for_decisions(is_known: bool) -> None:
    """R-015: the device is Alice's already, so Bob's event on it locks nobody's profile."""
    send(incoming("page_view", "alice", anonymous_id="device"))
    if is_known:
        send(incoming("page_view", "bob"))
    with elsewhere("SELECT id FROM profiles_profile FOR UPDATE"):
        send(incoming("page_view", "bob", anonymous_id="device"))
    assert Event.objects.filter(profile__customer_id="bob").count() == 1 + is_known
    assert leads_to("device") == leads_to("alice") != leads_to("bob")


def test_a_shared_device_in_one_batch_stays_with_the_first_customer() -> None:
    send(*(incoming("page_view", name, anonymous_id="device") for name in ("alice", "bob")))
    assert leads_to("device") == leads_to("alice") != leads_to("bob")


def test_a_name_given_to_a_profile_while_it_was_joined_follows_it() -> None:
    alice, anon = profile_of("alice"), profile_of(None)
    merge.join(anon, alice)
    Identity.objects.create(kind="anonymous", value="late", profile_id=anon)
    resolve(("alice", "late"))
    assert Identity.objects.get(value="late").profile_id == alice


# --- Aliases


def an_alias(former: str, customer_id: str = "alice", **fields: Any) -> Any:
    return incoming("alias", customer_id, context={"previous_id": former}, **fields)


@pytest.mark.parametrize("former", ["customer", "anonymous"])
@pytest.mark.parametrize("is_one_batch", [True, False])
def test_a_refused_alias_joins_nobody(former: str, is_one_batch: bool) -> None:
    """R-003: the same message id with another body is a conflict, and changes nothing."""
    send(incoming("page_view", "alice"))
    is_customer = former == "customer"
    send(incoming("page_view", "bob" if is_customer else None, anonymous_id=None if is_customer else "bob"))
    first = an_alias("nobody", message_id="m1")
    refused = an_alias("bob", message_id="m1", body_hash=b"another body    ")
    answers = send(first, refused) if is_one_batch else [*send(first), *send(refused)]
    assert [answer.is_conflict for answer in answers] == [False, True]
    assert leads_to("bob") != leads_to("alice") == leads_to("nobody")
    assert not Profile.objects.exclude(merged_into=None).exists()


def test_an_alias_whose_join_was_lost_joins_when_it_is_sent_again(monkeypatch: Any) -> None:
    """R-001, R-002: it was stored, but not answered; the sender repeats it."""
    send(incoming("page_view", "alice"), incoming("page_view", "bob"))
    with monkeypatch.context() as patch:
        patch.setattr(merge, "alias", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            send(an_alias("bob", message_id="m1"))
    assert leads_to("bob") != leads_to("alice")
    (again,) = send(an_alias("bob", message_id="m1"))
    assert again.is_duplicate
    assert leads_to("bob") == leads_to("alice")


def test_an_alias_of_two_unknown_ids_makes_one_customer() -> None:
    send(an_alias("visitor"))
    send(incoming("page_view", None, anonymous_id="visitor"))
    assert Profile.objects.get().customer_id == "alice"
    assert Event.objects.filter(profile__customer_id="alice").count() == 2


def test_an_alias_to_oneself_changes_nothing() -> None:
    """Also where a visitor happens to have the same id: they may be anybody."""
    send(incoming("page_view", "alice"), incoming("page_view", None, anonymous_id="alice"))
    (answer,) = send(an_alias("alice"))
    assert not answer.is_conflict
    assert Profile.objects.filter(merged_into=None).count() == 2
    assert Identity.objects.count() == 2
    assert Event.objects.get(name="alias").profile_id == Identity.objects.get(kind="customer").profile_id


# --- Deadlocks


def failing(step: Callable[..., Any], times: int, cause: type[Exception]) -> Callable[..., Any]:
    """`step`, which fails the first `times` times as Django reports an error of PostgreSQL."""
    left = [times]

    def stand_in(*args: Any, **kwargs: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise OperationalError("stopped by PostgreSQL") from cause()
        return step(*args, **kwargs)

    stand_in.__name__ = "stand_in"
    return stand_in


@pytest.mark.parametrize(
    ("owner", "name"),
    [(services, "resolve"), (ingest, "_insert"), (merge, "alias")],
    ids=lambda x: str(x)[-12:],
)
@pytest.mark.parametrize(
    ("times", "cause", "is_stored"),
    [(1, DeadlockDetected, True), (2, DeadlockDetected, False), (1, LockNotAvailable, False)],
)
def test_a_deadlock_is_tried_once_more(
    monkeypatch: Any, owner: Any, name: str, times: int, cause: type[Exception], is_stored: bool
) -> None:
    send(incoming("page_view", "alice"), incoming("page_view", "bob"))
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, failing(getattr(owner, name), times, cause))
        if is_stored:
            (answer,) = send(an_alias("bob"))
            assert not answer.is_duplicate
        else:
            with pytest.raises(OperationalError):
                send(an_alias("bob"))
    assert (leads_to("bob") == leads_to("alice")) is is_stored


def test_a_deadlock_inside_the_callers_transaction_is_the_callers(monkeypatch: Any) -> None:
    """PostgreSQL has undone the caller's work too; only the caller can do it again."""
    monkeypatch.setattr(services, "resolve", failing(services.resolve, 1, DeadlockDetected))
    with pytest.raises(OperationalError), transaction.atomic():
        send(incoming())
    assert not Event.objects.exists()
