"""What a trigger says of itself and does not do: worth a word, never a reason to refuse it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from automation.engine.definition import TriggerDefinition
from automation.engine.problems import Problem
from automation.engine.rules import entry_names, walk
from automation.engine.types import MessageClass, TriggerType
from automation.engine.validate import validate_definition

# Kind of trigger -> the conditions of which it has at least one, and what it says when it has none.
_LOOKS_AT = {
    TriggerType.CONTEXTUAL: (
        {"location", "device", "season", "time_based"},
        Problem("Nothing here looks at place, device, season or time.", "Add such a condition."),
    ),
    TriggerType.PREDICTIVE: ({"score"}, Problem("Nothing here looks at a score.", "Add a score.")),
    TriggerType.LIFECYCLE: (
        {"date", "segment", "customer_attribute", "event_count", "absence", "behavior_pattern"},
        Problem(
            "Nothing here looks at a date, a stage or a milestone.", "Add a condition about the customer."
        ),
    ),
}
_MARKETING = Problem(
    "A transactional trigger sends marketing here: caps, quiet hours and holdout hold it back.",
    "Choose the transactional kind of message, or another type.",
)


_NEVER = Problem("No event starts this trigger: it never acts by itself.", "Add an event, or a change.")


def advice(definition: TriggerDefinition) -> Iterator[tuple[str, Problem]]:
    """(pointer, problem) of each promise of the trigger's type that its other parts do not keep."""
    if not entry_names(definition.conditions):
        yield "/conditions", _NEVER
    if definition.type is TriggerType.TRANSACTIONAL:
        if definition.message_class is not MessageClass.TRANSACTIONAL:
            yield "/message_class", _MARKETING
    elif definition.type in _LOOKS_AT:
        wanted, problem = _LOOKS_AT[definition.type]
        if not any(node.type in wanted for node in walk(definition.conditions)):
            yield "/type", problem


def advised(document: Any) -> list[tuple[str, Problem]]:
    """The same for a stored document; nothing for one that is not valid."""
    definition, _ = validate_definition(document)
    return [] if definition is None else list(advice(definition))
