"""Sentences for a marketer: what is wrong, where, and how to put it right (ux.md section 3.2).

No pydantic message and no Python type name leaves this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Problem(NamedTuple):
    """What is wrong with one place of a document, and how to put it right."""

    message: str
    hint: str = ""


# (pydantic error type, last part of the place or "") -> (message, hint). `{label}` is the field's title.
_TABLE: dict[tuple[str, str], tuple[str, str]] = {
    ("missing", ""): ("{label}: this is needed.", "Fill it in."),
    ("missing", "operator"): ("Choose an operator.", ""),
    ("missing", "field"): ("Choose a field.", "For example total_value or items[].price"),
    ("missing", "attribute"): ("Choose a profile field.", "For example lifetime_value or traits.plan"),
    ("missing", "event_type"): ("Choose an event.", ""),
    ("missing", "conditions"): ("This group has no conditions.", "Add a condition or remove the group."),
    ("missing", "actions"): ("Nothing would happen.", "Add at least one action."),
    ("missing", "key"): ("The trigger needs a key.", "Lower-case letters, digits, - and _."),
    ("missing", "name"): ("The trigger needs a name.", ""),
    ("too_short", ""): ("{label}: list at least {min_length}.", ""),
    ("too_short", "conditions"): ("This group is empty: add a condition or remove it.", ""),
    ("too_short", "/conditions"): (
        "A trigger without conditions would answer every event.",
        "Add a condition.",
    ),
    ("too_short", "actions"): ("Nothing would happen.", "Add at least one action."),
    ("too_short", "sequence"): (
        "A sequence has at least {min_length} steps.",
        "For one event use “event match”.",
    ),
    ("too_short", "allowed_days"): ("Choose at least one day.", ""),
    ("too_long", ""): ("{label}: at most {max_length}.", ""),
    ("extra_forbidden", ""): ("“{last}” is not a field here.", "Remove it, or check its spelling."),
    ("unknown_operator", ""): ("This operator is not known.", "Choose one from the list."),
    ("field_path", ""): ("{message}", ""),
    ("beckon", ""): ("{message}", "{hint}"),
    ("string_too_long", ""): ("{label}: at most {max_length} characters.", ""),
    ("string_too_short", ""): ("{label}: this is needed.", ""),
    ("string_pattern_mismatch", ""): (
        "{label}: use lower-case letters, digits and _ only.",
        "For example cart_abandonment.",
    ),
    ("string_pattern_mismatch", "key"): ("Key: use lower-case letters, digits, - and _ only.", ""),
    ("string_type", ""): ("{label}: enter a text.", ""),
    ("list_type", ""): ("{label}: a list is expected.", ""),
    ("dict_type", ""): ("{label}: an object is expected.", ""),
    ("bool_type", ""): ("{label}: choose yes or no.", ""),
    ("int_type", ""): ("{label}: enter a whole number.", ""),
    ("int_from_float", ""): ("{label}: enter a whole number.", ""),
    ("float_type", ""): ("{label}: enter a number.", "Without quotation marks and units."),
    ("finite_number", ""): ("{label}: enter a number.", ""),
    ("literal_error", ""): ("{label}: choose {expected}.", ""),
    ("enum", ""): ("{label}: choose {expected}.", ""),
    ("union_tag_invalid", ""): ("This kind is not known: {tag}.", "Known: {expected_tags}."),
    ("union_tag_not_found", ""): ("It does not say of what kind it is.", "Add {discriminator}."),
    ("model_type", ""): ("An object is expected here.", ""),
    ("model_attributes_type", ""): ("An object is expected here.", ""),
    ("date_type", ""): ("{label}: enter a date.", "For example 2025-12-24."),
    ("timezone_aware", ""): ("{label}: the time zone is missing.", "For example 2025-12-24T08:00:00Z."),
}

_BOUNDS = {"greater_than_equal": "ge", "less_than_equal": "le", "greater_than": "gt", "less_than": "lt"}
_ANY_PLACE = ("{label}: this value does not fit.", "")


def problem_for(kind: str, place: str, context: Mapping[str, Any], bounds: Mapping[str, Any]) -> Problem:
    """The sentence for one pydantic error; `place` is the last key, `bounds` the limits of that number."""
    label = context.get("label", "Value")
    if kind in _BOUNDS:
        return Problem(f"{label}: use {_range(bounds) or _limit(kind, context)}.")
    message, hint = _TABLE.get((kind, place)) or _TABLE.get((kind, "")) or _ANY_PLACE
    words = _Words({key: _quoted(key, value) for key, value in context.items()})
    return Problem(message.format_map(words), hint.format_map(words))


def _quoted(key: str, value: Any) -> str:
    """Texts of the document are shortened; a kind that is no word (an object, a list) is not printed."""
    text = str(value)
    if key == "tag":
        return f"“{text}”" if len(text) <= 64 and text.replace("_", "").isalnum() else "not a name"
    if key in ("expected_tags", "expected", "discriminator"):
        return text.replace("'", "")
    return text if len(text) <= 120 else text[:119] + "…"


class _Words(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "…"


def _range(bounds: Mapping[str, Any]) -> str:
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    if low is None or high is None:
        return ""
    below = "more than " if "gt" in bounds else ""
    return f"{below}{_plain(low)} {'up ' if below else ''}to {_plain(high)}"


def _limit(kind: str, context: Mapping[str, Any]) -> str:
    words = {"greater_than_equal": "at least", "less_than_equal": "at most",
             "greater_than": "more than", "less_than": "less than"}  # fmt: skip
    return f"{words[kind]} {_plain(context.get(_BOUNDS[kind], 0))}"


def _plain(bound: Any) -> str:
    return f"{bound:,.10g}" if isinstance(bound, (int, float)) else str(bound)
