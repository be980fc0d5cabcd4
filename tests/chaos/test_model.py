"""T25: any order of everything that may happen, compared with a model of a hundred lines after every step."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from automation.channels.base import Email, Receipt
from automation.channels.email import EmailChannel
from automation.engine.types import Mode, Priority
from automation.models import Trigger
from automation.pipeline import batch, index, process
from automation.pipeline.deliver import deliver_batch, rescue
from automation.pipeline.ingest import Incoming, ingest
from automation.pipeline.publish import publish
from automation.privacy.erase import erase
from automation.privacy.person import Who
from tests.chaos.harness.report import Report
from tests.chaos.harness.size import SEED, full_only, pick
from tests.chaos.model import ENTRIES, LISTENS, LOW, MAIL, MEDIUM, RECEIPT, SEGMENT, Model, Sent
from tests.factories import EMAIL, decide_all, incoming, known, make_trigger
from tests.factories import SEGMENT as ENTER

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

EXAMPLES = pick(quick=5, full=500)
STEPS = pick(quick=20, full=50)
ENOUGH_SECONDS = pick(
    quick=20.0, full=150.0
)  # No further turn is begun; the report says how many there were.
TURN = 5  # Examples between two looks at the clock; each turn has a seed of its own.
CUSTOMERS = 2
DECIDING = ("after_claim", "decide_before_commit", "decide_after_commit")
DELIVERING = ("delivery_after_claim", "delivery_after_effect", "delivery_after_commit")

_DELIVERIES = """
SELECT d.id, d.attempt, t.key, e.message_id, d.status FROM automation_delivery d
JOIN automation_trigger t ON t.id = d.trigger_id JOIN automation_event e ON e.id = d.event_id
WHERE d.profile_id = ANY(%s)
"""
_HELD = """
SELECT t.key, p.customer_id, x.reason, sum(x.held_count)::int FROM automation_execution x
JOIN automation_trigger t ON t.id = x.trigger_id JOIN profiles_profile p ON p.id = x.profile_id
WHERE x.profile_id = ANY(%s) AND NOT EXISTS (SELECT FROM automation_delivery d WHERE d.execution_id = x.id)
GROUP BY 1, 2, 3
"""
_LEFT = """
SELECT (SELECT count(*) FROM automation_queuedevent WHERE profile_id = ANY(%(p)s))
 + (SELECT count(*) FROM automation_event WHERE profile_id = ANY(%(p)s))
 + (SELECT count(*) FROM automation_delivery WHERE profile_id = ANY(%(p)s) AND status IN ('pending', 'sending'))
