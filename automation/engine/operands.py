"""What the right side of an operator may be, judged when a trigger is saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from automation.engine.operators import OPERATORS, Operand
from automation.engine.problems import Problem
from automation.engine.values import instant, number

KINDS = ("text", "number", "boolean", "list", "object")  # What the catalogue tells apart.
_ON_TEXTS = frozenset({"contains", "not_contains"})
_ALWAYS = frozenset({"exists", "not_exists", "changed"})


def operand_problem(operand: Operand, value: Any) -> Problem | None:
    """What is wrong with this value for this kind of operand, or None."""
    return _OPERANDS[operand](value)


def _scalar(value: Any) -> Problem | None:
    if value is None or value == "":
        return Problem("Enter a value.", "To ask whether there is any value, use “is known” or “is empty”.")
    return (
        Problem("Enter one value, not a list.", "For several values use “is one of”.")
        if _is_list(value)
        else None
    )


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _text(value: Any) -> Problem | None:
    return None if isinstance(value, str) and value else Problem("Enter a text.")


def _number(value: Any) -> Problem | None:
    if number(value) is not None or instant(value) is not None:
        return None
    return Problem("Enter a number or a date.", "Numbers without units: 50. Dates as 2025-12-24.")


def _list(value: Any) -> Problem | None:
    if not _is_list(value) or not value:
        return Problem("List at least one value, separated by commas.")
    return Problem("An empty entry is in the list.", "Remove it.") if None in value else None


def _pair(value: Any) -> Problem | None:
    if not _is_list(value) or len(value) != 2:
        return Problem("Enter two values, the lower one first.")
    for kind in (number, instant):
        low, high = kind(value[0]), kind(value[1])
        if low is not None and high is not None:
            if low > high:  # type: ignore[operator]  # Both come from one kind.
                return Problem("The lower value comes first.", "Exchange the two values.")
            return None
    return Problem("Enter two numbers or two dates.")


def _date(value: Any) -> Problem | None:
    return None if instant(value) is not None else Problem("Enter a date.", "For example 2025-12-24.")


def _hours(value: Any) -> Problem | None:
    if type(value) in (int, float) and 0 < value <= 87_600:
        return None
    return Problem("Enter a number of hours.", "More than 0, up to 87,600 (ten years).")


def _nothing(value: Any) -> Problem | None:
    return None if value is None else Problem("This operator takes no value.", "Remove the value.")


_OPERANDS: dict[Operand, Callable[[Any], Problem | None]] = {
    Operand.SCALAR: _scalar,
    Operand.TEXT: _text,
    Operand.NUMBER: _number,
    Operand.LIST: _list,
    Operand.PAIR: _pair,
    Operand.DATE: _date,
    Operand.DURATION: _hours,
    Operand.NONE: _nothing,
}


def fitting(kind: str) -> Iterator[str]:
    """Names of the operators worth offering for a field of this kind; a text may hold anything."""
    for name, operator in OPERATORS.items():
        is_scalar = operator.operand in (Operand.SCALAR, Operand.LIST) and name not in _ON_TEXTS
        if (
            kind == "text"
            or name in _ALWAYS
            or (kind == "number" and (is_scalar or operator.operand in (Operand.NUMBER, Operand.PAIR)))
            or (kind == "boolean" and is_scalar and operator.operand is Operand.SCALAR)
            or (kind == "list" and (name in _ON_TEXTS or name == "is_empty"))
            or (kind == "object" and name == "is_empty")
        ):
            yield name
