"""How often something happened in a window, or what its values add up to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

from pydantic import Field

from automation.engine import wording
from automation.engine.comparison import DataConditions, FieldPath, all_of, rows_problems, where
from automation.engine.conditions.base import (
    MAX_HOURS,
    MAX_NUMBER,
    Check,
    Condition,
    EventName,
    Example,
    condition,
)
from automation.engine.operators import OPERATORS, broken
from automation.engine.paths import getter, parse
from automation.engine.problems import Problem
from automation.engine.quantifiers import AGGREGATES, mean
from automation.engine.samples import facts
from automation.engine.types import Event, Facts, Lookback, Result, Verdict
from automation.engine.values import MISSING
from automation.engine.window import hours, up_to_now

_COMPARISONS = {"greater_than_or_equal": "at least", "less_than_or_equal": "at most", "equals": "exactly"}
_AGGREGATES = {"sum": AGGREGATES["sum"], "avg": mean, "min": AGGREGATES["min"], "max": AGGREGATES["max"]}
_MEASURES = {
    "count": "the number",
    "sum": "the sum of the",
    "avg": "the average",
    "min": "the smallest",
    "max": "the largest",
}
_NOT_NUMBERS = broken("A value to be added up is not a number.")
_UNCLEAR = broken("Some events in the window could not be compared.")
_NOTHING = Result(Verdict.NOT_MET, reason="No event in the window has this value.")


@condition
class EventCount(Condition):
    """The number of events, or an aggregate of one property, compares with a number."""

    label = "How often"
    kind = "What happened before"
    help = "Counts events in a window that ends now, the current one included."
    icon = "№"
    sentence = "{aggregate} {field} of {event_type} is {operator} {value} in the last {timeframe_hours}"
    examples = (
        Example(
            "Three views in a day, this one included",
            {"type": "event_count", "event_type": "product_view", "value": 3},
            facts("product_view", past=[(1, "product_view"), (2, "product_view")]),
            Verdict.MET,
        ),
        Example(
            "Orders of the month add up to exactly 0.3, without rounding",
            {
                "type": "event_count",
                "event_type": "purchase_completed",
                "aggregate": "sum",
                "field": "total",
                "operator": "equals",
                "value": 0.3,
                "timeframe_hours": 720,
            },
            facts("purchase_completed", {"total": 0.1}, past=[(5, "purchase_completed", {"total": "0.2"})]),
            Verdict.MET,
        ),
        Example(
            "Outside the window",
            {"type": "event_count", "event_type": "product_view", "value": 1, "timeframe_hours": 2},
            facts("page_view", past=[(2.5, "product_view")]),
            Verdict.NOT_MET,
        ),
    )

    type: Literal["event_count"]
    event_type: EventName = Field(title="Event", json_schema_extra={"x-source": "event_types"})
    data_conditions: DataConditions = Field(default=[])
    aggregate: Literal["count", "sum", "avg", "min", "max"] = Field(
        default="count", title="Measure", json_schema_extra={"x-labels": {**_MEASURES}}
    )
    field: FieldPath | None = Field(
        default=None,
        title="Of the field",
        json_schema_extra={"x-source": "event_fields", "x-when": {"aggregate": ["sum", "avg", "min", "max"]}},
    )
    operator: Literal["greater_than_or_equal", "less_than_or_equal", "equals"] = Field(
        default="greater_than_or_equal", title="Operator", json_schema_extra={"x-labels": {**_COMPARISONS}}
    )
    value: float = Field(ge=-MAX_NUMBER, le=MAX_NUMBER, title="Number")
    timeframe_hours: float = Field(
        default=24, gt=0, le=MAX_HOURS, title="In the last", json_schema_extra={"x-unit": "hours"}
    )

    def _events(self) -> Callable[[Facts], tuple[list[Event], int]]:
        """(events that pass the rows, how many could not be compared)."""
        test, window, names = all_of(self.data_conditions), hours(self.timeframe_hours), (self.event_type,)

        def passing(facts: Facts) -> tuple[list[Event], int]:
            passed, unclear = [], 0
            for event in up_to_now(facts, names, window):
                verdict = test(event, facts).verdict
                if verdict is Verdict.MET:
                    passed.append(event)
                unclear += verdict is Verdict.BROKEN
            return passed, unclear

        return passing

    def _measure(self) -> Callable[[list[Event], Facts], Any]:
        """The number, MISSING when there is nothing to measure, None when a value is not a number."""
        if self.aggregate == "count" or not self.field:
            return lambda events, facts: len(events)
        read, aggregate = getter(parse(self.field)), _AGGREGATES[self.aggregate]

        def measure(events: list[Event], facts: Facts) -> Any:
            values = [read(event, facts) for event in events]
            return aggregate([value for value in values if value is not MISSING])

        return measure

    def compile(self) -> Check:
        """Count, then compare as the operators do. Events that could not be compared may leave it open."""
        events_of, measure, compare = (
            self._events(),
            self._measure(),
            OPERATORS[self.operator].bind(self.value),
        )
        is_count = self.aggregate == "count"

        def check(facts: Facts) -> Result:
            events, unclear = events_of(facts)
            value = measure(events, facts)
            if value is None:
                return _NOT_NUMBERS
            if unclear and not is_count:
                return _UNCLEAR
            if value is MISSING:
                return _NOTHING
            result = compare(value, facts.now, MISSING)
            possible = (compare(value + more, facts.now, MISSING) for more in range(1, unclear + 1))
            return _UNCLEAR if any(other is not result for other in possible) else result

        return check

    def look(self, facts: Facts) -> Any:
        """The number."""
        return self._measure()(self._events()(facts)[0], facts)

    def lookback(self) -> Lookback | None:
        """The events counted."""
        return Lookback(hours(self.timeframe_hours), frozenset({self.event_type}))

    @property
    def needs_before(self) -> bool:
        """True when a row reads the profile before the event."""
        return any(row.needs_before for row in self.data_conditions)

    def problems(self) -> Iterable[tuple[str, Problem]]:
        """A sum needs a field, a count none; counts are whole and up to 1,000."""
        yield from rows_problems(self.data_conditions)
        if self.aggregate != "count" and self.field is None:
            yield "/field", Problem("Choose the field that is measured.", "For example total.")
        if self.field is not None and (self.aggregate == "count" or parse(self.field).is_array):
            yield "/field", Problem("Counting takes no field, and measuring one single value.", "Remove [].")
        if self.aggregate == "count" and not (0 <= self.value <= 1000 and self.value == int(self.value)):
            yield "/value", Problem("Number: use a whole number from 0 to 1,000.")
        if self.aggregate == "count" and self.value == 0 and self.operator == "greater_than_or_equal":
            yield "/value", Problem("At least 0 times is always true.", "Use 1, or “exactly 0”.")

    def describe(self) -> str:
        """*product view happened at least 3 times in the last day*."""
        comparison, number = _COMPARISONS[self.operator], wording.plain_number(self.value)
        subject = f"{wording.name(self.event_type)}{where(self.data_conditions)}"
        window = wording.last(self.timeframe_hours * 60)
        if self.aggregate == "count":
            times = "time" if self.value == 1 else "times"
            return f"{subject} happened {comparison} {number} {times} in the last {window}"
        measure = {"sum": "sum", "avg": "average", "min": "smallest", "max": "largest"}[self.aggregate]
        field = wording.name(self.field or "")
        return f"the {measure} {field} of {subject} in the last {window} is {comparison} {number}"
