"""A command that sends the event which a trigger waits for, made of the conditions on its properties."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from automation import snippets
from automation.models import Trigger


def command(trigger: Trigger) -> str:
    """curl for this installation; empty when the trigger waits for no event."""
    event = example(trigger.conditions)
    if not event:
        return ""
    found = snippets.snippets(settings.PUBLIC_URL, event=event)
    return next(snippet.text for snippet in found if snippet.key == "curl")


def example(conditions: Any) -> dict[str, Any]:
    """An event that meets the first event_match, as far as one value for each property can."""
    for node in conditions if isinstance(conditions, list) else ():
        if isinstance(node, dict) and node.get("type") == "event_match" and node.get("event_type"):
            data: dict[str, Any] = {}
            for row in node.get("data_conditions") or ():
                _put(data, row)
            return {
                "customer_id": snippets.EXAMPLE["customer_id"],
                "event_type": node["event_type"],
                "event_data": data,
            }
    return {}


def _put(data: dict[str, Any], row: Any) -> None:
    """Give the property of a row a value that meets it; paths into lists are left out."""
    path = row.get("field") if isinstance(row, dict) else None
    if not isinstance(path, str) or "[" in path or path.startswith(("customer.", "context.")):
        return
    *outer, last = path.removeprefix("event.").split(".")
    for name in outer:
        inner = data.setdefault(name, {})
        if not isinstance(inner, dict):
            return
        data = inner
    value = _met(str(row.get("operator")), row.get("value"))
    if value is not None:
        data[last] = value


def _met(operator: str, value: Any) -> Any:
    match operator:
        case "equals" | "contains" | "starts_with" | "ends_with":
            return value
        case "greater_than" | "greater_than_or_equal":
            return value + 1 if isinstance(value, int | float) else value
        case "less_than" | "less_than_or_equal":
            return value - 1 if isinstance(value, int | float) else value
        case "in_list" | "between":
            return value[0] if isinstance(value, list) and value else None
        case "exists":
            return "…"
    return None
