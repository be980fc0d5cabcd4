"""How intensely the customer looks around: against a number, or against their own norm (S-122)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from math import sqrt
from statistics import fmean, stdev
from typing import Any, ClassVar, Literal

from pydantic import Field

from automation.engine import wording
from automation.engine.conditions.base import MAX_HOURS, Check, Condition, EventName, Example, condition
from automation.engine.operators import MET
from automation.engine.problems import Problem
from automation.engine.samples import facts
from automation.engine.types import Event, Facts, Lookback, Result, Verdict
from automation.engine.window import MAX_EVENTS, hours, up_to_now

BROWSING = ["page_view", "screen_view", "product_view", "category_viewed", "search"]
_BREAK = timedelta(minutes=30)  # A longer pause ends a stretch of activity.
_PATTERN = {"type": "behavior_pattern", "pattern_type": "browsing_intensity"}


def _sessions(events: Sequence[Event]) -> float:
    """Sessions by id; events without one are told apart by pauses."""
    named = {event.session_id for event in events if event.session_id}
    loose = [event.occurred_at for event in events if not event.session_id]
    pauses = sum(after - before > _BREAK for before, after in pairwise(loose))
    return len(named) + (pauses + 1 if loose else 0)


def _active_minutes(events: Sequence[Event]) -> float:
    """The time between events that follow each other without a long pause."""
    gaps = [after.occurred_at - before.occurred_at for before, after in pairwise(events)]
    return sum((gap for gap in gaps if gap <= _BREAK), timedelta()).total_seconds() / 60


_MEASURES: dict[str, Callable[[Sequence[Event]], float]] = {
    "views": len,
    "sessions": _sessions,
    "active_minutes": _active_minutes,
}
_WORDS = {"views": "views", "sessions": "sessions", "active_minutes": "active minutes"}


@condition
class BrowsingIntensity(Condition):
    """Views, sessions or active minutes in the window reach a number, or so many standard deviations
    above the customer's own earlier windows of the same length."""

    variant_field: ClassVar[str] = "pattern_type"
    label = "Browsing intensity"
    kind = "How they behave"
    help = "Counts in a window that ends now; or compares with the customer's own earlier windows."
    icon = "◉"
    sentence = "they reach at least {at_least} {measure} in the last {timeframe_hours}"
    examples = (
        Example(
            "Five views in an hour",
            _PATTERN | {"timeframe_hours": 1, "at_least": 5},
            facts("product_view", past=[(minute / 60, "product_view") for minute in (5, 10, 15, 20)]),
            Verdict.MET,
        ),
        Example(
            "More than this customer's norm",
            _PATTERN | {"timeframe_hours": 24, "min_z_score": 3, "baseline_windows": 10},
            facts(
                "page_view",
                past=[(24 * day + 12, "page_view") for day in range(1, 11)]
                + [(minute / 60, "page_view") for minute in range(1, 12)],
            ),
            Verdict.MET,
        ),
        Example(
            "A new customer has no norm",
            _PATTERN | {"timeframe_hours": 24, "min_z_score": 3},
            facts("page_view", past=[(minute / 60, "page_view") for minute in range(1, 12)]),
            Verdict.NOT_MET,
        ),
    )

    type: Literal["behavior_pattern"]
    pattern_type: Literal["browsing_intensity"]
    measure: Literal["views", "sessions", "active_minutes"] = Field(
        default="views", title="Measure", json_schema_extra={"x-labels": {**_WORDS}}
    )
    timeframe_hours: float = Field(
        default=24, gt=0, le=720, title="Window", json_schema_extra={"x-unit": "hours"}
    )
    at_least: float = Field(default=10, gt=0, le=100_000, title="At least")
    min_z_score: float | None = Field(
        default=None, gt=0, le=20, title="Above the own norm by", description="Used instead of the number."
    )
    baseline_windows: int = Field(default=14, ge=5, le=90, title="Earlier windows")
    min_active_windows: int = Field(default=3, ge=2, le=90, title="Evidence: windows with activity")
    events: list[EventName] = Field(
        default=BROWSING,
        min_length=1,
        max_length=20,
        title="Events",
        json_schema_extra={"x-source": "event_types"},
    )

    def _values(self, facts: Facts) -> list[float]:
        """The measure per window, the current one first, then back in time."""
        window, measure = hours(self.timeframe_hours), _MEASURES[self.measure]
        count = 1 + (self.baseline_windows if self.min_z_score is not None else 0)
        parts: list[list[Event]] = [[] for _ in range(count)]
        for event in up_to_now(facts, self._names, window * count):
            part = _part(facts.now, event.occurred_at, window)
            if part < count:
                parts[part].append(event)
        return [measure(part) for part in parts]

    @property
    def _names(self) -> frozenset[str]:
        return frozenset(self.events)

    def compile(self) -> Check:
        """Against the number, or with evidence against the norm."""

        def check(facts: Facts) -> Result:
            now, *before = self._values(facts)
            if self.min_z_score is None:
                return MET if now >= self.at_least else _not_met(f"{now:g} {_WORDS[self.measure]}.")
            active = sum(value > 0 for value in before)
            if active < self.min_active_windows:
                return _not_met(
                    f"Activity in {active} earlier windows; {self.min_active_windows} are needed."
                )
            score = _z_score(now, before)
            return MET if score >= self.min_z_score else _not_met(f"{score:.1f} above the own norm.")

        return check

    def look(self, facts: Facts) -> Any:
        """The measure in the window, and the mean of the earlier ones where they count."""
        now, *before = self._values(facts)
        return {"now": round(now, 2), "usual": round(fmean(before), 2)} if before else round(now, 2)

    def lookback(self) -> Lookback | None:
        """The window, and the earlier ones where they count."""
        count = 1 + (self.baseline_windows if self.min_z_score is not None else 0)
        return Lookback(hours(self.timeframe_hours * count), self._names, MAX_EVENTS)

    def problems(self) -> Iterable[tuple[str, Problem]]:
        """All windows together stay within what is looked back at."""
        if self.min_z_score is not None and self.timeframe_hours * (self.baseline_windows + 1) > MAX_HOURS:
            yield (
                "/baseline_windows",
                Problem("All windows together are longer than a year.", "Use fewer or shorter windows."),
            )
        if self.min_active_windows > self.baseline_windows:
            yield (
                "/min_active_windows",
                Problem("More than there are earlier windows.", "Use a smaller number."),
            )

    def describe(self) -> str:
        """*they reach at least 10 views in the last day*."""
        window, measure = wording.last(self.timeframe_hours * 60), _WORDS[self.measure]
        if self.min_z_score is None:
            return f"they reach at least {wording.plain_number(self.at_least)} {measure} in the last {window}"
        score = wording.plain_number(self.min_z_score)
        return f"their {measure} in the last {window} are {score} standard deviations above their own norm"


def _part(now: datetime, at: datetime, window: timedelta) -> int:
    """0 for the current window, 1 for the one before; a border belongs to the later one."""
    age = now - at
    return max(0, -(-age // window) - 1)


def _z_score(now: float, before: Sequence[float]) -> float:
    """Against the mean of the earlier windows. Counts scatter at least as their square root, so that a
    customer who was always the same needs more than one view above it."""
    mean = fmean(before)
    return (now - mean) / max(stdev(before), sqrt(mean))


def _not_met(reason: str) -> Result:
    return Result(Verdict.NOT_MET, reason=reason)
