"""Conditions as the article interprets them: dictionaries, walked again for each event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def compare(actual: Any, operator: str, expected: Any) -> bool:
    """One comparison; what cannot be compared does not hold."""
    try:
        if operator == "equals":
            return bool(actual == expected)
        if operator == "not_equals":
            return bool(actual != expected)
        if operator == "greater_than":
            return float(actual) > float(expected)
        if operator == "less_than":
            return float(actual) < float(expected)
        if operator == "greater_than_or_equal":
            return float(actual) >= float(expected)
        if operator == "less_than_or_equal":
            return float(actual) <= float(expected)
        if operator == "contains":
            return str(expected).lower() in str(actual).lower()
        if operator == "in_list":
            return actual in expected
    except (ValueError, TypeError):
        return False
    return False


def nested(data: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, or None."""
    value: Any = data
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return value


def event_matches(condition: Mapping[str, Any], name: str, data: Mapping[str, Any]) -> bool:
    """`event_match`: the name, then each row on the data."""
    wanted = condition.get("event_type")
    if wanted and name != wanted:
        return False
    for row in condition.get("data_conditions", []):
        if not compare(nested(data, row.get("field")), row.get("operator"), row.get("value")):
            return False
    return True
