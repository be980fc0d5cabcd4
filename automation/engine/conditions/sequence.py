"""Steps in order, the last of them being the current event (S-127, S-128).

A linear automaton: one pass over the events, per step the latest moment at which it can have been reached.
The latest is enough, since a gap or a forbidden event in between can only spoil an earlier one, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from automation.engine import wording
from automation.engine.comparison import DataConditions, FieldPath, all_of, rows_problems, where
from automation.engine.conditions.base import Check, Condition, EventName, Example, condition
from automation.engine.joins import offered_keys, wanted_keys
from automation.engine.operators import MET, broken
from automation.engine.problems import Problem
from automation.engine.quantifiers import Test
from automation.engine.samples import facts
from automation.engine.types import Event, Facts, Lookback, Result, Verdict
from automation.engine.values import Key
from automation.engine.window import earlier, hours

_CART = {
    "type": "sequence",
    "sequence": [
        {"event_type": "product_view"},
        {"event_type": "purchase_completed", "absent": True},
        {"event_type": "add_to_cart"},
    ],
    "same": "product_id",
    "timeframe_hours": 48,
}


class Step(BaseModel):
    """One event of a sequence, or one that must not come in between."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        frozen=True,
        json_schema_extra={"x-sentence": "{event_type} {absent}"},
    )

    event_type: EventName = Field(title="Event", json_schema_extra={"x-source": "event_types"})
    data_conditions: DataConditions = Field(default=[])
    absent: bool = Field(
        default=False,
        title="Must not happen in between",
        json_schema_extra={"x-labels": {"false": "happens", "true": "must not happen"}},
    )
    same_in: FieldPath | None = Field(
        default=None,
        title="The same in",
        description="Where this event holds the joined property, when elsewhere.",
        json_schema_extra={"x-source": "event_fields"},
    )


class _Matcher(NamedTuple):
    """A step, compiled."""

    name: str
    test: Test
    offers: Callable[[Event, Facts], frozenset[Key]] | None

    def verdict(self, event: Event, facts: Facts, wanted: frozenset[Key]) -> Verdict:
        if event.name != self.name:
            return Verdict.NOT_MET
        if self.offers is not None and wanted.isdisjoint(self.offers(event, facts)):
            return Verdict.NOT_MET
        return self.test(event, facts).verdict


class _Run(NamedTuple):
    """One evaluation: broken comparisons count for the sequence or against it."""

    facts: Facts
    wanted: frozenset[Key]
    happens: frozenset[Verdict]  # Verdicts that count as: this step happened.
    intrudes: frozenset[Verdict]  # Verdicts that count as: the forbidden event happened.


_MET, _BROKEN = Verdict.MET, Verdict.BROKEN
_AGAINST = (frozenset({_MET}), frozenset({_MET, _BROKEN}))
_FOR = (frozenset({_MET, _BROKEN}), frozenset({_MET}))
_UNCLEAR = broken("An event of the sequence could not be compared.")
_NOT_LAST = Result(Verdict.NOT_MET, reason="This event is not the last step.")
_NO_JOIN = Result(Verdict.NOT_MET, reason="This event lacks the property that has to be the same.")


class _Automaton(NamedTuple):
    """`steps` in order; `between[i]` may not happen after step i and before step i + 1."""

    steps: tuple[_Matcher, ...]
    between: tuple[tuple[_Matcher, ...], ...]
    names: frozenset[str]
    window: timedelta
    gap: timedelta | None
    wanted: Callable[[Event, Facts], frozenset[Key]] | None

    def reached(self, facts: Facts, doubt: tuple[frozenset[Verdict], frozenset[Verdict]]) -> int:
        """How many steps were reached; all of them only when the current event is the last."""
        wanted = self.wanted(facts.event, facts) if self.wanted is not None else frozenset()
        run = _Run(facts, wanted, *doubt)
        last = len(self.steps) - 1
        at: list[datetime | None] = [None] * last
        for event in earlier(facts, self.names, facts.event.occurred_at - self.window):
            self._advance(at, event, run)
        current = facts.event
        if self._joins(at[last - 1], current.occurred_at):
            if self.steps[last].verdict(current, facts, wanted) in run.happens:
                return last + 1
        return next((step + 1 for step in reversed(range(last)) if at[step] is not None), 0)

    def _advance(self, at: list[datetime | None], event: Event, run: _Run) -> None:
        # From the last step down, so that one event is never two steps.
        for step in reversed(range(len(at))):
            comes_next = step == 0 or self._joins(at[step - 1], event.occurred_at)
            if comes_next and self.steps[step].verdict(event, run.facts, run.wanted) in run.happens:
                at[step] = event.occurred_at
            elif at[step] is not None and any(
                one.verdict(event, run.facts, run.wanted) in run.intrudes for one in self.between[step]
            ):
                at[step] = None

    def _joins(self, before: datetime | None, now: datetime) -> bool:
        return before is not None and (self.gap is None or now - before <= self.gap)


