"""Plain English for values: hours as days, event names without underscores, lists with *or*."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_UNITS = {"hours": 60.0, "minutes": 1.0}
_STEPS = (("day", 1440), ("hour", 60), ("minute", 1))


def fill(template: str, model: BaseModel) -> str:
    """The template with every `{field}` in words; the field's `x-unit` and `x-source` say how to read it."""
    words = {
        name: spoken(getattr(model, name), _extra(info)) for name, info in type(model).model_fields.items()
    }
    return template.format(**words)


def _extra(info: Any) -> dict[str, Any]:
    extra = info.json_schema_extra
    return extra if isinstance(extra, dict) else {}


def spoken(value: Any, extra: dict[str, Any]) -> str:
    """One value as a reader says it."""
    unit = extra.get("x-unit")
    if unit in _UNITS and isinstance(value, (int, float)):
        return duration(value * _UNITS[unit])
    source = extra.get("x-source")
    if isinstance(value, (list, tuple)):
        return either(spoken(item, extra) for item in value)
    if source is not None and isinstance(value, str):
        return name(value)
    return literal(value)


def name(value: str) -> str:
    """`cart_abandonment` is *cart abandonment*, `items[].price` is *items price*, `profile.x` is *x*."""
    for root in ("event.data.", "event.", "profile.traits.", "profile.", "traits."):
        if value.startswith(root):
            value = value[len(root) :]
            break
    return value.replace("[]", "").replace("_", " ").replace(".", " ").strip() or value


def literal(value: Any) -> str:
    """A value of the marketer's own, texts in quotation marks."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return plain_number(value)
    if isinstance(value, (list, tuple)):
        return either(literal(item) for item in value)
    return "nothing" if value is None else f"“{value}”"


def plain_number(value: float) -> str:
    """1000 is 1,000 and 0.5 is 0.5."""
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.6f}".rstrip("0").rstrip(".") if abs(value) >= 1e-6 else repr(value)
    return f"{int(value):,}"


def duration(minutes: float) -> str:
    """The largest unit that divides: 10,080 minutes are *7 days*, 90 are *90 minutes*."""
    for unit, size in _STEPS:
        if minutes >= size and minutes % size == 0:
            return plural(minutes / size, unit)
    return plural(minutes, "minute")


def last(minutes: float) -> str:
    """What follows *in the last*: *day*, but *2 days*."""
    return duration(minutes).removeprefix("1 ")


def plural(count: float, noun: str) -> str:
    """1 day, 2 days."""
    return f"{plain_number(count)} {noun}{'' if count == 1 else 's'}"


def either(words: Iterable[str], joiner: str = "or") -> str:
    """a, b or c."""
    items = list(words)
    if len(items) > 6:
        return f"{', '.join(items[:5])} {joiner} {len(items) - 5} more"
    return (
        items[0]
        if len(items) == 1
        else f"{', '.join(items[:-1])} {joiner} {items[-1]}"
        if items
        else "nothing"
    )
