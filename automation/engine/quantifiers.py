"""Comparing a path that may fan out over an array: any, all, none, sum, count, max, min.

A negative operator is the exact opposite of its positive over the whole array: "any sku is not X"
means that no sku is X (operator law (a)).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Literal, get_args

from automation.engine.operators import MET, MISSING, NOT_MET, OPERATORS, Check, broken
from automation.engine.paths import Getter, Path, getter
from automation.engine.types import Event, Facts, Result, Verdict
from automation.engine.values import number

Test = Callable[[Event, Facts], Result]
Over = Literal["any", "all", "none", "sum", "count", "max", "min"]

_NOT_NUMBERS = broken("The list holds something that is not a number.")


def compile_test(path: Path, operator: str, expected: Any, over: str = "any") -> Test:
    """A closure over (event, facts). Path, operator and expected value are resolved here, once."""
    known = OPERATORS[operator]
    if not path.is_array:
        if known.reads_before:
            return _with_before(path, known.bind(expected))
        return _plain(path, known.bind(expected))
    read = getter(path)
    if over in AGGREGATES:
        return _aggregated(read, AGGREGATES[over], known.bind(expected))
    positive = OPERATORS[known.negates] if known.negates else known
    test = _quantified(read, over, positive.bind(expected))
    return opposite(test) if (over == "none") is not bool(known.negates) else test


def _plain(path: Path, check: Check) -> Test:
    """One value. The one-key path of event data, the hottest of all, is read without another call."""
    if path.root == "event" and len(path.steps) == 1 and isinstance(path.steps[0], str):
        key = path.steps[0]
        return lambda event, facts: check(event.data.get(key, MISSING), facts.now, MISSING)
    if path.root == "profile" and len(path.steps) == 1 and isinstance(path.steps[0], str):
        key = path.steps[0]
        return lambda event, facts: check(facts.profile.get(key, MISSING), facts.now, MISSING)
    read = getter(path)
    return lambda event, facts: check(read(event, facts), facts.now, MISSING)


def _with_before(path: Path, check: Check) -> Test:
    after, before = getter(path), getter(Path(path.text, "before", path.steps))
    return lambda event, facts: check(after(event, facts), facts.now, before(event, facts))


def _quantified(read: Getter, over: str, check: Check) -> Test:
    """`any` (also the inside of `none`) or `all`. Without an array the operator sees a missing value."""

    def test(event: Event, facts: Facts) -> Result:
        values = read(event, facts)
        if values is MISSING:
            return check(MISSING, facts.now, MISSING)
        unknown = None
        decisive = NOT_MET if over == "all" else MET
        for value in values:
            result = check(value, facts.now, MISSING)
            if result is decisive:
                return result
            if result.verdict is Verdict.BROKEN:
                unknown = unknown or result
        if unknown is not None:
            return unknown
        return MET if over == "all" and values else NOT_MET

    return test


def _aggregated(read: Getter, aggregate: Callable[[Sequence[Any]], Any], check: Check) -> Test:
    def test(event: Event, facts: Facts) -> Result:
        values = read(event, facts)
        value = MISSING if values is MISSING else aggregate(values)
        return _NOT_NUMBERS if value is None else check(value, facts.now, MISSING)

    return test


def opposite(test: Test) -> Test:
    """NOT, in three values: broken stays broken."""

    def negated(event: Event, facts: Facts) -> Result:
        result = test(event, facts)
        if result.verdict is Verdict.BROKEN:
            return result
        return MET if result.verdict is Verdict.NOT_MET else NOT_MET

    return negated


def numbers(values: Sequence[Any]) -> list[int | Decimal] | None:
    """The numbers among the values, nulls left out; None when something else is there."""
    exact = [number(value) for value in values if value is not None]
    return None if any(value is None for value in exact) else [value for value in exact if value is not None]


def total(values: Sequence[Any]) -> Any:
    """The exact sum, so that 0.1 + 0.2 is 0.3; None when a value is not a number."""
    exact = numbers(values)
    return None if exact is None else sum(exact, 0)


def _extreme(choose: Callable[[Sequence[Any]], Any]) -> Callable[[Sequence[Any]], Any]:
    def aggregate(values: Sequence[Any]) -> Any:
        exact = numbers(values)
        return None if exact is None else choose(exact) if exact else MISSING

    return aggregate


AGGREGATES: dict[str, Callable[[Sequence[Any]], Any]] = {
    "sum": total,
    "count": len,
    "max": _extreme(max),
    "min": _extreme(min),
}


def seen(path: Path, over: str, event: Event, facts: Facts) -> Any:
    """What the comparison looked at, for the trace."""
    values = getter(path)(event, facts)
    if path.is_array and values is not MISSING and over in AGGREGATES:
        aggregate = AGGREGATES[over](values)
        return values if aggregate is None else aggregate
    return values


OVER: tuple[str, ...] = get_args(Over)


def mean(values: Sequence[Any]) -> Any:
    """The exact mean; MISSING without values, None when one is not a number."""
    exact = numbers(values)
    return None if exact is None else sum(exact, Decimal(0)) / len(exact) if exact else MISSING
