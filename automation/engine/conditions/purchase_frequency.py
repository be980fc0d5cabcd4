"""How often the customer buys, how far apart, and whether a purchase is overdue (S-121)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from itertools import pairwise
from statistics import median
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from automation.engine import wording
from automation.engine.conditions.base import MAX_HOURS, Check, Condition, EventName, Example, condition
from automation.engine.operators import MET
from automation.engine.problems import Problem
from automation.engine.samples import facts
from automation.engine.types import Facts, Lookback, Result, Verdict
from automation.engine.window import MAX_EVENTS, hours, up_to_now

_PATTERN = {"type": "behavior_pattern", "pattern_type": "purchase_frequency"}
_WEEK = 168


class _Purchases(NamedTuple):
    number: int
    typical: timedelta | None  # The customer's own median interval.
    since_last: timedelta | None


_WORDS = {"count": "at least", "interval": "regular, with at least", "overdue": "overdue, after at least"}


@condition
class PurchaseFrequency(Condition):
    """`count`: at least so many purchases in the window. `interval`: they are typically at most so far apart.
    `overdue`: the last one is longer ago than so many times the customer's own typical interval."""

    variant_field: ClassVar[str] = "pattern_type"
    label = "Purchase frequency"
    kind = "How they behave"
    help = "Counts purchases in the window, or compares with the customer's own rhythm."
    icon = "⟳"
    sentence = "{measure} {min_purchases} purchases in the last {timeframe_hours}"
    examples = (
        Example(
            "Two purchases in a week",
            _PATTERN | {"timeframe_hours": 168},
            facts("purchase_completed", past=[(100, "purchase_completed")]),
            Verdict.MET,
        ),
        Example(
            "Buys every ten days, now twenty days without",
            _PATTERN | {"measure": "overdue", "timeframe_hours": 2160, "min_purchases": 3},
            facts(past=[(24 * day, "purchase_completed") for day in (20, 30, 40)]),
            Verdict.MET,
        ),
        Example(
            "Two purchases are no rhythm",
            _PATTERN | {"measure": "overdue", "timeframe_hours": 2160, "min_purchases": 3},
            facts(past=[(24 * day, "purchase_completed") for day in (20, 30)]),
            Verdict.NOT_MET,
        ),
    )

    type: Literal["behavior_pattern"]
    pattern_type: Literal["purchase_frequency"]
    measure: Literal["count", "interval", "overdue"] = Field(
        default="count", title="Measure", json_schema_extra={"x-labels": {**_WORDS}}
    )
    timeframe_hours: float = Field(
        default=24, gt=0, le=MAX_HOURS, title="Window", json_schema_extra={"x-unit": "hours"}
    )
    min_purchases: int = Field(
        default=2,
        ge=1,
        le=1000,
        title="Purchases",
        description="The count asked for, or the evidence needed.",
    )
    max_interval_hours: float | None = Field(
        default=None,
        gt=0,
        le=MAX_HOURS,
        title="Typically at most apart",
        json_schema_extra={"x-unit": "hours", "x-when": {"measure": ["interval"]}},
    )
    overdue_factor: float = Field(
        default=1.5,
        ge=1,
        le=20,
        title="Times the usual interval",
        json_schema_extra={"x-when": {"measure": ["overdue"]}},
    )
    events: list[EventName] = Field(
        default=["purchase_completed"],
        min_length=1,
        max_length=20,
        title="Events",
        json_schema_extra={"x-source": "event_types"},
    )

    def _purchases(self, facts: Facts) -> _Purchases:
        times = [e.occurred_at for e in up_to_now(facts, self._names, hours(self.timeframe_hours))]
        gaps = [(after - before).total_seconds() for before, after in pairwise(times)]
        return _Purchases(
            len(times),
            timedelta(seconds=median(gaps)) if gaps else None,
            facts.now - times[-1] if times else None,
        )

    @property
    def _names(self) -> frozenset[str]:
        return frozenset(self.events)

    def compile(self) -> Check:
        """Evidence first, then the measure."""

        def check(facts: Facts) -> Result:
            found = self._purchases(facts)
            if found.number < self.min_purchases:
                return _not_met(f"{found.number} purchases in the window; {self.min_purchases} are needed.")
            if self.measure == "count":
                return MET
            if found.typical is None or found.since_last is None:
                return _not_met("One purchase has no interval.")
            if self.measure == "interval":
                longest = hours(self.max_interval_hours or 0)
                return MET if found.typical <= longest else _not_met("The usual interval is longer.")
            is_overdue = found.since_last > found.typical * self.overdue_factor
            return MET if is_overdue else _not_met("The next purchase is not overdue yet.")

        return check

    def look(self, facts: Facts) -> Any:
        """Count, typical interval and time since the last, in hours."""
        found = self._purchases(facts)
        return {
            "purchases": found.number,
            "typical_hours": _hours(found.typical),
            "hours_since_last": _hours(found.since_last),
        }

    def lookback(self) -> Lookback | None:
        """The window."""
        return Lookback(hours(self.timeframe_hours), self._names, MAX_EVENTS)

    def problems(self) -> Iterable[tuple[str, Problem]]:
        """A rhythm needs a long window and three purchases or, at the least, two."""
        if self.measure == "interval" and self.max_interval_hours is None:
            yield "/max_interval_hours", Problem("Enter the longest usual interval.", "In hours.")
        if self.measure != "interval" and self.max_interval_hours is not None:
            yield "/max_interval_hours", Problem("Only the interval is compared with this.", "Remove it.")
        if self.measure != "count" and self.timeframe_hours < _WEEK:
            yield (
                "/timeframe_hours",
                Problem("A rhythm does not show in so short a time.", "Use at least 168."),
            )
        if self.measure != "count" and self.min_purchases < 2:
            yield "/min_purchases", Problem("One purchase has no interval.", "Use 2 or more.")

    def describe(self) -> str:
        """*at least 2 purchases in the last 7 days*."""
        window = wording.last(self.timeframe_hours * 60)
        if self.measure == "count":
            return f"at least {wording.plural(self.min_purchases, 'purchase')} in the last {window}"
        if self.measure == "interval":
            longest = wording.duration((self.max_interval_hours or 0) * 60)
            return f"purchases in the last {window} are typically at most {longest} apart"
        factor = wording.plain_number(self.overdue_factor)
        return f"the next purchase is overdue: {factor} times the customer's usual interval has passed"


def _not_met(reason: str) -> Result:
    return Result(Verdict.NOT_MET, reason=reason)


def _hours(span: timedelta | None) -> float | None:
    return None if span is None else round(span.total_seconds() / 3600, 2)
