"""Is a document a trigger? Answers with JSON Pointers and sentences, never with an exception."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from automation.engine.conditions import Condition, Node, node_adapter
from automation.engine.definition import TriggerDefinition
from automation.engine.logic import joined_names
from automation.engine.paths import parse
from automation.engine.pointers import locate
from automation.engine.problems import Problem, problem_for
from automation.engine.rules import entry_names, walk
from automation.engine.shape import shape_problems
from automation.engine.types import TriggerType

__all__ = ["Problem", "Problems", "validate_conditions", "validate_definition"]

Problems = dict[str, Problem]
Valid = TypeVar("Valid", bound=BaseModel)

_ENTERED_BY_EVENT = (TriggerType.BEHAVIORAL, TriggerType.TRANSACTIONAL)


class _Conditions(BaseModel):
    """The conditions alone, with the limits they have in a definition."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    conditions: list[Node] = Field(min_length=1, max_length=50)


def validate_conditions(document: Any) -> tuple[list[Condition] | None, Problems]:
    """(nodes, {}) or (None, problems). Takes the list, or an object with the key `conditions`."""
    if not isinstance(document, dict) or "conditions" not in document:
        document = {"conditions": document}
    model, problems = _validated(_Conditions, document, lambda model: model.conditions)
    return (list(model.conditions) if model is not None else None), problems


def validate_definition(document: Any) -> tuple[TriggerDefinition | None, Problems]:
    """(definition, {}) or (None, problems). Actions are checked for their shape only."""
    if not isinstance(document, dict):
        return None, {"": Problem("A trigger is an object.")}
    model, problems = _validated(TriggerDefinition, document, lambda model: model.conditions)
    if model is None:
        return None, problems
    problems = dict(_definition_problems(model))
    return (None, problems) if problems else (model, {})


def _validated(
    wanted: type[Valid], document: Any, conditions: Callable[[Valid], Sequence[Condition]]
) -> tuple[Valid | None, Problems]:
    problems, grave = shape_problems(document)
    if grave:
        return None, problems
    try:
        model = wanted.model_validate(document)
    except ValidationError as error:
        for pointer, problem in _from_pydantic(error, document):
            problems.setdefault(pointer, problem)
        # Show everything at once: the parts that can be read are judged as well.
        for pointer, problem in _readable_problems(document):
            problems.setdefault(pointer, problem)
        return None, problems
    for pointer, problem in _list_problems(conditions(model)):
        problems.setdefault(pointer, problem)
    return (None, problems) if problems else (model, {})


def _from_pydantic(error: ValidationError, document: Any) -> Iterator[tuple[str, Problem]]:
    for one in error.errors(include_url=False, include_input=False):
        place = locate(one["loc"], document)
        context = {**one.get("ctx", {}), "label": place.label, "last": place.key}
        # The root list has a sentence of its own: an empty group can be removed, an empty trigger cannot.
        key = place.pointer if place.pointer == "/conditions" else place.key
        problem = problem_for(one["type"], key, context, place.bounds)
        yield place.pointer, problem


def _list_problems(nodes: Sequence[Condition], pointer: str = "/conditions") -> Iterator[tuple[str, Problem]]:
    for index, node in enumerate(nodes):
        yield from _node_problems(node, f"{pointer}/{index}", may_wait=True)
    if joined_names(node.entry_names() for node in nodes) == frozenset():
        yield (
            pointer,
            Problem(
                "These conditions ask for different events at the same moment.",
                "One event happens at a time: put the events in a group “any of these”, or use a sequence.",
            ),
        )


def _node_problems(node: Condition, pointer: str, may_wait: bool) -> Iterator[tuple[str, Problem]]:
    for place, problem in node.problems():
        yield pointer + place, problem
    if node.waits() is not None and not may_wait and not any(node.children()):
        yield (
            pointer,
            Problem(
                "“And then no …” cannot stand inside “any of these” or “none of these”.",
                "It is decided later than its neighbours: move it to the top, or into “all of these”.",
            ),
        )
    for place, child in node.children():
        yield from _node_problems(child, pointer + place, may_wait=may_wait and node.type == "all")


def _readable_problems(document: Any, pointer: str = "") -> Iterator[tuple[str, Problem]]:
    """The combinations in those nodes that are valid by themselves, when the whole is not."""
    nodes = document.get("conditions") if isinstance(document, dict) else None
    for index, one in enumerate(nodes if isinstance(nodes, list) else ()):
        place = f"{pointer}/conditions/{index}"
        try:
            node = node_adapter.validate_python(one)
        except ValidationError:  # Reported from the whole document already.
            yield from _readable_problems(one, place)
            continue
        yield from _node_problems(node, place, may_wait=True)


def _definition_problems(definition: TriggerDefinition) -> Iterable[tuple[str, Problem]]:
    """What the parts of a trigger demand of one another."""
    for index, entry in enumerate(definition.cancel_when):
        if isinstance(entry, Condition):
            yield from _node_problems(entry, f"/cancel_when/{index}", may_wait=False)
    if definition.type in _ENTERED_BY_EVENT and not entry_names(definition.conditions):
        yield (
            "/conditions",
            Problem(
                f"No event starts this {definition.type.value} trigger.",
                "Add an event, or choose lifecycle, contextual or predictive if something else enters it.",
            ),
        )
    if not definition.recheck and any(node.waits() is not None for node in walk(definition.conditions)):
        yield (
            "/recheck",
            Problem(
                "“And then no …” is decided at the due moment.", "Leave “check again at the due moment” on."
            ),
        )
    if definition.cooldown_path and not definition.cooldown_minutes:
        yield (
            "/cooldown_minutes",
            Problem("Cooldown for each: the cooldown itself is missing.", "Enter minutes."),
        )
    for field in ("cooldown_path", "dedupe_path"):
        path = getattr(definition, field)
        if path and parse(path).is_array:
            yield f"/{field}", Problem("One value is needed here, not a list.", "Use a field without [].")
    if definition.valid_from and definition.valid_until and definition.valid_from >= definition.valid_until:
        yield "/valid_until", Problem("The end comes before the beginning.", "Choose a later end.")