@condition
class Sequence(Condition):
    """The steps happened in order; the current event is the last and counts once."""

    label = "Sequence"
    kind = "What happened before"
    help = "Steps in order. The event that just arrived must be the last step."
    icon = "⇢"
    sentence = "{sequence} within {timeframe_hours}"
    examples = (
        Example(
            "The product viewed is put into the cart",
            _CART,
            facts("add_to_cart", {"product_id": 7}, past=[(3, "product_view", {"product_id": "7"})]),
            Verdict.MET,
        ),
        Example(
            "Another product",
            _CART,
            facts("add_to_cart", {"product_id": 8}, past=[(3, "product_view", {"product_id": "7"})]),
            Verdict.NOT_MET,
        ),
        Example(
            "One view is not two views",
            {"type": "sequence", "sequence": [{"event_type": "page_view"}, {"event_type": "page_view"}]},
            facts("page_view"),
            Verdict.NOT_MET,
        ),
    )

    type: Literal["sequence"]
    sequence: list[Step] = Field(
        min_length=2, max_length=10, title="Steps", json_schema_extra={"x-widget": "steps"}
    )
    timeframe_hours: float = Field(
        default=24, gt=0, le=2160, title="Within", json_schema_extra={"x-unit": "hours"}
    )
    same: FieldPath | None = Field(
        default=None, title="The same", json_schema_extra={"x-source": "event_fields"}
    )
    max_gap_minutes: float | None = Field(
        default=None, gt=0, le=129_600, title="Between steps at most", json_schema_extra={"x-unit": "minutes"}
    )

    def _compiled(self) -> _Automaton:
        steps: list[_Matcher] = []
        between: list[list[_Matcher]] = []
        for step in self.sequence:
            place = step.same_in or self.same
            matcher = _Matcher(
                step.event_type,
                all_of(step.data_conditions),
                offered_keys(place) if self.same and place else None,
            )
            if not step.absent:
                steps.append(matcher)
                between.append([])
            elif between:
                between[-1].append(matcher)
        return _Automaton(
            steps=tuple(steps),
            between=tuple(tuple(matchers) for matchers in between),
            names=frozenset(step.event_type for step in self.sequence),
            window=hours(self.timeframe_hours),
            gap=None if self.max_gap_minutes is None else timedelta(minutes=self.max_gap_minutes),
            wanted=wanted_keys(self.same) if self.same else None,
        )

    def compile(self) -> Check:
        """One pass over at most 1,000 events of the window."""
        automaton = self._compiled()
        needed = len(automaton.steps)
        last = automaton.steps[-1].name
        has_rows = any(step.data_conditions for step in self.sequence)

        def check(facts: Facts) -> Result:
            if facts.event.name != last:
                return _NOT_LAST
            if automaton.wanted is not None and not automaton.wanted(facts.event, facts):
                return _NO_JOIN
            reached = automaton.reached(facts, _AGAINST)
            if reached == needed:
                return MET
            if has_rows and automaton.reached(facts, _FOR) == needed:
                return _UNCLEAR
            return Result(Verdict.NOT_MET, reason=f"{reached} of {needed} steps happened in order.")

        return check

    def look(self, facts: Facts) -> Any:
        """How many steps were reached."""
        return self._compiled().reached(facts, _AGAINST)

    def lookback(self) -> Lookback | None:
        """The events of the steps, in the window."""
        return Lookback(hours(self.timeframe_hours), frozenset(step.event_type for step in self.sequence))

    @property
    def needs_before(self) -> bool:
        """True when a row reads the profile before the event."""
        return any(row.needs_before for step in self.sequence for row in step.data_conditions)

    def entry_names(self) -> frozenset[str] | None:
        """The last step."""
        return frozenset({self.sequence[-1].event_type})

    def problems(self) -> Iterable[tuple[str, Problem]]:
        """It begins and ends with something that happens, and has at least two such steps."""
        for index in {0, len(self.sequence) - 1}:
            if self.sequence[index].absent:
                yield (
                    f"/sequence/{index}/absent",
                    Problem(
                        "The first and the last step must happen.",
                        "For “A, and then no B” use “did not do” with “and then”.",
                    ),
                )
        if sum(not step.absent for step in self.sequence) < 2:
            yield "/sequence", Problem("A sequence has at least two steps that happen.", "Add a step.")
        for index, step in enumerate(self.sequence):
            yield from rows_problems(step.data_conditions, f"/sequence/{index}/data_conditions")
            if step.same_in and not self.same:
                yield (
                    f"/sequence/{index}/same_in",
                    Problem("Nothing is joined in this sequence.", "Fill in “the same” of the sequence."),
                )

    def describe(self) -> str:
        """*product view, then no purchase completed, then add to cart, within 2 days*."""
        words = [
            f"{'no ' if step.absent else ''}{wording.name(step.event_type)}{where(step.data_conditions)}"
            for step in self.sequence
        ]
        text = ", then ".join(words)
        if self.same:
            text += f", with the same {wording.name(self.same)},"
        if self.max_gap_minutes is not None:
            text += f" at most {wording.duration(self.max_gap_minutes)} apart"
        return f"{text} within {wording.duration(self.timeframe_hours * 60)}"
