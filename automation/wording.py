"""A trigger in plain words: its sentence, and what changed between two versions of it.

Both are built from the texts that conditions and actions bring along, so a new type needs nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from pydantic import BaseModel, ValidationError

from automation.actions import registry as actions
from automation.engine.definition import TriggerDefinition
from automation.engine.rules import describe, describe_conditions
from automation.engine.validate import validate_conditions, validate_definition

LABELS: Mapping[str, str] = {
    "key": "key",
    "name": "name",
    "description": "description",
    "type": "type",
    "priority": "priority",
    "message_class": "kind of message",
    "topic": "topic",
    "timing": "timing",
    "cancel_when": "cancelled when",
    "recheck": "judged again before it acts",
    "cooldown_minutes": "minutes of rest per customer",
    "cooldown_path": "rest counted per",
    "max_per_customer": "most times per customer",
    "max_per_period": "most times per period",
    "dedupe_path": "once per",
    "holdout_percent": "share held out (%)",
    "goal": "goal",
    "valid_from": "starts",
    "valid_until": "ends",
    "max_per_hour": "most times an hour",
    "on_lost": "when another trigger wins",
    "value": "declared value",
}
_PLACES = {"conditions": "Condition", "actions": "Action", "cancel_when": "Stop"}
_INNER = {"data_conditions": "row", "sequence": "step"}
_LISTS = {"conditions": "condition", "actions": "action"}


def sentence(document: Mapping[str, Any]) -> str:
    """The whole trigger as one sentence; empty when the document does not validate."""
    definition, problems = validate_definition(document)
    if definition is None or problems:
        return ""
    return of_definition(definition)


def of_definition(definition: TriggerDefinition) -> str:
    """`When <event>, if <conditions>, then <actions>.`"""
    said = describe(definition)
    parts = [said["when"]]
    if said["if"]:
        parts.append(f"if {' and '.join(said['if'])}")
    parts.append(f"then {', then '.join(describe_action(action) for action in definition.actions)}")
    return f"{', '.join(parts)}."


def parts(document: Mapping[str, Any]) -> dict[str, Any]:
    """{"when": sentence, "if": [sentences], "then": [sentences]}; what cannot be read is left out."""
    nodes = [node for item in document["conditions"] for node in validate_conditions([item])[0] or ()]
    said = describe_conditions(nodes) if nodes else {"when": "", "if": []}
    then = [describe_action(item) for item in document["actions"] if isinstance(item, Mapping)]
    return {**said, "then": then}


def describe_action(document: Mapping[str, Any]) -> str:
    """One action in words; an action that this version of Beckon does not know is named as it is stored."""
    try:
        return actions.parse(dict(document)).describe()
    except (ValidationError, ValueError, LookupError):
        return f"{document.get('type', 'nothing')} (unknown to this version)"


def changes(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> str:
    """What differs between two documents, one plain line each."""
    if before is None:
        return "First version."
    lines = [
        f"{label}: {_said(before.get(name))} → {_said(after.get(name))}"
        for name, label in LABELS.items()
        if before.get(name) != after.get(name)
    ]
    for name, noun in _LISTS.items():
        if before.get(name) != after.get(name):
            lines += _list_changes(noun, _described(before, name), _described(after, name))
    return "\n".join(lines)


def _described(document: Mapping[str, Any], name: str) -> list[str]:
    items: Sequence[Mapping[str, Any]] = document.get(name) or []
    if name == "actions":
        return [describe_action(item) for item in items]
    definition, _ = validate_definition(document)
    if definition is None:
        return [f"{item.get('type', 'nothing')} (unknown to this version)" for item in items]
    return [node.describe() for node in definition.conditions]


def _list_changes(noun: str, before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Changed, removed and added items. What reads alike may differ in what its sentence leaves out."""
    lines: list[str] = []
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        old, new = list(before[i1:i2]), list(after[j1:j2])
        both = min(len(old), len(new))
        lines += [f"{noun}: {was} → {now}" for was, now in zip(old[:both], new[:both], strict=True)]
        lines += [f"{noun} removed: {was}" for was in old[both:]]
        lines += [f"{noun} added: {now}" for now in new[both:]]
    return lines or [f"{noun}s: details changed"]


def _said(value: Any) -> str:
    if value in (None, "", [], {}):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key.replace('_', ' ')} {_said(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return "; ".join(_said(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def places(document: Mapping[str, Any]) -> dict[str, str]:
    """JSON pointer -> words, for every condition of a document and every row inside it."""
    definition, _ = validate_definition(dict(document))
    return places_of(definition) if definition is not None else {}


def places_of(definition: TriggerDefinition) -> dict[str, str]:
    """The same for a definition that was read already."""
    found: dict[str, str] = {}
    for index, node in enumerate(definition.conditions):
        _collect(node, f"/conditions/{index}", found)
    return found


def _collect(value: Any, pointer: str, found: dict[str, str]) -> None:
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _collect(item, f"{pointer}/{index}", found)
    elif isinstance(value, BaseModel):
        say = getattr(value, "describe", None)
        if say is not None:
            found[pointer] = say()
        for name in type(value).model_fields:
            item = getattr(value, name)
            if name == "event_type" and isinstance(item, str):
                found[f"{pointer}/{name}"] = f"the event is {item.replace('_', ' ')}"
            _collect(item, f"{pointer}/{name}", found)


def place(pointer: str) -> str:
    """Where a problem is, as a person counts: `/conditions/1/conditions/0/value` is *Condition 2 › 1*.

    Empty for a field that has no list around it.
    """
    parts = pointer.split("/")[1:]
    noun = _PLACES.get(parts[0]) if len(parts) > 1 else None
    if noun is None:
        return ""
    numbers = [str(int(parts[1]) + 1)] if parts[1].isdecimal() else []
    inner = ""
    for name, index in zip(parts[2::2], parts[3::2], strict=False):
        if not index.isdecimal():
            break
        if name == "conditions":
            numbers.append(str(int(index) + 1))
        elif name in _INNER:
            inner += f", {_INNER[name]} {int(index) + 1}"
    return f"{noun} {' › '.join(numbers)}{inner}"
