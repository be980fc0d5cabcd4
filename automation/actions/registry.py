"""The actions of this installation: from a stored document to something that can be carried out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ValidationError

from automation.actions.base import ACTIONS, Action
from automation.engine.pointers import pointer_of
from automation.engine.problems import Problem, problem_for

__all__ = ["ACTIONS", "MAX_ACTIONS", "Action", "Planned", "parse", "plan", "validate_actions"]

MAX_ACTIONS = 20

ACTIONS.scan("automation.actions")


@dataclass(frozen=True, slots=True)
class Planned:
    """What the outbox needs to know about one action of a version."""

    index: int
    type: str
    channel: str
    is_message: bool
    delay: timedelta


class UnknownActionError(ValueError):
    """No action has this name; it is refused at save, and fails the delivery at run time."""


def parse(document: Any) -> Action:
    """The action of a stored document. Raises ValueError when it is unknown or invalid."""
    kind = document.get("type") if isinstance(document, dict) else None
    plugin = ACTIONS.get(kind) if isinstance(kind, str) else None
    if plugin is None:
        raise UnknownActionError(f"unknown action: {str(kind)[:50]}")
    return plugin.model_validate(document)


def plan(documents: Sequence[dict[str, Any]]) -> tuple[Planned, ...]:
    """The actions of a version in order. Raises ValueError like parse."""
    return tuple(
        Planned(index, action.type, action.channel, action.is_message, action.delay)
        for index, action in enumerate(map(parse, documents))
    )


def validate_actions(documents: Any) -> dict[str, Problem]:
    """What stands against these actions: JSON pointer into the trigger's document -> problem."""
    if not isinstance(documents, list) or not documents:
        return {"/actions": Problem("Nothing would happen.", "Add at least one action.")}
    if len(documents) > MAX_ACTIONS:
        return {"/actions": Problem(f"Actions: at most {MAX_ACTIONS}.")}
    problems: dict[str, Problem] = {}
    for index, document in enumerate(documents):
        for pointer, problem in _problems(document).items():
            problems[f"/actions/{index}{pointer}"] = problem
    return problems


def _problems(document: Any) -> dict[str, Problem]:
    if not isinstance(document, dict):
        return {"": Problem("An object is expected here.")}
    kind = document.get("type")
    plugin = ACTIONS.get(kind) if isinstance(kind, str) else None
    if plugin is None:
        known = ", ".join(ACTIONS)
        if kind is None:
            return {"/type": Problem("It does not say what kind of action this is.", f"Known: {known}.")}
        named = f"“{kind[:50]}”" if isinstance(kind, str) and not set("{}") & set(kind) else "This"
        return {"/type": Problem(f"{named} is not an action.", f"Known: {known}.")}
    try:
        plugin.model_validate(document)
    except ValidationError as error:
        found: dict[str, Problem] = {}
        for one in error.errors(include_url=False, include_input=False):
            label, bounds = _field(plugin, one["loc"])
            key = next((str(part) for part in reversed(one["loc"]) if isinstance(part, str)), "")
            context = {**one.get("ctx", {}), "label": label, "last": key}
            found.setdefault(pointer_of(one["loc"]), problem_for(one["type"], key, context, bounds))
        return found
    return {}


def _field(model: type[BaseModel], loc: Sequence[str | int]) -> tuple[str, dict[str, Any]]:
    """Title and bounds of the field at a location; its last name when it is not a field of the model."""
    info = model.model_fields.get(str(loc[0])) if loc else None
    if info is None or len(loc) > 1:
        name = next((str(part) for part in reversed(loc) if isinstance(part, str)), "value")
        return name.replace("_", " ").capitalize(), {}
    bounds = {
        name: bound
        for one in info.metadata
        for name in ("ge", "gt", "le", "lt")
        if (bound := getattr(one, name, None)) is not None
    }
    return info.title or str(loc[0]).replace("_", " ").capitalize(), bounds
