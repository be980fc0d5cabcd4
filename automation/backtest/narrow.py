"""Asking the conditions with the part of the customers' past that they read, before loading all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any

from automation.backtest import past, window
from automation.backtest.funnel import Funnel
from automation.backtest.step import Step
from automation.backtest.unread import NO_PROFILE, NO_ZONE, UNREAD, Narrow, UnreadError, attributes_read
from automation.engine.types import Event, Facts
from automation.pipeline.customer import zone_of
from automation.pipeline.plan import Plan
from profiles import selectors as profile_selectors
from profiles.behavior import State, apply, empty, view
from profiles.behavior.places import zone_in
from profiles.behavior.sources import sources_of
from profiles.behavior.vocabulary import IDENTIFY, PROFILE_UPDATES

_TRAITS = IDENTIFY | PROFILE_UPDATES  # Always read: they are few, and may hold the time zone.


class Narrowly:
    """What a trigger's conditions read of customers, and the events it follows from."""

    def __init__(self, plan: Plan, funnel: Funnel, until: datetime) -> None:
        self._plan, self._funnel, self._until = plan, funnel, until
        self._attributes = attributes_read(plan.trigger.definition) - {"preferences"}  # No event says those.
        names = sources_of(self._attributes)
        self._names = None if names is None else names | _TRAITS
        looks = plan.trigger.needs
        self._looks = past.names_looked_back_at(looks)
        self._window = max((look.window for look in looks), default=timedelta(0))

    def ask(self, profile_ids: Sequence[int], steps: Sequence[Step]) -> Sequence[Step]:
        """The steps, ascending for each customer, whose end is still open afterwards."""
        if self._names is None:
            return steps
        sources = window.histories(profile_ids, self._names, past.oldest(self._until), self._until)
        histories: Mapping[int, Sequence[Event]] = {}
        if self._looks:
            first = min(step.event.occurred_at for step in steps) - self._window
            histories = window.histories(profile_ids, self._looks, first, self._until)
        segments = profile_selectors.memberships(profile_ids) if self._plan.trigger.needs_segments else {}
        found: list[Step] = []
        reader: _Reader | None = None
        for step in steps:
            profile_id = step.event.profile_id
            if reader is None or reader.profile_id != profile_id:
                reader = _Reader(
                    profile_id,
                    sources.get(profile_id, ()),
                    None if self._looks is None else histories.get(profile_id, ()),
                    segments.get(profile_id, {}),
                )
            try:
                if self._funnel.climb(step, reader.facts(step.event, self._names, self._attributes)):
                    continue
            except UnreadError:
                pass
            found.append(step)
        return found


class _Reader:
    """One customer, from event to event."""

    def __init__(
        self,
        profile_id: int,
        sources: Sequence[Event],
        history: Sequence[Event] | None,
        segments: Mapping[str, datetime],
    ) -> None:
        self.profile_id = profile_id
        self._state: State = empty()
        self._sources = list(reversed(sources))
        self._history = None if history is None else list(reversed(history))
        self._seen: list[Event] = []
        self._segments = segments

    def facts(self, event: Event, names: frozenset[str], attributes: frozenset[str]) -> Facts:
        """What is known at `event`; asking for more raises UnreadError."""
        at, order = event.occurred_at, event.order
        _move(self._sources, order, self._apply)
        if self._history is not None:
            _move(self._history, order, self._seen.append)
        before = self._state
        after = apply(before, event) if event.name in names else before
        profile: Mapping[str, Any] = Narrow(view(after, at), attributes) if attributes else NO_PROFILE
        return Facts(
            event,
            profile,
            Narrow(view(before, at), attributes) if attributes else NO_PROFILE,
            at,
            _zone(after, event),
            history=UNREAD if self._history is None else self._seen,
            segments={key: since for key, since in self._segments.items() if since <= at},
            sends=UNREAD,
        )

    def _apply(self, event: Event) -> None:
        self._state = apply(self._state, event)


def _move(ahead: list[Event], order: tuple[datetime, str], to: Any) -> None:
    while ahead and ahead[-1].order < order:
        to(ahead.pop())


def _zone(state: State, event: Event) -> tzinfo:
    """The customer's zone where it can be told: they named it, or the event itself carries the newest one."""
    named = state["traits"].get("time_zone") or zone_in(event.context)
    return zone_of(named) if named else NO_ZONE
