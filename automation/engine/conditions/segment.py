"""Membership in a segment."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from automation.engine import wording
from automation.engine.conditions.base import MAX_HOURS, Check, Condition, Example, condition
from automation.engine.operators import MET, NOT_MET
from automation.engine.problems import Problem
from automation.engine.samples import NOON, facts
from automation.engine.types import Facts, Result, Verdict
from automation.engine.window import hours


@condition
class Segment(Condition):
    """The customer is, or is not, in the segment; when in, for at least so long."""

    label = "Segment"
    kind = "Who it is"
    help = "Whether the customer is in a segment, and for how long."
    icon = "◔"
    sentence = "they are {membership} the segment {segment}"
    examples = (
        Example(
            "At risk for at least two days",
            {"type": "segment", "segment": "at_risk", "since_hours": 48},
            facts(segments={"at_risk": NOON - timedelta(days=3)}),
            Verdict.MET,
        ),
        Example(
            "Not a VIP",
            {"type": "segment", "segment": "vip", "membership": "not_in"},
            facts(segments={"vip": NOON - timedelta(days=3)}),
            Verdict.NOT_MET,
        ),
    )

    type: Literal["segment"]
    segment: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,100}$")] = Field(
        title="Segment", json_schema_extra={"x-source": "segments"}
    )
    membership: Literal["in", "not_in"] = Field(
        default="in", title="Is", json_schema_extra={"x-labels": {"in": "in", "not_in": "not in"}}
    )
    since_hours: float | None = Field(
        default=None,
        gt=0,
        le=MAX_HOURS,
        title="For at least",
        json_schema_extra={"x-unit": "hours", "x-when": {"membership": ["in"]}},
    )

    def compile(self) -> Check:
        """A dictionary look-up."""
        key, long = self.segment, None if self.since_hours is None else hours(self.since_hours)
        if self.membership == "not_in":
            return lambda facts: NOT_MET if key in facts.segments else MET

        def check(facts: Facts) -> Result:
            since = facts.segments.get(key)
            return MET if since is not None and (long is None or facts.now - since >= long) else NOT_MET

        return check

    def look(self, facts: Facts) -> Any:
        """Since when the customer is in it."""
        return facts.segments.get(self.segment)

    @property
    def needs_segments(self) -> bool:
        """It does."""
        return True

    def problems(self) -> Iterable[tuple[str, Problem]]:
        """How long someone has been outside is not known."""
        if self.membership == "not_in" and self.since_hours is not None:
            yield "/since_hours", Problem("How long a customer is outside is not known.", "Remove the time.")

    def describe(self) -> str:
        """*in segment “vip” for at least 2 days*."""
        place = "in" if self.membership == "in" else "not in"
        text = f"{place} segment {wording.literal(self.segment)}"
        return (
            text
            if self.since_hours is None
            else (f"{text} for at least {wording.duration(self.since_hours * 60)}")
        )
