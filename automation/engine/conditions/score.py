"""A score of the customer, and the line that it crosses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field

from automation.engine import wording
from automation.engine.conditions.base import Check, Condition, Example, condition
from automation.engine.logic import ANY_EVENT
from automation.engine.operators import MET, NOT_MET, broken
from automation.engine.problems import Problem
from automation.engine.samples import facts
from automation.engine.types import Facts, Result, Verdict
from automation.engine.values import number

# Score -> (attribute of the profile, what it is called, largest value).
SCORES: dict[str, tuple[str, str, float]] = {
    "engagement": ("engagement_score", "engagement", 1),
    "churn_risk": ("churn_risk", "risk of leaving", 1),
    "predicted_value": ("predicted_value", "predicted value", 1e9),
}
_LABELS = {
    "at_least": "is at least",
    "below": "is below",
    "rose_to": "has just risen to",
    "fell_below": "has just fallen below",
}
_UNKNOWN = Result(Verdict.NOT_MET, reason="This score of the customer is not known.")
_NO_EARLIER = Result(Verdict.NOT_MET, reason="The score before this event is not known.")
_NO_NUMBER = broken("This score is not a number.")


@condition
class Score(Condition):
    """The score is on one side of a line, or was on the other side before this event."""

    label = "Score"
    kind = "Who it is"
    help = "Looked at when an event arrives, that event counted. A score that is not known is not met."
    icon = "◔"
    sentence = "{score} {comparison} {value}"
    examples = (
        Example(
            "A lively customer",
            {"type": "score", "score": "engagement", "comparison": "at_least", "value": 0.6},
            facts(profile={"engagement_score": 0.72}),
            Verdict.MET,
        ),
        Example(
            "Has just become likely to leave",
            {"type": "score", "score": "churn_risk", "comparison": "rose_to", "value": 0.7},
            facts(profile={"churn_risk": 0.74}, before={"churn_risk": 0.55}),
            Verdict.MET,
        ),
        Example(
            "Was already so before",
            {"type": "score", "score": "churn_risk", "comparison": "rose_to", "value": 0.7},
            facts(profile={"churn_risk": 0.74}, before={"churn_risk": 0.71}),
            Verdict.NOT_MET,
        ),
        Example(
            "Nobody has predicted anything",
            {"type": "score", "score": "predicted_value", "comparison": "at_least", "value": 200},
            facts(profile={}),
            Verdict.NOT_MET,
        ),
    )

    type: Literal["score"]
    score: Literal["engagement", "churn_risk", "predicted_value"] = Field(
        title="Score", json_schema_extra={"x-labels": {key: name for key, (_, name, _) in SCORES.items()}}
    )
    comparison: Literal["at_least", "below", "rose_to", "fell_below"] = Field(
        title="Compares", json_schema_extra={"x-labels": {**_LABELS}}
    )
    value: float = Field(ge=0, le=1e9, title="Line", description="Engagement and risk go from 0 to 1.")

    def compile(self) -> Check:
        """The side of the line now, and for a crossing the side before."""
        attribute, line = SCORES[self.score][0], number(self.value)
        is_above = self.comparison in ("at_least", "rose_to")
        crosses = self.comparison in ("rose_to", "fell_below")

        def check(facts: Facts) -> Result:
            now = _read(facts.profile, attribute)
            if isinstance(now, Result):
                return now
            if (now >= line) is not is_above:
                return NOT_MET
            if not crosses:
                return MET
            then = _read(facts.before, attribute)
            if isinstance(then, Result):
                return _NO_EARLIER if then is _UNKNOWN else then
            return NOT_MET if (then >= line) is is_above else MET

        return check

    def look(self, facts: Facts) -> Any:
        """The score, with the one before when that counts."""
        attribute = SCORES[self.score][0]
        if not self.needs_before:
            return facts.profile.get(attribute)
        return {"now": facts.profile.get(attribute), "before": facts.before.get(attribute)}

    @property
    def needs_before(self) -> bool:
        """True for a crossing."""
        return self.comparison in ("rose_to", "fell_below")

    def entry_names(self) -> frozenset[str] | None:
        """A change is brought along by any event; how things are enters nobody."""
        return ANY_EVENT if self.needs_before else None

    def problems(self) -> Iterable[tuple[str, Problem]]:
        """A line that no score can reach, and one that none can be below."""
        _, name, most = SCORES[self.score]
        if self.value > most:
            yield "/value", Problem(f"Line: {name} goes from 0 to {most:g}.", "Use a number between.")
        if self.value == 0 and self.comparison in ("below", "fell_below"):
            yield "/value", Problem("Line: nothing is below 0.", "Use a number above 0.")

    def describe(self) -> str:
        """*risk of leaving has just risen to 0.7*."""
        return f"{SCORES[self.score][1]} {_LABELS[self.comparison]} {wording.plain_number(self.value)}"


def _read(profile: Mapping[str, Any], attribute: str) -> Any:
    """The score as a number, or the result that says why there is none."""
    value = profile.get(attribute)
    if value is None:
        return _UNKNOWN
    found = number(value)
    return _NO_NUMBER if found is None else found