"""
_QUEUED = "SELECT count(*) FROM automation_queuedevent WHERE profile_id = ANY(%s)"
_EXPIRE = (
    "UPDATE automation_delivery SET lease_until = now() - interval '1 second' WHERE lease_until IS NOT NULL"
)


class CrashError(BaseException):
    """The process ends here: nothing of ours runs any more, so no `except Exception` may see it."""


@contextmanager
def crash_at(point: str) -> Iterator[None]:
    """Whoever comes by `point` in this block ends there, without giving anything back."""

    def fault(name: str) -> None:
        if name == point:
            raise CrashError(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "fault", fault)
        patch.setattr(batch, "fault", fault)
        patch.setattr(batch.Batch, "give_back", lambda self: None)
        try:
            yield
        except CrashError:
            return


def rows(query: str, values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall()


class Life(RuleBasedStateMachine):
    """Customers of its own for each example; the triggers are shared and put back as they were."""

    numbers = itertools.count(1)
    times = itertools.count(1)
    steps = 0
    crashes = 0
    erasures = 0
    examples = 0
    is_clean = True  # False after an example that failed: what it has left must not confuse the next.
    received: list[UUID] = []  # Of the mail server, for all examples.

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.sent: list[tuple[Sent, Incoming]] = []
        self.names: dict[UUID, tuple[str, str]] = {}
        self.attempts: dict[UUID, int] = {}
        if not Life.is_clean:
            clean()
        Life.is_clean = False
        Life.examples += 1
        number = next(self.numbers)
        self.customers = [f"x{number}-{n}" for n in range(CUSTOMERS)]
        self.received.clear()
        ingest([event for who in self.customers for event in known(who)], source="test")
        decide_all()
        found = rows(
            "SELECT id FROM profiles_profile WHERE customer_id = ANY(%s) ORDER BY customer_id",
            [self.customers],
        )
        self.profiles = {who: id for who, (id,) in zip(self.customers, found, strict=True)}

    def _send(self, who: int, name: str, value: int, is_late: bool) -> None:
        order = next(self.times)
        at = datetime.now(UTC) - (timedelta(days=8) if is_late else timedelta(0))
        message_id = f"e{order:09d}"
        event = incoming(
            name, self.customers[who], data={"value": value}, at=at, is_late=is_late, message_id=message_id
        )
        lane = self.model.lane(name)
        planned = Sent(
            lane, order - (10**9 if is_late else 0), message_id, self.customers[who], name, value, is_late
        )
        (answer,) = ingest([event], source="test")
        assert (answer.message_id in ("", message_id), answer.is_duplicate, answer.is_conflict) == (
            True,
            False,
            False,
        )
        self.sent.append((planned, event))
        self.model.accept(planned)
        Life.steps += 1

    who = st.integers(0, CUSTOMERS - 1)
    names = st.sampled_from(["a", "b", "a", "nobody_listens"])

    @rule(who=who, name=names, value=st.sampled_from([10, 100]))
    def send(self, who: int, name: str, value: int) -> None:
        """A new event."""
        self._send(who, name, value, is_late=False)

    @rule(who=who, name=names)
    def send_late(self, who: int, name: str) -> None:
        """An event that comes a week too late."""
        self._send(who, name, 100, is_late=True)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """The sender has not seen the answer, and sends it again."""
        planned, event = data.draw(st.sampled_from(self.sent), label="event")
        (answer,) = ingest([event], source="test")
        if planned.customer not in self.model.erased:
            assert answer.is_duplicate
        self._compare()

    @precondition(lambda self: self.model.queue)
    @rule()
    def decide(self) -> None:
        """A worker comes by."""
        for lane in (MEDIUM, LOW):
            process.decide_next(Priority(lane), limit=500, worker="model")
            self.model.decide(lane)
        self._compare()

    @precondition(lambda self: self.model.queue)
    @rule(point=st.sampled_from(DECIDING))
    def decide_and_crash(self, point: str) -> None:
        """A worker comes by and ends in the middle of its batch."""
        lane = min(event.lane for event in self.model.queue)
        with crash_at(point):
            process.decide_next(Priority(lane), limit=500, worker="model")
        if point == "decide_after_commit":
            self.model.decide(lane)
        Life.crashes += 1
        self._compare()

    def _open(self) -> bool:
        return "pending" in self.model.deliveries.values()

    @precondition(_open)
    @rule(crash=st.sampled_from(["", "", "", *DELIVERING]))
    def deliver(self, crash: str) -> None:
        """A worker tries one delivery, and may end in the middle of it."""
        if crash:
            with crash_at(crash):
                deliver_batch("medium", worker="model", limit=1)
            Life.crashes += 1
        else:
            deliver_batch("medium", worker="model", limit=1)
        before = dict(self.attempts)
        deliveries = self._deliveries()
        tried = [id for id, attempt in self.attempts.items() if attempt != before.get(id, 0)]
        assert len(tried) == 1, f"{len(tried)} deliveries were tried, {deliveries}"
        self.model.deliver(self.names[tried[0]], crash)
        self._compare()

    @rule()
    def time_passes(self) -> None:
        """Leases end, and the sweeper looks at what their workers left."""
        rows(f"WITH u AS ({_EXPIRE} RETURNING 1) SELECT count(*) FROM u", [])
        rescue()
        self.model.expire()
        self._compare()

    @rule(key=st.sampled_from([MAIL, SEGMENT, RECEIPT]), above=st.sampled_from([0, 50]))
    def edit(self, key: str, above: int) -> None:
        """A marketer publishes a new version."""
        self._change(key, above, is_live=self.model.rules[key].is_live)

    @rule(key=st.sampled_from([MAIL, SEGMENT, RECEIPT]))
    def pause_or_resume(self, key: str) -> None:
        """An operator flips a trigger."""
        current = self.model.rules[key]
        self._change(key, current.above, is_live=not current.is_live)

    def _change(self, key: str, above: int, *, is_live: bool) -> None:
        publish_as(key, LISTENS[key], above, is_live=is_live)
        self.model.rules[key].above, self.model.rules[key].is_live = above, is_live
        Life.steps += 1

    @precondition(lambda self: not self.model.erased and len(self.sent) > 3)
    @rule(who=who)
    def erase(self, who: int) -> None:
        """A customer asks to be forgotten."""
        name = self.customers[who]
        erase(Who(customer_id=name), by="model", now=datetime.now(UTC))
        self.model.erase(name)
        Life.erasures += 1
        self._compare()

    def _deliveries(self) -> dict[tuple[str, str], str]:
        living = [id for who, id in self.profiles.items() if who not in self.model.erased]
        found = {}
        for id, attempt, key, message_id, status in rows(_DELIVERIES, [living]):
            self.names[id] = (key, message_id)
            self.attempts[id] = attempt
            found[key, message_id] = status
        return found

    def _compare(self) -> None:
        Life.steps += 1
        model = self.model
        gone = [self.profiles[who] for who in model.erased]
        living = [id for who, id in self.profiles.items() if who not in model.erased]
        assert self._deliveries() == model.deliveries
        held = Counter({(key, who, reason): n for key, who, reason, n in rows(_HELD, [living])})
        assert held == model.held
        assert rows(_QUEUED, [living]) == [(len(model.queue),)]
        assert Counter(self.names[id] for id in self.received) == +model.effects
        if gone:
            assert rows(_LEFT, {"p": gone}) == [(0,)]

    def teardown(self) -> None:
        """Whatever has happened: with time, everything ends, and nothing was sent that must not be."""
        for key, current in self.model.rules.items():
            if not current.is_live or current.above:
                self._change(key, 0, is_live=True)
        self.time_passes()
        if self.model.queue:
            self.decide()
        # Who may have another mail, and who may not, shows what is remembered of everything before.
        for who, name in enumerate(self.customers):
            if name not in self.model.erased:
                self._send(who, "a", 100, is_late=False)
        if self.model.queue:
            self.decide()
        while self._open():
            self.deliver("")
        assert set(self.model.deliveries.values()) <= {"sent", "uncertain", "cancelled"}
        mails = Counter(
            self.model.owner[id] for (key, id), n in self.model.effects.items() if key == MAIL and n
        )
        assert max(mails.values(), default=0) <= 1
        assert all(n == 1 for (key, _), n in (+self.model.effects).items() if key == MAIL)
        Life.is_clean = True


def clean() -> None:
    """Nothing waits any more, and the triggers are as at first."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM automation_queuedevent")
        cursor.execute(
            "UPDATE automation_delivery SET status = 'failed' WHERE status IN ('pending', 'sending')"
        )
    for key, name in LISTENS.items():
        publish_as(key, name, 0, is_live=True)


