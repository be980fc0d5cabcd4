"""The closed list of operators and their laws (design: engine.md section 3).

An operator is bound to its expected value once, when a trigger is compiled; the bound check then takes
(actual, now, before) and returns one of the constants MET, NOT_MET or a broken result made at binding.
A negative operator is its positive with the two constants exchanged, which is law (a) by construction.
Checks never raise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from math import inf
from operator import ge, gt, le, lt
from types import MappingProxyType
from typing import Any, Final

from automation.engine.types import Result, Verdict
from automation.engine.values import MISSING, actual_keys, equal, expected_keys, instant, number

__all__ = ["MET", "MISSING", "NOT_MET", "OPERATORS", "Check", "Operand", "Operator", "broken", "test"]

Check = Callable[[Any, datetime, Any], Result]
Bind = Callable[[Any, Result, Result], Check]

MET: Final = Result(Verdict.MET)
NOT_MET: Final = Result(Verdict.NOT_MET)


def broken(reason: str) -> Result:
    """A result that says the question cannot be answered, and why."""
    return Result(Verdict.BROKEN, None, reason)


class Operand(StrEnum):
    """What the right side of an operator must be."""

    SCALAR = "scalar"  # One text, number or yes/no.
    TEXT = "text"
    NUMBER = "number"  # A number, a decimal text, or a date.
    LIST = "list"
    PAIR = "pair"  # [low, high], both inclusive, of numbers or dates.
    DATE = "date"  # ISO 8601.
    DURATION = "duration"  # Hours.
    NONE = "none"  # Nothing.


@dataclass(frozen=True, slots=True)
class Operator:
    """One way to compare. `label` reads after the field: "total value *is more than* 50"."""

    name: str
    label: str
    operand: Operand
    positive: Bind
    negates: str = ""  # Name of the positive operator of which this is the exact opposite.
    reads_before: bool = False

    def bind(self, expected: Any) -> Check:
        """The check for one expected value. An impossible expected value gives a check that is broken."""
        return (
            self.positive(expected, NOT_MET, MET) if self.negates else self.positive(expected, MET, NOT_MET)
        )


def _always(result: Result) -> Check:
    return lambda actual, now, before: result


def _is_absent(actual: Any) -> bool:
    return actual is None or actual is MISSING


def _equals(expected: Any, yes: Result, no: Result) -> Check:
    keys = frozenset(expected_keys(expected))
    kind = type(expected)
    if not keys:
        return _always(
            no if expected is None or kind is float else broken("There is no single value to compare with.")
        )
    if kind is bool:
        return lambda actual, now, before: yes if actual is expected else no
    if kind is str and len(keys) == 1:  # Plain text, the hottest case.
        return lambda actual, now, before: yes if actual == expected else no

    def check(actual: Any, now: datetime, before: Any) -> Result:
        for key in actual_keys(actual):
            if key in keys:
                return yes
        return no

    if kind is not int and kind is not float:
        return check

    def check_number(actual: Any, now: datetime, before: Any) -> Result:
        kind = type(actual)
        if kind is int or kind is float:
            return yes if actual == expected else no
        return check(actual, now, before)

    return check_number


def _in_list(expected: Any, yes: Result, no: Result) -> Check:
    if not isinstance(expected, (list, tuple)):
        return _always(broken("The right side is not a list."))
    keys = frozenset(key for item in expected for key in expected_keys(item))

    def check(actual: Any, now: datetime, before: Any) -> Result:
        for key in actual_keys(actual):
            if key in keys:
                return yes
        return no

    if not all(type(item) is str and len(tuple(expected_keys(item))) == 1 for item in expected):
        return check
    texts = frozenset(expected)  # Plain texts only: a text is in the list or is not.

    def check_text(actual: Any, now: datetime, before: Any) -> Result:
        if type(actual) is str:
            return yes if actual in texts else no
        return check(actual, now, before)

    return check_text


def _compares(holds: Callable[[Any, Any], bool]) -> Bind:
    def bind(expected: Any, yes: Result, no: Result) -> Check:
        bound, moment = number(expected), instant(expected)
        if bound is not None:
            return _compare_number(holds, expected, bound, yes, no)
        if moment is not None:
            return _compare_instant(holds, moment, yes, no)
        return _always(broken("The right side is neither a number nor a date."))

    return bind


def _compare_number(
    holds: Callable[[Any, Any], bool], expected: Any, bound: Any, yes: Result, no: Result
) -> Check:
    not_number = broken("This value is not a number.")

    def check(actual: Any, now: datetime, before: Any) -> Result:
        kind = type(actual)
        exact = number(actual)
        if exact is not None:
            return yes if holds(exact, bound) else no
        is_nothing = actual is None or actual is MISSING or kind is float or kind is Decimal
        return no if is_nothing else not_number

    # Python compares int with float exactly; every other pair goes through the exact decimal above.
    return _NATIVE[holds](expected, yes, no, check) if type(expected) in (int, float) else check


def _native_gt(bound: Any, yes: Result, no: Result, otherwise: Check) -> Check:
    def check(actual: Any, now: datetime, before: Any) -> Result:
        kind = type(actual)
        if kind is int or (kind is float and -inf < actual < inf):
            return yes if actual > bound else no
        return otherwise(actual, now, before)

    return check


def _native_ge(bound: Any, yes: Result, no: Result, otherwise: Check) -> Check:
    def check(actual: Any, now: datetime, before: Any) -> Result:
        kind = type(actual)
        if kind is int or (kind is float and -inf < actual < inf):
            return yes if actual >= bound else no
        return otherwise(actual, now, before)

    return check


def _native_lt(bound: Any, yes: Result, no: Result, otherwise: Check) -> Check:
    def check(actual: Any, now: datetime, before: Any) -> Result:
        kind = type(actual)
        if kind is int or (kind is float and -inf < actual < inf):
            return yes if actual < bound else no
        return otherwise(actual, now, before)

    return check


def _native_le(bound: Any, yes: Result, no: Result, otherwise: Check) -> Check:
    def check(actual: Any, now: datetime, before: Any) -> Result:
        kind = type(actual)
        if kind is int or (kind is float and -inf < actual < inf):
            return yes if actual <= bound else no
        return otherwise(actual, now, before)

    return check


# Numbers against a number, the hottest comparison: written out, because a call of `operator.gt` costs as much again.
_NATIVE: Final = {gt: _native_gt, ge: _native_ge, lt: _native_lt, le: _native_le}


def _compare_instant(holds: Callable[[Any, Any], bool], bound: datetime, yes: Result, no: Result) -> Check:
    not_date = broken("This value is not a date.")

    def check(actual: Any, now: datetime, before: Any) -> Result:
        moment = instant(actual)
        if moment is not None:
            return yes if holds(moment, bound) else no
        return no if _is_absent(actual) else not_date

    return check


def _dates(holds: Callable[[Any, Any], bool]) -> Bind:
    def bind(expected: Any, yes: Result, no: Result) -> Check:
        moment = instant(expected)
        if moment is None:
            return _always(broken("The right side is not a date."))
        return _compare_instant(holds, moment, yes, no)

    return bind


def _between(expected: Any, yes: Result, no: Result) -> Check:
    if not isinstance(expected, (list, tuple)) or len(expected) != 2:
        return _always(broken("The right side is not a pair."))
    low = _compares(ge)(expected[0], MET, NOT_MET)
    high = _compares(le)(expected[1], MET, NOT_MET)

    def check(actual: Any, now: datetime, before: Any) -> Result:
        above, below = low(actual, now, before), high(actual, now, before)
        if above.verdict is Verdict.BROKEN or below.verdict is Verdict.BROKEN:
            return above if above.verdict is Verdict.BROKEN else below
        return yes if above is MET and below is MET else no

    return check


def _contains(expected: Any, yes: Result, no: Result) -> Check:
    member = _equals(expected, MET, NOT_MET)
    wanted = expected.lower() if isinstance(expected, str) else None
    not_text = broken("Only a text can be searched for in a text.")
    no_container = broken("This value is neither a text nor a list.")

    def check(actual: Any, now: datetime, before: Any) -> Result:
        if isinstance(actual, str):
            return not_text if wanted is None else yes if wanted in actual.lower() else no
        if isinstance(actual, (list, tuple)):
            return yes if any(member(item, now, before) is MET for item in actual) else no
        return no if _is_absent(actual) else no_container

    return check


def _edge(holds: Callable[[str, str], bool]) -> Bind:
    def bind(expected: Any, yes: Result, no: Result) -> Check:
        if not isinstance(expected, str):
            return _always(broken("The right side is not a text."))
        wanted, not_text = expected.lower(), broken("This value is not a text.")

        def check(actual: Any, now: datetime, before: Any) -> Result:
            if isinstance(actual, str):
                return yes if holds(actual.lower(), wanted) else no
            return no if _is_absent(actual) else not_text

        return check

    return bind


def _exists(expected: Any, yes: Result, no: Result) -> Check:
    return lambda actual, now, before: no if actual is None or actual is MISSING else yes


def _is_empty(expected: Any, yes: Result, no: Result) -> Check:
    def check(actual: Any, now: datetime, before: Any) -> Result:
        if _is_absent(actual):
            return yes
        return yes if isinstance(actual, (str, list, tuple, Mapping)) and not len(actual) else no

    return check


def _relative(is_past: bool) -> Bind:
    def bind(expected: Any, yes: Result, no: Result) -> Check:
        hours, not_date = number(expected), broken("This value is not a date.")
        if hours is None or not 0 <= hours <= 87_600:
            return _always(broken("The right side is not a number of hours up to ten years."))
        span = timedelta(hours=float(hours))

        def check(actual: Any, now: datetime, before: Any) -> Result:
            moment = instant(actual)
            if moment is None:
                return no if _is_absent(actual) else not_date
            ahead = moment - now
            return yes if (-span <= ahead <= _ZERO if is_past else _ZERO <= ahead <= span) else no

        return check

    return bind


_ZERO: Final = timedelta(0)
_TOO_DEEP: Final = broken("These values are nested too deeply to compare.")


def _same(one: Any, other: Any) -> bool:
    """Unchanged: both absent, equal by law, or the same list or mapping."""
    if _is_absent(one) or _is_absent(other):
        return _is_absent(one) and _is_absent(other)
    return equal(one, other) or (isinstance(one, (list, Mapping)) and bool(one == other))


def _changed(expected: Any, yes: Result, no: Result) -> Check:
    def check(actual: Any, now: datetime, before: Any) -> Result:
        try:
            return no if _is_absent(actual) or _same(actual, before) else yes
        except RecursionError:
            return _TOO_DEEP

    return check


def _changed_to(expected: Any, yes: Result, no: Result) -> Check:
    is_it = _equals(expected, MET, NOT_MET)

    def check(actual: Any, now: datetime, before: Any) -> Result:
        after = is_it(actual, now, MISSING)
        if after.verdict is Verdict.BROKEN:
            return after
        return yes if after is MET and is_it(before, now, MISSING) is not MET else no

    return check


OPERATORS: Mapping[str, Operator] = MappingProxyType(
    {
        operator.name: operator
        for operator in (
            Operator("equals", "is", Operand.SCALAR, _equals),
            Operator("not_equals", "is not", Operand.SCALAR, _equals, negates="equals"),
            Operator("greater_than", "is more than", Operand.NUMBER, _compares(gt)),
            Operator("less_than", "is less than", Operand.NUMBER, _compares(lt)),
            Operator("greater_than_or_equal", "is at least", Operand.NUMBER, _compares(ge)),
            Operator("less_than_or_equal", "is at most", Operand.NUMBER, _compares(le)),
            Operator("contains", "contains", Operand.SCALAR, _contains),
            Operator("not_contains", "does not contain", Operand.SCALAR, _contains, negates="contains"),
            Operator("in_list", "is one of", Operand.LIST, _in_list),
            Operator("not_in_list", "is none of", Operand.LIST, _in_list, negates="in_list"),
            Operator("exists", "is known", Operand.NONE, _exists),
            Operator("not_exists", "is not known", Operand.NONE, _exists, negates="exists"),
            Operator("between", "is between", Operand.PAIR, _between),
            Operator("starts_with", "starts with", Operand.TEXT, _edge(str.startswith)),
            Operator("ends_with", "ends with", Operand.TEXT, _edge(str.endswith)),
            Operator("is_empty", "is empty", Operand.NONE, _is_empty),
            Operator("before", "is before", Operand.DATE, _dates(lt)),
            Operator("after", "is after", Operand.DATE, _dates(gt)),
            Operator("within_last", "is within the last", Operand.DURATION, _relative(is_past=True)),
            Operator("within_next", "is within the next", Operand.DURATION, _relative(is_past=False)),
            Operator("changed", "changed", Operand.NONE, _changed, reads_before=True),
            Operator("changed_to", "changed to", Operand.SCALAR, _changed_to, reads_before=True),
        )
    }
)


def test(operator: str, actual: Any, expected: Any, *, now: datetime, before: Any = MISSING) -> Result:  # noqa: PT028
    """Compare once, binding on the way: for previews and tests; the hot path binds at compile time."""
    known = OPERATORS.get(operator)
    if known is None:
        return broken("This operator is not known.")
    return known.bind(expected)(actual, now, before)
