"""The loop: stored events in order through the engine's own matcher and judge. Reads only."""

from __future__ import annotations

import gc
import heapq
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction

from automation.backtest import past, window
from automation.backtest.course import Course
from automation.backtest.funnel import Funnel
from automation.backtest.narrow import Narrowly
from automation.backtest.step import Ending, Step
from automation.backtest.unread import UnreadError, event_alone
from automation.backtest.window import Entry
from automation.engine.bucketing import bucket
from automation.engine.definition import TriggerDefinition
from automation.engine.rules import compile_trigger
from automation.engine.suppression import CustomerState
from automation.engine.types import Event, ExecutionStatus, Facts, Mode, Reason
from automation.models import Trigger
from automation.pipeline import due
from automation.pipeline.cancelling import facts_of
from automation.pipeline.customer import zone_of
from automation.pipeline.decide import Decision, Outcomes, judge, weigh
from automation.pipeline.plan import Plan, make
from profiles.behavior import State, view
from profiles.services import Locked

CHUNK = 500  # Customers loaded at once.
NARROW_SHARE, LOADING_SHARE = 0.5, 0.7  # Of the time allowed: until then customers are loaded.
UNSAVED = 0  # The id of a trigger that has none.

Ask = Callable[
    [Sequence[int], Sequence[Step]], Sequence[Step]
]  # Customers, their steps -> what is still open.

_patience: ContextVar[bool] = ContextVar("patience", default=False)


@contextmanager
def reading(*, patiently: bool = False) -> Iterator[None]:
    """Inside, PostgreSQL itself refuses every write and gives up on a slow query (OperationalError).

    `patiently` lifts the time limits that web requests have, also of every `reading` inside.
    The search for garbage rests: a hundred thousand events that all stay in use would be searched again and again.
    """
    is_outermost = gc.isenabled()
    gc.disable()
    before = _patience.set(patiently or _patience.get())
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
            if _patience.get():
                cursor.execute("SET LOCAL statement_timeout = 0")
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            else:
                cursor.execute("SET LOCAL statement_timeout = '3s'")
            yield
    finally:
        _patience.reset(before)
        if is_outermost:
            gc.enable()


class Look(NamedTuple):
    """One customer at one event."""

    facts: Facts
    state: CustomerState


