"""The day of the week, in the customer's time zone (S-125)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from automation.engine import wording
from automation.engine.conditions.base import Check, Condition, Example, condition
from automation.engine.operators import MET, NOT_MET
from automation.engine.problems import Problem
from automation.engine.samples import facts
from automation.engine.types import Facts, Verdict


@condition
class DayOfWeek(Condition):
    """Now is one of these days where the customer is."""

    variant_field: ClassVar[str] = "time_condition_type"
    label = "Day of the week"
    kind = "When"
    help = "In the customer's time zone; judged again at the moment of delivery."
    icon = "▦"
    sentence = "it is {allowed_days} for the customer"
    examples = (
        Example(
            "Working days",
            {"type": "time_based", "time_condition_type": "day_of_week", "allowed_days": [0, 1, 2, 3, 4]},
            facts(),
            Verdict.MET,
        ),
        Example(
            "Weekends",
            {"type": "time_based", "time_condition_type": "day_of_week", "allowed_days": [5, 6]},
            facts(),
            Verdict.NOT_MET,
        ),
    )

    type: Literal["time_based"]
    time_condition_type: Literal["day_of_week"]
    allowed_days: list[Annotated[int, Field(ge=0, le=6)]] = Field(
        min_length=1,
        max_length=7,
        title="Days",
        description="Monday is 0.",
        json_schema_extra={
            "x-widget": "days",
            "x-labels": {str(day): name for day, name in enumerate(wording.DAYS)},
        },
    )

    def compile(self) -> Check:
        """The local weekday of the moment of judgement."""
        days = frozenset(self.allowed_days)
        return lambda facts: MET if facts.now.astimezone(facts.zone).weekday() in days else NOT_MET

    def look(self, facts: Facts) -> Any:
        """The name of the day."""
        return wording.DAYS[facts.now.astimezone(facts.zone).weekday()]

    def problems(self) -> Iterable[tuple[str, Problem]]:
        """No day twice."""
        if len(set(self.allowed_days)) < len(self.allowed_days):
            yield "/allowed_days", Problem("A day is listed twice.", "Remove one of the two.")

    def describe(self) -> str:
        """*it is Monday or Tuesday for the customer*."""
        days = ", ".join(wording.DAYS[day] for day in sorted(set(self.allowed_days))[:-1])
        last = wording.DAYS[max(self.allowed_days)]
        return f"it is {days} or {last} for the customer" if days else f"it is {last} for the customer"
