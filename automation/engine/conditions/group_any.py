"""Any of these: *or*. A node that cannot be checked has no veto."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from automation.engine.conditions.base import Check, Condition, Example, Probe, condition
from automation.engine.logic import disjunction, either_names
from automation.engine.samples import facts
from automation.engine.types import Verdict

if TYPE_CHECKING:
    from automation.engine.conditions.base import Condition as Node


@condition
class AnyOf(Condition):
    """Met as soon as one node is met; else broken if one is broken."""

    label = "Any of these"
    kind = "Groups"
    help = "At least one condition in the group must hold."
    icon = "∨"
    joiner = "or"
    sentence = "any of: {conditions}"
    examples = (
        Example(
            "One of the two",
            {
                "type": "any",
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
            facts("page_view", profile={"country": "FR"}),
            Verdict.MET,
        ),
    )

    type: Literal["any"]
    conditions: list[Node] = Field(min_length=1, max_length=50, title="Conditions")

    def compile(self) -> Check:
        """The disjunction of the nodes."""
        return disjunction([node.compile() for node in self.conditions])

    def entry_names(self) -> frozenset[str] | None:
        """What any node allows."""
        return either_names(node.entry_names() for node in self.conditions)

    def children(self) -> Iterable[tuple[str, Condition]]:
        """The nodes with their places."""
        return [(f"/conditions/{index}", node) for index, node in enumerate(self.conditions)]

    def probes(self, pointer: str) -> Iterator[Probe]:
        """Itself and the lines of its nodes."""
        yield Probe(pointer, self.compile(), self.look)
        for place, node in self.children():
            yield from node.probes(pointer + place)

    def describe(self) -> str:
        """*(a or b)*."""
        words = " or ".join(node.describe() for node in self.conditions)
        return f"({words})" if len(self.conditions) > 1 else words
