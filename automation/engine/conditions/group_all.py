"""All of these: *and* inside another group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from automation.engine.conditions.base import Check, Condition, Example, Probe, condition
from automation.engine.logic import conjunction, joined_names
from automation.engine.samples import facts
from automation.engine.types import Verdict

if TYPE_CHECKING:
    from automation.engine.conditions.base import Condition as Node


@condition
class All(Condition):
    """Met when every node is met; not met as soon as one is not; else broken."""

    label = "All of these"
    kind = "Groups"
    help = "Every condition in the group must hold."
    icon = "∧"
    joiner = "and"
    sentence = "all of: {conditions}"
    examples = (
        Example(
            "Both",
            {
                "type": "all",
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
            facts("page_view", profile={"country": "DE"}),
            Verdict.MET,
        ),
    )

    type: Literal["all"]
    conditions: list[Node] = Field(min_length=1, max_length=50, title="Conditions")

    def compile(self) -> Check:
        """The conjunction of the nodes."""
        return conjunction([node.compile() for node in self.conditions])

    def entry_names(self) -> frozenset[str] | None:
        """What all nodes agree on."""
        return joined_names(node.entry_names() for node in self.conditions)

    def children(self) -> Iterable[tuple[str, Condition]]:
        """The nodes with their places."""
        return [(f"/conditions/{index}", node) for index, node in enumerate(self.conditions)]

    def probes(self, pointer: str) -> Iterator[Probe]:
        """Itself and the lines of its nodes."""
        yield Probe(pointer, self.compile(), self.look, is_and=True)
        for place, node in self.children():
            yield from node.probes(pointer + place)

    def describe(self) -> str:
        """*(a and b)*."""
        words = " and ".join(node.describe() for node in self.conditions)
        return f"({words})" if len(self.conditions) > 1 else words
