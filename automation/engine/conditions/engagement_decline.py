"""The customer does less than usual (S-120)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from automation.engine import wording
from automation.engine.conditions.base import MAX_HOURS, Check, Condition, EventName, Example, condition
from automation.engine.operators import MET
from automation.engine.problems import Problem
from automation.engine.samples import facts
from automation.engine.types import Event, Facts, Lookback, Result, Verdict
from automation.engine.window import MAX_EVENTS, hours, up_to_now

# What a customer does when engaged; opens and clicks that a machine made do not count.
ENGAGING = [
    "email_opened",
    "email_clicked",
    "sms_clicked",
    "push_clicked",
    "page_view",
    "screen_view",
    "product_view",
    "category_viewed",
    "search",
    "session_started",
    "add_to_cart",
    "checkout_started",
    "purchase_completed",
    "form_submitted",
]


class _Rates(NamedTuple):
    recent: int
    baseline: int
    expected: float  # In the window, had the customer gone on as before.

    @property
    def decline(self) -> float:
        """Percent below the baseline rate; negative when more."""
        return 100 * (1 - self.recent / self.expected) if self.expected else 0.0


@condition
class EngagementDecline(Condition):
    """The rate in the window is so much below the rate in the customer's own time before it."""

    variant_field: ClassVar[str] = "pattern_type"
    label = "Engagement declines"
    kind = "How they behave"
    help = "Compares a window with the customer's own time before it. Too little evidence is not a decline."
    icon = "↘"
    sentence = (
        "engagement in the last {timeframe_hours} is at least {decline_percent} % "
        "below the {baseline_hours} before"
    )
    examples = (
        Example(
            "Daily visits have stopped",
            {"type": "behavior_pattern", "pattern_type": "engagement_decline", "timeframe_hours": 168},
            facts("email_delivered", past=[(24 * day, "page_view") for day in range(8, 30)]),
            Verdict.MET,
        ),
        Example(
            "Three visits in a month are no baseline",
            {"type": "behavior_pattern", "pattern_type": "engagement_decline", "timeframe_hours": 168},
            facts("email_delivered", past=[(24 * day, "page_view") for day in (10, 18, 25)]),
            Verdict.NOT_MET,
        ),
        Example(
            "As lively as ever",
            {"type": "behavior_pattern", "pattern_type": "engagement_decline", "timeframe_hours": 168},
            facts("page_view", past=[(24 * day, "page_view") for day in range(1, 30)]),
            Verdict.NOT_MET,
        ),
    )

    type: Literal["behavior_pattern"]
    pattern_type: Literal["engagement_decline"]
    timeframe_hours: float = Field(
        default=24, gt=0, le=2160, title="Window", json_schema_extra={"x-unit": "hours"}
    )
    baseline_hours: float = Field(
        default=720, gt=0, le=MAX_HOURS - 2160, title="Compared with", json_schema_extra={"x-unit": "hours"}
    )
    decline_percent: float = Field(default=50, ge=1, le=100, title="Decline")
    min_baseline_events: int = Field(default=5, ge=1, le=1000, title="Evidence: events before")
    min_expected: float = Field(
        default=1, ge=0, le=1000, title="Evidence: events to be expected in the window"
    )
    events: list[EventName] = Field(
        default=ENGAGING,
        min_length=1,
        max_length=50,
        title="Events",
        json_schema_extra={"x-source": "event_types"},
    )

    def _rates(self, facts: Facts) -> _Rates:
        window, before = hours(self.timeframe_hours), hours(self.baseline_hours)
        found = [e for e in up_to_now(facts, self._names, window + before) if not _is_machine(e)]
        border = facts.now - window
        recent = sum(event.occurred_at >= border for event in found)
        baseline = len(found) - recent
        span = before
        if len(found) >= MAX_EVENTS and found[0].occurred_at < border:
            span = border - found[0].occurred_at  # Older events were not read; they are not absent.
        return _Rates(recent, baseline, baseline * (window / span))

    @property
    def _names(self) -> frozenset[str]:
        return frozenset(self.events)

    def compile(self) -> Check:
        """Evidence first, then the drop."""

        def check(facts: Facts) -> Result:
            rates = self._rates(facts)
            if rates.baseline < self.min_baseline_events:
                return _not_met(
                    f"Only {rates.baseline} events before; {self.min_baseline_events} are needed."
                )
            if rates.expected < self.min_expected:
                return _not_met("So few events are usual that a window without any says nothing.")
            if rates.decline >= self.decline_percent:
                return MET
            return _not_met(f"Engagement changed by {-round(rates.decline):+d} %.")

        return check

    def look(self, facts: Facts) -> Any:
        """Events in the window and what was to be expected."""
        rates = self._rates(facts)
        return {"recent": rates.recent, "expected": round(rates.expected, 2), "baseline": rates.baseline}

    def lookback(self) -> Lookback | None:
        """Window and baseline."""
        return Lookback(hours(self.timeframe_hours + self.baseline_hours), self._names, MAX_EVENTS)

    def problems(self) -> Iterable[tuple[str, Problem]]:
        """The baseline must be longer than what is compared with it."""
        if self.baseline_hours < self.timeframe_hours:
            yield (
                "/baseline_hours",
                Problem(
                    "The time compared with is shorter than the window.",
                    f"Use at least {wording.duration(self.timeframe_hours * 60)}.",
                ),
            )


def _not_met(reason: str) -> Result:
    return Result(Verdict.NOT_MET, reason=reason)


def _is_machine(event: Event) -> bool:
    return event.data.get("is_machine") is True
