"""Something did not happen: before (within, since), or after this event (*A, and then no B*)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import Field

from automation.engine import wording
from automation.engine.comparison import DataConditions, FieldPath, all_of, rows_problems, where
from automation.engine.conditions.base import MAX_HOURS, Check, Condition, EventName, Example, condition
from automation.engine.joins import offered_keys, wanted_keys
from automation.engine.operators import MET, NOT_MET, broken
from automation.engine.problems import Problem
from automation.engine.samples import NOON, facts
from automation.engine.types import Event, Facts, Lookback, Result, Verdict
from automation.engine.values import instant
from automation.engine.window import MAX_EVENTS, earlier, hours, later

_LONGEST = timedelta(hours=MAX_HOURS)
_UNDECIDED = Result(Verdict.MET, reason="This is decided when the time is over.")
_TOO_EARLY = broken("This was asked before its time is over.")
_TOO_LONG = broken("The date lies more than a year back; use a window instead.")
_NO_DATE = broken("The date cannot be read.")
_NO_JOIN = broken("This event lacks the property that has to be the same.")
_DID = {"type": "absence", "event_type": "purchase_completed"}


@condition
class Absence(Condition):
    """No such event, in a window before now or in the time after this event.

    The current event itself never counts, so that "a purchase, the first in 30 days" can be said.
    """

    label = "Did not do"
    kind = "What happened before"
    help = "Within a time, since a date, or: this event and then nothing (the engine waits and decides)."
    icon = "∅"
    sentence = "no {event_type} {after} {within_hours}"
    examples = (
        Example(
            "No purchase in the last 30 days",
            _DID | {"within_hours": 720},
            facts("page_view", past=[(721, "purchase_completed")]),
            Verdict.MET,
        ),
        Example(
            "A cart, and then no purchase for 30 minutes: bought in time",
            _DID | {"within_minutes": 30, "after": True, "same": "cart_id"},
            facts(
                "cart_abandonment",
                {"cart_id": "c1"},
                later=[(0.4, "purchase_completed", {"cart_id": "c1"})],
                now=NOON + timedelta(minutes=30),
            ),
            Verdict.NOT_MET,
        ),
        Example(
            "Bought, but another cart",
            _DID | {"within_minutes": 30, "after": True, "same": "cart_id"},
            facts(
                "cart_abandonment",
                {"cart_id": "c1"},
                later=[(0.4, "purchase_completed", {"cart_id": "c2"})],
                now=NOON + timedelta(minutes=30),
            ),
            Verdict.MET,
        ),
    )

    type: Literal["absence"]
    event_type: EventName = Field(title="Event", json_schema_extra={"x-source": "event_types"})
    data_conditions: DataConditions = Field(default=[])
    within_hours: float | None = Field(
        default=None, gt=0, le=MAX_HOURS, title="Within hours", json_schema_extra={"x-unit": "hours"}
    )
    within_minutes: float | None = Field(
        default=None,
        gt=0,
        le=MAX_HOURS * 60,
        title="Within minutes",
        json_schema_extra={"x-unit": "minutes", "x-instead-of": "within_hours"},
    )
    since: str | None = Field(
        default=None,
        max_length=40,
        title="Since",
        json_schema_extra={"format": "date", "x-instead-of": "within_hours"},
    )
    after: bool = Field(
        default=False,
        title="And then",
        description="Counts the time after this event.",
        json_schema_extra={"x-labels": {"false": "in the last", "true": "after it, for"}},
    )
    same: FieldPath | None = Field(
        default=None, title="The same", json_schema_extra={"x-source": "event_fields"}
    )
    same_in: FieldPath | None = Field(
        default=None, title="The same in", json_schema_extra={"x-source": "event_fields"}
    )

    @property
    def window(self) -> timedelta:
        """How long nothing may happen; a year at most with `since`."""
        if self.within_minutes is not None:
            return timedelta(minutes=self.within_minutes)
        return _LONGEST if self.within_hours is None else hours(self.within_hours)

    def compile(self) -> Check:
        """On arrival the `after` form is met until told otherwise; at the due moment it is decided."""
        found = self._finder()
        window, since = self.window, instant(self.since)

        def after(facts: Facts) -> Result:
            if not facts.is_recheck:
                # Nothing later is known yet: this only finds out whether it can be decided at all.
                possible = found(facts, [])
                return _UNDECIDED if possible is MET else possible
            if facts.now < facts.event.occurred_at + window:
                return _TOO_EARLY
            return found(facts, later(facts, self._names, facts.event.occurred_at + window))

        def before(facts: Facts) -> Result:
            start = facts.now - window
            if self.since is not None:
                if since is None:
                    return _NO_DATE
                if since < start:
                    return _TOO_LONG
                start = since
            events = earlier(facts, self._names, start)
            return found(
                facts, events + [e for e in later(facts, self._names, facts.now) if e.occurred_at >= start]
            )

        return after if self.after else before

    @property
    def _names(self) -> tuple[str]:
        return (self.event_type,)

    def _finder(self) -> Callable[[Facts, list[Event]], Result]:
        """Whether one of these events is the one that must not be."""
        test = all_of(self.data_conditions)
        wanted = wanted_keys(self.same) if self.same else None
        place = self.same_in or self.same
        offered = offered_keys(place) if place else None

        def found(facts: Facts, events: list[Event]) -> Result:
            keys = wanted(facts.event, facts) if wanted is not None else frozenset()
            if wanted is not None and not keys:
                return _NO_JOIN
            unknown: Result | None = None
            for event in events:
                if wanted is not None and offered is not None and keys.isdisjoint(offered(event, facts)):
                    continue
                result = test(event, facts)
                if result.verdict is Verdict.MET:
                    return NOT_MET
                if result.verdict is Verdict.BROKEN:
                    unknown = unknown or result
            return unknown or MET

        return found

    def look(self, facts: Facts) -> Any:
        """The moment of the newest such event known, joined or not."""
        end = facts.event.occurred_at + self.window if self.after else facts.now
        events = later(facts, self._names, end)
        if not self.after:
            events = earlier(facts, self._names, facts.now - self.window) + events
        newest: datetime | None = events[-1].occurred_at if events else None
        return newest

    def lookback(self) -> Lookback | None:
        """The events that must not be."""
        return Lookback(self.window, frozenset({self.event_type}), MAX_EVENTS)

    @property
    def needs_before(self) -> bool:
        """True when a row reads the profile before the event."""
        return any(row.needs_before for row in self.data_conditions)

    def waits(self) -> timedelta | None:
        """The time after this event, for the `after` form."""
        return self.window if self.after else None

    def problems(self) -> Iterable[tuple[str, Problem]]:
        """Exactly one of the three times; *and then* needs a duration."""
        yield from rows_problems(self.data_conditions)
        given = [
            name for name in ("within_hours", "within_minutes", "since") if getattr(self, name) is not None
        ]
        if len(given) != 1:
            place = f"/{given[1]}" if given else "/within_hours"
            yield (
                place,
                Problem("Say how long: hours, minutes, or since a date.", "Exactly one of the three."),
            )
        if self.since is not None and instant(self.since) is None:
            yield "/since", Problem("Since: enter a date.", "For example 2025-12-24.")
        if self.after and self.since is not None:
            yield "/since", Problem("“And then” needs a duration.", "Use hours or minutes.")
        if self.same_in and not self.same:
            yield "/same_in", Problem("Nothing is joined here.", "Fill in “the same”.")

    def describe(self) -> str:
        """*no purchase completed in the last 30 days*."""
        subject = f"no {wording.name(self.event_type)}{where(self.data_conditions)}"
        if self.same:
            subject += f" with the same {wording.name(self.same)}"
        if self.since is not None:
            return f"{subject} since {self.since}"
        minutes = self.window.total_seconds() / 60
        if self.after:
            return f"{subject} follows for {wording.duration(minutes)}"
        return f"{subject} in the last {wording.last(minutes)}"
