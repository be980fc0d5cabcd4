"""The time of day, in the customer's time zone (S-126)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints

from automation.engine.conditions.base import Check, Condition, Example, condition
from automation.engine.operators import MET, NOT_MET
from automation.engine.problems import Problem
from automation.engine.samples import facts
from automation.engine.types import Facts, Result, Verdict

_DAY = 24 * 60

Start = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
End = Annotated[str, StringConstraints(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]


@condition
class TimeOfDay(Condition):
    """Now is within the range where the customer is: start included, end not; it may pass midnight.

    `start_hour` and `end_hour` are the source's. Its defaults, 0 and 23, mean the whole day.
    """

    variant_field: ClassVar[str] = "time_condition_type"
    label = "Time of day"
    kind = "When"
    help = "In the customer's time zone, from start up to but not including the end; may pass midnight."
    icon = "◷"
    sentence = "it is between {start} and {end} for the customer"
    examples = (
        Example(
            "Office hours",
            {"type": "time_based", "time_condition_type": "time_of_day", "start": "09:00", "end": "17:30"},
            facts(),
            Verdict.MET,
        ),
        Example(
            "At night, past midnight",
            {"type": "time_based", "time_condition_type": "time_of_day", "start_hour": 22, "end_hour": 6},
            facts(at=dt.datetime(2025, 6, 2, 5, 59, tzinfo=dt.UTC)),
            Verdict.MET,
        ),
        Example(
            "The end is not included",
            {"type": "time_based", "time_condition_type": "time_of_day", "start_hour": 9, "end_hour": 12},
            facts(),
            Verdict.NOT_MET,
        ),
    )

    type: Literal["time_based"]
    time_condition_type: Literal["time_of_day"]
    start: Start | None = Field(default=None, title="From", json_schema_extra={"format": "time"})
    end: End | None = Field(default=None, title="To", json_schema_extra={"format": "time"})
    start_hour: int | None = Field(
        default=None, ge=0, le=23, title="From hour", json_schema_extra={"x-instead-of": "start"}
    )
    end_hour: int | None = Field(
        default=None, ge=0, le=24, title="To hour", json_schema_extra={"x-instead-of": "end"}
    )

    @property
    def minutes(self) -> tuple[int, int]:
        """(start, end) in minutes of the day."""
        start = _minutes(self.start) if self.start else (self.start_hour or 0) * 60
        if self.end is not None:
            return start, _minutes(self.end)
        return start, _DAY if self._is_whole_day or self.end_hour is None else self.end_hour * 60

    @property
    def _is_whole_day(self) -> bool:
        """The source's defaults, written out."""
        return self.end_hour == 23 and not self.start_hour and self.start is None

    def compile(self) -> Check:
        """Half-open; a range whose end comes first passes midnight. By the clock on the wall, so DST-safe."""
        start, end = self.minutes
        passes_midnight = start > end

        def check(facts: Facts) -> Result:
            local = facts.now.astimezone(facts.zone)
            minute = local.hour * 60 + local.minute
            if passes_midnight:
                return MET if minute >= start or minute < end else NOT_MET
            return MET if start <= minute < end else NOT_MET

        return check

    def look(self, facts: Facts) -> Any:
        """The customer's time."""
        return facts.now.astimezone(facts.zone).strftime("%H:%M")

    def problems(self) -> Iterable[tuple[str, Problem]]:
        """One way of writing each side, and a range that is not empty."""
        for side in ("start", "end"):
            if getattr(self, side) is not None and getattr(self, f"{side}_hour") is not None:
                yield f"/{side}_hour", Problem("The same time is given twice.", "Keep only one of the two.")
        start, end = self.minutes
        if start == end:
            yield "/end" if self.end else "/end_hour", Problem("Start and end are the same.", "Change one.")

    def describe(self) -> str:
        """*it is between 09:00 and 17:30 for the customer*."""
        start, end = self.minutes
        if (start, end) == (0, _DAY):
            return "it is any time of day"
        return f"it is between {_clock(start)} and {_clock(end)} for the customer"


def _minutes(clock: str) -> int:
    hour, minute = clock.split(":")
    return int(hour) * 60 + int(minute)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
