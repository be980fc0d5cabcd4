"""A time of the year that comes back every year (S-052)."""

from __future__ import annotations

import datetime as dt
from calendar import isleap
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from automation.engine.conditions.base import Check, Condition, Example, condition
from automation.engine.operators import MET, NOT_MET
from automation.engine.problems import Problem
from automation.engine.samples import facts
from automation.engine.types import Facts, Result, Verdict

Day = Annotated[str, StringConstraints(pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$")]
_LEAP = 2024  # A year that has every day.
_MONTHS = (
    "January February March April May June July August September October November December".split()
)  # fmt: skip


@condition
class Season(Condition):
    """Today lies between two days of the year, both included, by the customer's own calendar."""

    label = "Season"
    kind = "Where and when"
    help = "Every year, both days included, in the customer's time zone; may pass New Year."
    icon = "❄"
    sentence = "it is between {start} and {end} for the customer"
    examples = (
        Example("Early summer", {"type": "season", "start": "06-01", "end": "06-21"}, facts(), Verdict.MET),
        Example(
            "The holidays, past New Year, on their last day",
            {"type": "season", "start": "12-20", "end": "01-06"},
            facts(at=dt.datetime(2025, 1, 6, 22, tzinfo=dt.UTC)),
            Verdict.MET,
        ),
        Example(
            "The day after",
            {"type": "season", "start": "12-20", "end": "01-06"},
            facts(at=dt.datetime(2025, 1, 7, 0, tzinfo=dt.UTC)),
            Verdict.NOT_MET,
        ),
        Example(
            "29 February is kept on the 28th in a year without one",
            {"type": "season", "start": "02-29", "end": "02-29"},
            facts(at=dt.datetime(2025, 2, 28, 9, tzinfo=dt.UTC)),
            Verdict.MET,
        ),
    )

    type: Literal["season"]
    start: Day = Field(title="From", description="Month and day, as 12-20.")
    end: Day = Field(title="To", description="Month and day, as 01-06; that day included.")

    def compile(self) -> Check:
        """By month and day, so that the year does not matter."""
        first, last = _day(self.start), _day(self.end)
        leap = (2, 29)

        def check(facts: Facts) -> Result:
            today = facts.now.astimezone(facts.zone)
            start, end, day = first, last, (today.month, today.day)
            if leap in (first, last) and not isleap(today.year):
                start, end = ((2, 28) if bound == leap else bound for bound in (first, last))
            if start <= end:
                return MET if start <= day <= end else NOT_MET
            return MET if day >= start or day <= end else NOT_MET

        return check

    def look(self, facts: Facts) -> Any:
        """The customer's date."""
        return facts.now.astimezone(facts.zone).date().isoformat()

    def problems(self) -> Iterable[tuple[str, Problem]]:
        """Both are days that there are."""
        for field in ("start", "end"):
            try:
                dt.date(_LEAP, *_day(getattr(self, field)))
            except ValueError:
                yield f"/{field}", Problem("There is no such day.", "Write month and day, as 12-20.")

    def describe(self) -> str:
        """*it is between 20 December and 6 January for the customer*."""
        (first_month, first), (last_month, last) = _day(self.start), _day(self.end)
        start, end = f"{first} {_MONTHS[first_month - 1]}", f"{last} {_MONTHS[last_month - 1]}"
        return f"it is {start}" if start == end else f"it is between {start} and {end} for the customer"


def _day(text: str) -> tuple[int, int]:
    month, day = text.split("-")
    return int(month), int(day)