def publish_as(key: str, name: str, above: int, *, is_live: bool) -> None:
    """Edit and publish, or pause."""
    trigger = Trigger.objects.get(key=key)
    trigger.conditions = conditions(name, above)
    trigger.save()
    publish(trigger, by=None, mode=Mode.LIVE if is_live else Mode.PAUSED)
    index.forget()  # A web process would take it over within a second.


def conditions(name: str, above: int) -> list[dict[str, Any]]:
    """On an event with a value above a threshold."""
    wanted = {"field": "value", "operator": "greater_than", "value": above}
    return [{"type": "event_match", "event_type": name, "data_conditions": [wanted]}]


def make_triggers() -> None:
    """The three that the model knows."""
    make_trigger(MAIL, conditions=conditions("a", 0), actions=[EMAIL])
    make_trigger(SEGMENT, conditions=conditions("a", 0), actions=[ENTER], max_per_customer=ENTRIES)
    make_trigger(RECEIPT, conditions=conditions("b", 0), actions=[EMAIL], message_class="transactional")


@full_only
@pytest.mark.matrix("T25", f"{EXAMPLES} x {STEPS} steps of anything, against a model")
def test_no_order_of_anything_leads_away_from_the_model(
    report: Report, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """T25, R-002, R-007, R-013, R-016, R-017, R-018, R-022, R-024, R-025, R-026: 0 divergences."""
    settings.LANE_SHARERS = 1  # One worker takes all of a lane, so that the model need not know the shards.
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")  # PostgreSQL itself is not killed here.
    index.forget()
    make_triggers()

    def accept(self: EmailChannel, message: Email) -> Receipt:
        Life.received.append(message.delivery_id)
        return Receipt(str(message.delivery_id))

    monkeypatch.setattr(EmailChannel, "send", accept)
    ends_at = time.monotonic() + ENOUGH_SECONDS
    for turn in range(EXAMPLES // TURN):
        if time.monotonic() < ends_at:
            run_state_machine_as_test(seed(SEED + turn)(Life), settings=_SETTINGS)
    report.faults = Life.crashes
    report.lost = report.duplicates = 0  # Each would have been a divergence.
    report.figures = {"examples": Life.examples, "steps": Life.steps, "erasures": Life.erasures}
    connection.close()  # And with it the setting.
    assert Life.examples >= min(EXAMPLES, 5)


_SETTINGS = settings(
    max_examples=TURN,
    stateful_step_count=STEPS,
    deadline=None,
    database=None,
    print_blob=False,
    phases=(Phase.generate,),  # To shorten what failed would take many minutes.
    suppress_health_check=list(HealthCheck),
)
