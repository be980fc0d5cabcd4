"""From a trigger's document to closures: everything resolved once, when a version is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from automation.engine.conditions.base import Condition
from automation.engine.conditions.event_match import EventMatch
from automation.engine.definition import TriggerDefinition
from automation.engine.logic import Check, conjunction, disjunction, joined_names
from automation.engine.operators import MET, NOT_MET
from automation.engine.tracing import tracer
from automation.engine.types import Facts, Lookback, Mode
from automation.engine.values import expected_keys


@dataclass(frozen=True, slots=True, eq=False)
class CompiledTrigger:
    """One version of a trigger, ready to match. Immutable and safe to share between threads."""

    trigger_id: int
    version_id: int
    mode: Mode
    definition: TriggerDefinition
    event_names: frozenset[str]  # Names that enter it; {"*"} is any event, empty is entered otherwise.
    equality: tuple[str, Any] | None  # (data field, value) of the first event_match, for the index.
    cheap: Check  # All nodes that need nothing loaded; the same object as `full` when that is all.
    full: Check
    needs: tuple[Lookback, ...]  # Earlier events to load; on recheck, later ones of the same names too.
    needs_sends: bool
    needs_segments: bool
    needs_before: bool
    wait: timedelta | None  # Conditions can only be decided so long after the event.
    cancel_names: frozenset[str]  # Events that may cancel a waiting execution; {"*"} is any.
    cancels: Check  # Met when the event of these facts cancels a waiting execution.
    tracer: Callable[[Facts], dict[str, Any]]

    def trace(self, facts: Facts) -> dict[str, Any]:
        """Pointer -> {result, seen, reason}, with `result` and `first_failing`; at most 4 KB of JSON."""
        return self.tracer(facts)


def walk(nodes: Iterable[Condition]) -> Iterator[Condition]:
    """All nodes, those inside groups too, outer before inner."""
    for node in nodes:
        yield node
        yield from walk(child for _, child in node.children())


def is_cheap(node: Condition) -> bool:
    """True when neither the node nor anything inside it needs history, sends or segments."""
    return not any(one.lookback() or one.needs_sends or one.needs_segments for one in walk([node]))


def compile_trigger(
    definition: TriggerDefinition, *, trigger_id: int, version_id: int, mode: Mode
) -> CompiledTrigger:
    """Compile one version. The definition is valid: it went through validate_definition when it was saved."""
    nodes = definition.conditions
    every = list(walk(nodes))
    checks = [node.compile() for node in nodes]
    full = conjunction(checks)
    cheap = [check for node, check in zip(nodes, checks, strict=True) if is_cheap(node)]
    waits = [wait for node in every if (wait := node.waits()) is not None]
    cancel_nodes = [entry for entry in definition.cancel_when if not isinstance(entry, str)]
    everything = [*every, *walk(cancel_nodes)]
    return CompiledTrigger(
        trigger_id=trigger_id,
        version_id=version_id,
        mode=mode,
        definition=definition,
        event_names=entry_names(nodes),
        equality=_equality(nodes),
        cheap=full if len(cheap) == len(checks) else conjunction(cheap),
        full=full,
        needs=_merged(everything),
        needs_sends=any(node.needs_sends for node in everything),
        needs_segments=any(node.needs_segments for node in everything),
        needs_before=any(node.needs_before for node in everything),
        wait=max(waits, default=None),
        cancel_names=_cancel_names(definition),
        cancels=_cancels(definition),
        tracer=tracer(nodes, full),
    )


def entry_names(nodes: Sequence[Condition]) -> frozenset[str]:
    """Event names that can meet the conditions; {"*"} for any event, empty when none is asked for."""
    return joined_names(node.entry_names() for node in nodes) or frozenset()


def _equality(nodes: Sequence[Condition]) -> tuple[str, Any] | None:
    """The first `equals` on a data field in the first event_match: it tells triggers apart in the index."""
    first = next((node for node in nodes if isinstance(node, EventMatch) and node.event_type), None)
    for row in first.data_conditions if first is not None else ():
        path = row.path
        if (
            row.operator == "equals"
            and path.root == "event"
            and not path.is_array
            and expected_keys(row.value)
        ):
            return (row.field, row.value)
    return None


def _merged(nodes: Iterable[Condition]) -> tuple[Lookback, ...]:
    """The look-backs without repetition, in the order of the nodes."""
    return tuple(dict.fromkeys(look for node in nodes if (look := node.lookback()) is not None))


def _cancel_names(definition: TriggerDefinition) -> frozenset[str]:
    names: frozenset[str] = frozenset()
    for entry in definition.cancel_when:
        # A condition that names no event is asked again at every event of the customer.
        names |= {entry} if isinstance(entry, str) else entry_names([entry]) or {"*"}
    return names


def _cancels(definition: TriggerDefinition) -> Check:
    names = frozenset(entry for entry in definition.cancel_when if isinstance(entry, str))
    nodes = [entry.compile() for entry in definition.cancel_when if not isinstance(entry, str)]
    by_name: Check = lambda facts: MET if facts.event.name in names else NOT_MET  # noqa: E731
    return disjunction([by_name, *nodes])


def describe(definition: TriggerDefinition) -> dict[str, Any]:
    """{"when": sentence, "if": [sentences]}; *when* is the first event_match, the rest follows in order."""
    return describe_conditions(definition.conditions)


def describe_conditions(nodes: Sequence[Condition]) -> dict[str, Any]:
    """The list in plain English; without an event_match the trigger is entered by something else."""
    entry = next((node for node in nodes if isinstance(node, EventMatch)), None)
    otherwise = "any event arrives" if entry_names(nodes) else "a schedule, segment or score enters it"
    when = f"When {entry.describe() if entry is not None else otherwise}"
    return {"when": when, "if": [node.describe() for node in nodes if node is not entry]}
