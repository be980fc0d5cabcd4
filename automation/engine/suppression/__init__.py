"""The judge: an ordered tuple of pure checks, and the contest of triggers for one slot."""

from automation.engine.suppression.checks import CHECKS, GATES
from automation.engine.suppression.data import (
    Ask,
    Cap,
    CustomerState,
    Fired,
    Grant,
    Held,
    Judgement,
    Outcome,
    Policy,
)
from automation.engine.suppression.judge import arbitrate, judge

__all__ = [
    "CHECKS",
    "GATES",
    "Ask",
    "Cap",
    "CustomerState",
    "Fired",
    "Grant",
    "Held",
    "Judgement",
    "Outcome",
    "Policy",
    "arbitrate",
    "judge",
]
