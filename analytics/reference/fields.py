"""A pydantic model's fields as a table for people: what may stand there, within which bounds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

Schema = Mapping[str, Any]

_WORDS = {
    "string": "text",
    "number": "number",
    "integer": "whole number",
    "boolean": "yes or no",
    "object": "object",
}
_PATTERNS = {"^[a-z0-9_]{1,100}$": "event name"}
_LISTED = 6  # Values of a default written out; of more only how many.
# Parts that have a section of their own.
_SECTIONS = {
    "DataCondition": "[row](conditions.md#rows)",
    "Step": "[step](conditions.md#steps)",
    "Period": "[a period](#most-times-per-period)",
    "Goal": "[a goal](#goal)",
}


def table(
    model: type[BaseModel], *, skip: Iterable[str] = (), about: Mapping[str, str] | None = None
) -> list[str]:
    """The rows of a Markdown table, heading first; fields with one possible value are left out.

    `about` says what a field is where its title is not enough.
    """
    schema = model.model_json_schema()
    parts = schema.get("$defs", {})
    if "$ref" in schema:  # A model that may contain itself.
        schema = parts[schema["$ref"].rpartition("/")[2]]
    required = set(schema.get("required", ()))
    rows = []
    for name, field in schema.get("properties", {}).items():
        if name in skip or "const" in field:
            continue
        default = "required" if name in required else _default(field)
        said = (about or {}).get(name) or _about(field)
        rows.append(f"| `{name}` | {kind(field, parts)} | {default} | {said} |")
    return ["| Field | Takes | Default | What it is |", "|---|---|---|---|", *rows] if rows else []


def kind(field: Schema, parts: Mapping[str, Schema]) -> str:
    """What a value may be, in words, with its bounds."""
    if "enum" in field:
        if "x-operands" in field:
            return "an [operator](#operators)"
        return ", ".join(f"`{value}`" for value in field["enum"] if isinstance(value, str))
    if "anyOf" in field:
        options = [option for option in field["anyOf"] if option.get("type") != "null"]
        unit = {"x-unit": field["x-unit"]} if "x-unit" in field else {}
        return " or ".join(dict.fromkeys(kind({**option, **unit}, parts) for option in options))
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return _SECTIONS.get(name) or kind(parts[name], parts)
    if "oneOf" in field:
        return _one_of(field, parts)
    if field.get("type") == "array":
        return f"list of {kind(field.get('items', {}), parts)}{_lengths(field)}"
    if isinstance(field.get("type"), list):
        return "text, number or yes/no"
    if "pattern" in field:
        pattern = str(field["pattern"])
        return _PATTERNS.get(pattern) or f"text of the form `{pattern}`".replace("|", "\\|")
    word = _WORDS.get(str(field.get("type")), "anything")
    unit_of = f" of {field['x-unit']}" if field.get("x-unit") else ""
    return f"{word}{unit_of}{_range(field)}"


def _one_of(field: Schema, parts: Mapping[str, Schema]) -> str:
    tag = field.get("discriminator", {}).get("propertyName")
    if tag == "type":
        return "[condition](conditions.md)"
    if tag == "kind":
        return "[a timing](#timing)"
    return " or ".join(dict.fromkeys(kind(option, parts) for option in field["oneOf"]))


def _range(field: Schema) -> str:
    low, above, high = field.get("minimum"), field.get("exclusiveMinimum"), field.get("maximum")
    if low is not None and high is not None:
        return f", {number(low)} to {number(high)}"
    if above is not None and high is not None:
        return f" above {number(above)}, at most {number(high)}"
    return _lengths(field)


def _lengths(field: Schema) -> str:
    most = field.get("maxLength", field.get("maxItems", field.get("maxProperties")))
    least = field.get("minLength", field.get("minItems"))
    if most is None:
        return ""
    what = "characters" if "maxLength" in field else "entries"
    return f" ({least:,} to {most:,} {what})" if least and least != most else f" (up to {most:,} {what})"


def number(value: float) -> str:
    """1e6 is 1,000,000; only what nobody would count is written with an exponent."""
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e12 else f"{value:g}"


def _default(field: Schema) -> str:
    if "default" not in field:
        return "empty"
    value = field["default"]
    if value in (None, "", [], {}):
        return "none"
    if isinstance(value, list) and len(value) > _LISTED:
        return f"{len(value)} names"
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def _about(field: Schema) -> str:
    words = [str(field.get("title", "")), str(field.get("description", ""))]
    return ". ".join(word.rstrip(".") for word in words if word).replace("|", "\\|") + "."
