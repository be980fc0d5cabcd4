"""Asking the conditions with the part of the customers' past that they read, before loading all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from automation.backtest import past, window
from automation.backtest.funnel import Funnel
from automation.backtest.reader import Reader
from automation.backtest.reads import attributes_read
from automation.backtest.step import Step
from automation.backtest.unread import UnreadError
from automation.engine.types import Event
from automation.pipeline.plan import Plan
from profiles import selectors as profile_selectors
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
        # What follows from a few events (profiles.behavior.sources) never follows from their context.
        oldest = past.oldest(self._until)
        sources = window.histories(profile_ids, self._names, oldest, self._until, has_context=False)
        histories: Mapping[int, Sequence[Event]] = {}
        if self._looks:
            first = min(step.event.occurred_at for step in steps) - self._window
            histories = window.histories(profile_ids, self._looks, first, self._until)
        segments = profile_selectors.memberships(profile_ids) if self._plan.trigger.needs_segments else {}
        found: list[Step] = []
        reader: Reader | None = None
        for step in steps:
            profile_id = step.event.profile_id
            if reader is None or reader.profile_id != profile_id:
                reader = Reader(
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
