"""Orders and lifetime value: exact decimal sums, whatever arrives in the event.

Amounts are taken to be in the currency of the installation. Each is rounded to cents before it is added
(half to even), so sums are exact and their order does not matter. What is not a plausible amount
counts as no amount: the order still counts as an order, and the catalogue reports the bad type.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

ORDER_FIELDS: Final = ("total", "total_value", "revenue")
REFUND_FIELDS: Final = ("refund_amount", "amount", "total", "total_value", "revenue")
NOTHING: Final = Decimal("0.00")
LARGEST: Final = Decimal("1000000000")
_CENT: Final = Decimal("0.01")
_LONGEST_TEXT: Final = 32


def amount(value: Any) -> Decimal | None:
    """The value in cents' precision, or None when it is not a finite number of sane size.

    Numbers and decimal texts are taken; true, NaN, lists and "12 EUR" are not.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        value = repr(value)  # 19.99 means 19.99, not its binary neighbour.
    elif isinstance(value, str):
        value = value.strip()
        if len(value) > _LONGEST_TEXT or "_" in value:
            return None
    elif not isinstance(value, int | Decimal):
        return None
    try:
        number = Decimal(value)
        if not number.is_finite() or abs(number) > LARGEST:
            return None
        return number.quantize(_CENT)
    except (InvalidOperation, ValueError):
        return None


def order_value(data: Mapping[str, Any]) -> Decimal:
    """What an order is worth: the first usable of ORDER_FIELDS, never negative."""
    return _first(data, ORDER_FIELDS, allow_negative=False)


def refund_value(data: Mapping[str, Any]) -> Decimal:
    """What a refund gives back, as a positive amount; senders disagree about the sign."""
    return abs(_first(data, REFUND_FIELDS, allow_negative=True))


def _first(data: Mapping[str, Any], fields: tuple[str, ...], *, allow_negative: bool) -> Decimal:
    for field in fields:
        if field in data:
            found = amount(data[field])
            if found is not None and (allow_negative or found >= 0):
                return found
    return NOTHING
