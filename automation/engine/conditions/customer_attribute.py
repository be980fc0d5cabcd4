"""A field of the customer's profile or a trait (S-123), after this event was applied."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal

from pydantic import Field

from automation.engine.comparison import Comparison, FieldPath
from automation.engine.conditions.base import Check, Condition, Example, condition
from automation.engine.problems import Problem
from automation.engine.samples import facts
from automation.engine.types import Facts, Verdict


@condition
class CustomerAttribute(Comparison, Condition):
    """The profile field compares as the operator says."""

    place: ClassVar[str] = "attribute"
    root: ClassVar[str] = "profile"

    label = "Customer"
    kind = "Who it is"
    help = "What is known about the customer, such as their plan or what they have spent, with this event counted."
    icon = "♟"
    sentence = "the customer's {attribute} {operator} {value}"
    examples = (
        Example(
            "Valuable customers",
            {
                "type": "customer_attribute",
                "attribute": "total_spent",
                "operator": "greater_than",
                "value": 100,
            },
            facts(profile={"total_spent": "250.00"}),
            Verdict.MET,
        ),
        Example(
            "The plan has just become pro",
            {
                "type": "customer_attribute",
                "attribute": "traits.plan",
                "operator": "changed_to",
                "value": "pro",
            },
            facts(profile={"traits": {"plan": "pro"}}, before={"traits": {"plan": "free"}}),
            Verdict.MET,
        ),
        Example(
            "An unknown value is not more than anything",
            {
                "type": "customer_attribute",
                "attribute": "total_spent",
                "operator": "greater_than",
                "value": 100,
            },
            facts(profile={}),
            Verdict.NOT_MET,
        ),
    )

    type: Literal["customer_attribute"]
    attribute: FieldPath = Field(title="Profile field", json_schema_extra={"x-source": "attributes"})

    def compile(self) -> Check:
        """The comparison on the profile."""
        test = self.test()
        return lambda facts: test(facts.event, facts)

    def look(self, facts: Facts) -> Any:
        """The value of the field."""
        return self.seen(facts.event, facts)

    @property
    def needs_before(self) -> bool:
        """True for before.… and for changed."""
        return Comparison.needs_before.fget(self)  # type: ignore[attr-defined, no-any-return]

    def problems(self) -> Iterable[tuple[str, Problem]]:
        """Those of the comparison."""
        return Comparison.problems(self)

    def describe(self) -> str:
        """*total spent is more than 100*."""
        return Comparison.describe(self)
