"""What a value *is*: a number, an instant, equal to another. One answer for operators and the index."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from math import isfinite
from typing import Any, Final, final


@final
class _Missing:
    """The value of a path that leads nowhere; null is a value, this is none."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing()

Key = tuple[str, Any]

_DECIMAL = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?")
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)


def number(value: Any) -> int | Decimal | None:
    """The exact number a value stands for, or None.

    Decimal strings count, booleans, NaN and infinity do not. A float that is no whole number means the
    decimal that it prints as: 0.1 is 0.1, and equal numbers are equal keys of a dictionary.
    """
    kind = type(value)
    if kind is int:
        return value  # type: ignore[no-any-return]
    if kind is float:
        if not isfinite(value):
            return None
        return int(value) if value.is_integer() else Decimal(repr(value))
    if kind is str:
        return Decimal(value) if len(value) <= 62 and _DECIMAL.fullmatch(value) else None
    if kind is Decimal:
        return value if value.is_finite() else None
    return None


def instant(value: Any) -> datetime | None:
    """The moment (UTC) a value stands for, or None: datetimes, dates and ISO 8601 texts; naive means UTC."""
    if isinstance(value, str):
        if not 10 <= len(value) <= 40 or value[4] != "-" or not _INSTANT.fullmatch(value):
            return None
        try:
            value = datetime.fromisoformat(value)
        except ValueError:  # The 30th of February has the right shape.
            return None
    elif isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime):
        return None
    if value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    try:
        return value.astimezone(UTC)
    except OverflowError:  # Year 1 or 9999 with an offset.
        return None


def expected_keys(value: Any) -> tuple[Key, ...]:
    """The keys under which an expected value is looked up; see `actual_keys`."""
    kind = type(value)
    if kind is str:
        keys: list[Key] = [("text", value)]
        if (decimal := number(value)) is not None:
            keys.append(("number for text", decimal))
        if (moment := instant(value)) is not None:
            keys.append(("moment", moment))
        return tuple(keys)
    if kind is bool:
        return (("truth", value),)
    if (exact := number(value)) is not None:
        return (("number", exact),)
    moment = instant(value)
    return () if moment is None else (("moment", moment), ("moment for text", moment))


def actual_keys(value: Any) -> tuple[Key, ...]:
    """The keys that a value seen in data answers to: equal is having a key in common with `expected_keys`.

    Texts are equal only to the same text, so the number in a text meets numbers, never another text;
    in the same way a moment written as text meets moments. Lists, mappings and null are equal to nothing.
    """
    kind = type(value)
    if kind is str:
        keys: list[Key] = [("text", value)]
        if (decimal := number(value)) is not None:
            keys.append(("number", decimal))
        if (moment := instant(value)) is not None:
            keys.append(("moment for text", moment))
        return tuple(keys)
    if kind is bool:
        return (("truth", value),)
    if (exact := number(value)) is not None:
        return (("number", exact), ("number for text", exact))
    moment = instant(value)
    return () if moment is None else (("moment", moment),)


def equal(actual: Any, expected: Any) -> bool:
    """The equality of the operator laws (S-129)."""
    wanted = expected_keys(expected)
    return any(key in wanted for key in actual_keys(actual))


def shown(value: Any, width: int = 80, items: int = 6, depth: int = 2) -> Any:
    """A small JSON-safe picture of a value, for the trace."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**63 else "(a very large number)"
    if isinstance(value, float):
        return value if isfinite(value) else str(value)
    if isinstance(value, str):
        text = value.encode("utf-8", "replace").decode()  # A lone surrogate cannot be stored.
        return text if len(text) <= width else text[: width - 1] + "…"
    if isinstance(value, date):  # A datetime is a date.
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)[:width]
    if isinstance(value, Mapping):
        if depth <= 0:
            return "{…}"
        few = list(value.items())[:items]
        return {str(key)[:width]: shown(item, width, items, depth - 1) for key, item in few}
    if isinstance(value, (list, tuple, set, frozenset)):
        if depth <= 0:
            return "[…]"
        return [shown(item, width, items, depth - 1) for item in list(value)[:items]]
    return "(missing)" if value is MISSING else f"({type(value).__name__})"
