"""A date of the customer, seen from today in the customer's own time zone."""

from __future__ import annotations

import datetime as dt
from calendar import isleap
from collections.abc import Callable, Iterable
from typing import Any, Literal

from pydantic import Field

from automation.engine import wording
from automation.engine.comparison import FieldPath
from automation.engine.conditions.base import Check, Condition, Example, condition
from automation.engine.operators import MET, MISSING, NOT_MET, broken
from automation.engine.paths import getter, parse
from automation.engine.problems import Problem
from automation.engine.samples import facts
from automation.engine.types import Facts, Result, Verdict
from automation.engine.values import instant

_ABSENT = Result(Verdict.NOT_MET, reason="The customer has no such date.")
_NO_DATE = broken("This value is not a date.")
_NO_VALUE = broken("The date to compare with cannot be read.")
_BIRTHDAY = {"type": "date", "attribute": "traits.birthday", "comparison": "anniversary"}

_LABELS = {
    "before": "is before",
    "after": "is after",
    "within_last": "is within the last",
    "within_next": "is within the next",
    "anniversary": "has its anniversary",
}


@condition
class Date(Condition):
    """A profile or event date compares with today or with a fixed date, by calendar days."""

    label = "Date"
    kind = "When"
    help = "Calendar days in the customer's time zone. An anniversary of 29 February is kept on the 28th."
    icon = "▦"
    sentence = "{attribute} {comparison} {value} {days}"
    examples = (
        Example(
            "Birthday today",
            _BIRTHDAY,
            facts(profile={"traits": {"birthday": "1990-06-02"}}),
            Verdict.MET,
        ),
        Example(
            "29 February in a year without one",
            _BIRTHDAY,
            facts(
                profile={"traits": {"birthday": "1992-02-29"}}, at=dt.datetime(2025, 2, 28, 9, tzinfo=dt.UTC)
            ),
            Verdict.MET,
        ),
        Example(
            "A subscription that ends within a week",
            {"type": "date", "attribute": "traits.renews_on", "comparison": "within_next", "days": 7},
            facts(profile={"traits": {"renews_on": "2025-06-10"}}),
            Verdict.NOT_MET,
        ),
    )

    type: Literal["date"]
    attribute: FieldPath = Field(title="Date", json_schema_extra={"x-source": "attributes"})
    comparison: Literal["before", "after", "within_last", "within_next", "anniversary"] = Field(
        title="Is", json_schema_extra={"x-labels": {**_LABELS}}
    )
    value: str | None = Field(
        default=None,
        max_length=40,
        title="Than",
        json_schema_extra={"format": "date", "x-when": {"comparison": ["before", "after"]}},
    )
    days: int | None = Field(
        default=None,
        ge=0,
        le=3650,
        title="Days",
        json_schema_extra={"x-when": {"comparison": ["within_last", "within_next"]}, "x-suffix": "days"},
    )
    days_before: int = Field(
        default=0,
        ge=0,
        le=365,
        title="Days ahead of the anniversary",
        json_schema_extra={"x-when": {"comparison": ["anniversary"]}},
    )

    def compile(self) -> Check:
        """Read the date, turn it into a local day, compare."""
        read = getter(parse(self.attribute, "profile"))
        holds = self._comparison()

        def check(facts: Facts) -> Result:
            value = read(facts.event, facts)
            if value is None or value is MISSING:
                return _ABSENT
            day = _local_day(value, facts)
            if day is None:
                return _NO_DATE
            return holds(day, facts)

        return check

    def _comparison(self) -> Callable[[dt.date, Facts], Result]:
        if self.comparison in ("before", "after"):
            fixed, is_before = self.value, self.comparison == "before"

            def compare(day: dt.date, facts: Facts) -> Result:
                bound = _local_day(fixed, facts)
                if bound is None:
                    return _NO_VALUE
                return MET if (day < bound if is_before else day > bound) else NOT_MET

            return compare
        if self.comparison == "anniversary":
            return self._anniversary
        span, sign = self.days or 0, -1 if self.comparison == "within_last" else 1

        def near(day: dt.date, facts: Facts) -> Result:
            return MET if 0 <= sign * (day - _today(facts)).days <= span else NOT_MET

        return near

    def _anniversary(self, day: dt.date, facts: Facts) -> Result:
        """Met on the day of a later year; the day itself is no anniversary."""
        target = _today(facts) + dt.timedelta(days=self.days_before)
        kept = dt.date(target.year, 2, 28) if _is_leap_day(day) and not isleap(target.year) else None
        is_day = target == kept if kept else (target.month, target.day) == (day.month, day.day)
        return MET if is_day and target.year > day.year else NOT_MET

    def look(self, facts: Facts) -> Any:
        """The value of the field."""
        return getter(parse(self.attribute, "profile"))(facts.event, facts)

    @property
    def needs_before(self) -> bool:
        """True for before.…"""
        return parse(self.attribute, "profile").reads_before

    def problems(self) -> Iterable[tuple[str, Problem]]:
        """Each comparison has its own right side."""
        needs_value, needs_days = self.comparison in ("before", "after"), self.comparison.startswith("within")
        if needs_value and instant(self.value) is None:
            yield "/value", Problem("Enter a date.", "For example 2025-12-24.")
        if not needs_value and self.value is not None:
            yield "/value", Problem("This comparison takes no date.", "Remove it.")
        if needs_days and self.days is None:
            yield "/days", Problem("Enter a number of days.", "0 means today.")
        if not needs_days and self.days is not None:
            yield "/days", Problem("This comparison takes no days.", "Remove them.")
        if self.days_before and self.comparison != "anniversary":
            yield "/days_before", Problem("Only an anniversary can be looked ahead to.", "Set it to 0.")
        if parse(self.attribute, "profile").is_array:
            yield "/attribute", Problem("One date is needed here, not a list.", "Use a field without [].")

    def describe(self) -> str:
        """*birthday has its anniversary today*."""
        subject = wording.name(self.attribute)
        if self.comparison in ("before", "after"):
            return f"{subject} is {self.comparison} {self.value}"
        if self.comparison == "anniversary":
            ahead = f"in {wording.plural(self.days_before, 'day')}" if self.days_before else "today"
            return f"{subject} has its anniversary {ahead}"
        return f"{subject} is {self.comparison.replace('_', ' the ')} {wording.plural(self.days or 0, 'day')}"


def _today(facts: Facts) -> dt.date:
    return facts.now.astimezone(facts.zone).date()


def _is_leap_day(day: dt.date) -> bool:
    return (day.month, day.day) == (2, 29)


def _local_day(value: Any, facts: Facts) -> dt.date | None:
    """A date without a time is that day everywhere; a moment is the day it has in the customer's zone."""
    if isinstance(value, str) and len(value) == 10:
        moment = instant(value)
        return None if moment is None else moment.date()
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    moment = instant(value)
    try:
        return None if moment is None else moment.astimezone(facts.zone).date()
    except OverflowError:  # The first or last day of the calendar.
        return None