class Replay:
    """One trigger over one stretch of time. Use it once: `run`, then read `steps`."""

    def __init__(
        self,
        definition: TriggerDefinition,
        *,
        since: datetime,
        until: datetime,
        trigger_id: int | None = None,
        max_seconds: float | None = None,
    ) -> None:
        compiled = compile_trigger(definition, trigger_id=trigger_id or UNSAVED, version_id=0, mode=Mode.LIVE)
        self.plan: Plan = make(compiled)
        self.funnel = Funnel(definition)
        self.since, self.until = since, until
        self.steps: list[Step] = []
        self.events = 0
        self.limit = 1.0  # Customers whose `chance` is below it were judged.
        self._begun, self._max_seconds = time.monotonic(), max_seconds
        self._courses: dict[int, Course] = {}
        self._due: list[tuple[datetime, int, Step, str]] = []
        self._hour: datetime | None = None
        self._fired_this_hour: dict[int, int] = {}

    def load(self, limit: int | None) -> bool:
        """Find the newest `limit` events of the time; returns whether there are more."""
        names = self.plan.trigger.event_names
        found = (
            window.entries(names, self.since, self.until, None if limit is None else limit + 1)
            if names
            else []
        )
        is_cut = limit is not None and len(found) > limit
        if is_cut:
            found = found[1:]
            self.since = found[0].event.occurred_at
        self.take(found)
        return is_cut

    def take(self, entries: Sequence[Entry]) -> None:
        """Judge these events, ascending."""
        self.steps = [Step(place, event, is_late) for place, (event, is_late) in enumerate(entries)]
        self.events = len(self.steps)

    def run(self) -> None:
        """Judge the events; afterwards `steps` holds those that time allowed, each with its ending.

        First with the event alone, then with as much of the customers as the conditions ask for, and whoever is
        still open then with all there is: few events need everything.
        """
        open_steps = [step for step in self.steps if not self._ask_event(step)]
        open_steps = self._in_chunks(
            open_steps, Narrowly(self.plan, self.funnel, self.until).ask, NARROW_SHARE
        )
        keys = dict(Trigger.objects.values_list("pk", "key")) if open_steps else {}

        def meet(profile_ids: Sequence[int], steps: Sequence[Step]) -> Sequence[Step]:
            unknown = [pk for pk in profile_ids if pk not in self._courses]  # `look` may have met them.
            if unknown:
                self._courses |= past.courses(unknown, self.plan, keys, self.since, self.until)
            return steps

        for step in self._in_chunks(open_steps, meet, LOADING_SHARE):
            self._come_due(before=step.event.occurred_at)
            self._decide(step)
        self._come_due(before=None)

    def look(self, entry: Entry) -> Look:
        """What the engine would see at one event, before anything is judged."""
        event = entry.event
        keys = dict(Trigger.objects.values_list("pk", "key"))
        self._courses |= past.courses([event.profile_id], self.plan, keys, self.since, self.until)
        course = self._courses[event.profile_id]
        facts, after = _facts(event, course)
        at = event.occurred_at
        return Look(facts, course.customer.state(after, course.dead_at(at), at))

    def _ask_event(self, step: Step) -> bool:
        """Ask what the event alone can answer; True when that decides it."""
        try:
            return self.funnel.climb(step, event_alone(step.event))
        except UnreadError:
            return False

    def _in_chunks(self, steps: Sequence[Step], ask: Ask, share: float) -> list[Step]:
        """`ask` for some customers at a time, in an order by chance; returns what is still open, ascending.

        For whom time is lacking, those customers drop out with all their events.
        """
        wanted = sorted({step.event.profile_id for step in steps}, key=chance)
        of_customer: dict[int, list[Step]] = defaultdict(list)
        for step in steps:
            of_customer[step.event.profile_id].append(step)
        found: list[Step] = []
        for start in range(0, len(wanted), CHUNK):
            if start and self._max_seconds and time.monotonic() - self._begun > self._max_seconds * share:
                self.limit = chance(wanted[start])
                self.steps = [step for step in self.steps if chance(step.event.profile_id) < self.limit]
                break
            chunk = wanted[start : start + CHUNK]
            found += ask(chunk, [step for profile_id in chunk for step in of_customer[profile_id]])
        found.sort(key=lambda step: (*step.event.order, step.event.id))
        return found

    def _decide(self, step: Step) -> None:
        """The way of `pipeline.decide`: apply, match, judge; the decision falls at the event's own moment."""
        course, now = self._courses[step.event.profile_id], step.event.occurred_at
        customer = course.customer
        facts, after = _facts(step.event, course)
        if self.funnel.climb(step, facts):
            return
        outcomes = Outcomes({})
        asking = weigh([self.plan], facts, customer, outcomes, now, is_late=step.is_late)
        decisions = outcomes.decisions
        if asking:
            state = customer.state(after, course.dead_at(now), now)
            decisions += judge(asking, facts, customer, state, self._fired_in(now), now, step.is_late)
        if outcomes.repeated:
            step.ending, step.reason = Ending.HELD, Reason.DUPLICATE
        for decision in decisions:
            self._settle(step, decision, now)

    def _come_due(self, *, before: datetime | None) -> None:
        """The way of `pipeline.due`: what waits is judged again at its moment."""
        while self._due and (self._due[0][0] < before if before else self._due[0][0] <= self.until):
            now, _, step, key = heapq.heappop(self._due)
            course = self._courses[step.event.profile_id]
            customer = course.customer
            state = course.until(now)
            locked = Locked(course.profile_id, None, None, customer.is_erased, state)
            facts = facts_of(step.event, locked, customer, course.history, now)
            held = due.no_longer(Mode.LIVE, self.plan, facts)
            if held:
                step.ending, step.reason, step.until = Ending.HELD, held.reason, held.until
                continue
            customer.dedupe_keys -= {(self.plan.trigger.trigger_id, key)}  # It must not stand in its own way.
            seen = customer.state(state, course.dead_at(now), now)
            (decision,) = judge([(self.plan, key)], facts, customer, seen, self._fired_in(now), now)
            self._settle(step, decision, now)

    def _settle(self, step: Step, decision: Decision, now: datetime) -> None:
        if decision.status is ExecutionStatus.SUPPRESSED:
            step.ending = Ending.HELD
            step.reason, step.until = decision.held[0].reason, decision.held[0].until
        elif decision.due_at is not None:
            step.ending, step.until = Ending.WAITING, decision.due_at
            # Of those due at one moment the earlier decision comes first, as its execution has the lower id.
            heapq.heappush(self._due, (decision.due_at, step.place, step, decision.dedupe_key))
        else:
            step.ending, step.at, step.until = Ending.FIRED, now, None

    def _fired_in(self, now: datetime) -> dict[int, int]:
        hour = now.replace(minute=0, second=0, microsecond=0)
        if hour != self._hour:
            self._hour, self._fired_this_hour = hour, {}
        return self._fired_this_hour


def _facts(event: Event, course: Course) -> tuple[Facts, State]:
    """What conditions may read at an event, and the profile with it."""
    now, customer = event.occurred_at, course.customer
    before = course.before(event)
    after = course.after(event)
    return Facts(
        event,
        view(after, now),
        view(before, now),
        now,
        zone_of(after["time_zone"]),
        history=course.history,
        segments=customer.segments,
        sends=customer.sends,
    ), after


def chance(profile_id: int) -> float:
    """In [0, 1), always the same for a customer: in its order they are judged while time allows."""
    return bucket("backtest", profile_id)
