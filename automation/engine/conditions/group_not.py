"""None of these: *not*, of any."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from automation.engine.conditions.base import Check, Condition, Example, Probe, condition
from automation.engine.logic import disjunction, negation
from automation.engine.samples import facts
from automation.engine.types import Verdict

if TYPE_CHECKING:
    from automation.engine.conditions.base import Condition as Node


@condition
class NoneOf(Condition):
    """Met when no node is met; broken when that cannot be told."""

    label = "None of these"
    kind = "Groups"
    help = "No condition in the group may hold."
    icon = "¬"
    joiner = "or"
    sentence = "none of: {conditions}"
    examples = (
        Example(
            "Neither",
            {
                "type": "not",
                "conditions": [
                    {"type": "event_match", "event_type": "page_view"},
                    {
                        "type": "customer_attribute",
                        "attribute": "country",
                        "operator": "equals",
                        "value": "DE",
                    },
                ],
            },
            facts("search", profile={"country": "FR"}),
            Verdict.MET,
        ),
    )

    type: Literal["not"]
    conditions: list[Node] = Field(min_length=1, max_length=50, title="Conditions")

    def compile(self) -> Check:
        """The opposite of any."""
        return negation(disjunction([node.compile() for node in self.conditions]))

    def children(self) -> Iterable[tuple[str, Condition]]:
        """The nodes with their places."""
        return [(f"/conditions/{index}", node) for index, node in enumerate(self.conditions)]

    def probes(self, pointer: str) -> Iterator[Probe]:
        """Itself and the lines of its nodes."""
        yield Probe(pointer, self.compile(), self.look)
        for place, node in self.children():
            yield from node.probes(pointer + place)

    def describe(self) -> str:
        """*not (a or b)*."""
        words = " or ".join(node.describe() for node in self.conditions)
        return f"not ({words})"
