"""This event's name and data (S-118): the WHEN of most triggers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, Literal

from pydantic import Field

from automation.engine import wording
from automation.engine.comparison import DataConditions, all_of, rows_problems, where
from automation.engine.conditions.base import Check, Condition, EventName, Example, Probe, condition
from automation.engine.logic import ANY_EVENT
from automation.engine.operators import MET, NOT_MET
from automation.engine.problems import Problem
from automation.engine.samples import facts
from automation.engine.types import Event, Facts, Result, Verdict


@condition
class EventMatch(Condition):
    """The current event has this name and its data satisfy all rows."""

    label = "Event"
    kind = "What happens now"
    help = "The event that just arrived. The first one of a trigger is its WHEN."
    icon = "⚡"
    sentence = "{event_type} happens"
    examples = (
        Example(
            "A cart worth more than 50 is abandoned",
            {
                "type": "event_match",
                "event_type": "cart_abandonment",
                "data_conditions": [{"field": "total_value", "operator": "greater_than", "value": 50}],
            },
            facts("cart_abandonment", {"total_value": 74.5}),
            Verdict.MET,
        ),
        Example(
            "Another event",
            {"type": "event_match", "event_type": "cart_abandonment"},
            facts("page_view"),
            Verdict.NOT_MET,
        ),
        Example(
            "The items of an order add up to at least 100",
            {
                "type": "event_match",
                "event_type": "purchase_completed",
                "data_conditions": [
                    {
                        "field": "items[].price",
                        "operator": "greater_than_or_equal",
                        "value": 100,
                        "over": "sum",
                    }
                ],
            },
            facts("purchase_completed", {"items": [{"price": "59.90"}, {"price": 40.1}]}),
            Verdict.MET,
        ),
        Example(
            "A list where a number is due cannot be compared",
            {
                "type": "event_match",
                "event_type": "cart_abandonment",
                "data_conditions": [{"field": "total_value", "operator": "greater_than", "value": 50}],
            },
            facts("cart_abandonment", {"total_value": [1, 2]}),
            Verdict.BROKEN,
        ),
    )

    type: Literal["event_match"]
    event_type: EventName | None = Field(
        default=None, title="Event", json_schema_extra={"x-source": "event_types"}
    )
    data_conditions: DataConditions = Field(default=[])

    def compile(self) -> Check:
        """Name first, then the rows, leaving at the first that is not met."""
        wanted, test = self.event_type, all_of(self.data_conditions)
        if wanted is None:
            return lambda facts: test(facts.event, facts)
        if not self.data_conditions:
            return lambda facts: MET if facts.event.name == wanted else NOT_MET

        def check(facts: Facts) -> Result:
            event = facts.event
            return test(event, facts) if event.name == wanted else NOT_MET

        return check

    def look(self, facts: Facts) -> Any:
        """The name of the event."""
        return facts.event.name

    @property
    def needs_before(self) -> bool:
        """True when a row reads the profile before the event."""
        return any(row.needs_before for row in self.data_conditions)

    def entry_names(self) -> frozenset[str] | None:
        """The name, or any."""
        return frozenset({self.event_type}) if self.event_type else ANY_EVENT

    def probes(self, pointer: str) -> Iterator[Probe]:
        """Itself and one line per row."""
        yield Probe(pointer, self.compile(), self.look, is_and=True)
        if self.event_type is not None:
            name_only = EventMatch(type="event_match", event_type=self.event_type)
            yield Probe(f"{pointer}/event_type", name_only.compile(), self.look)
        for index, row in enumerate(self.data_conditions):
            yield Probe(
                f"{pointer}/data_conditions/{index}",
                partial(_on_current, row.test()),
                partial(_seen_now, row.seen),
            )

    def problems(self) -> Iterable[tuple[str, Problem]]:
        """Something must be asked for."""
        if self.event_type is None and not self.data_conditions:
            yield "", Problem("This would match every event.", "Choose an event, or add a row.")
        yield from rows_problems(self.data_conditions)

    def describe(self) -> str:
        """*cart abandonment happens where total value is more than 50*."""
        subject = wording.name(self.event_type) if self.event_type else "any event"
        return f"{subject} happens{where(self.data_conditions)}"


def _on_current(test: Any, facts: Facts) -> Result:
    result: Result = test(facts.event, facts)
    return result


def _seen_now(seen: Any, facts: Facts) -> Any:
    event: Event = facts.event
    return seen(event, facts)
