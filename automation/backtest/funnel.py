"""How far an event gets down the conditions, in the order in which the page shows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from automation.backtest.step import Step
from automation.engine.conditions.base import Condition
from automation.engine.definition import TriggerDefinition
from automation.engine.logic import Check, conjunction
from automation.engine.types import Facts, Verdict


class _Rung(NamedTuple):
    """One condition of the trigger's own list."""

    check: Check
    parts: tuple[tuple[str, Check], ...]  # The conditions inside a group, each by its pointer.


class Funnel:
    """The conditions one by one; the same checks that the engine joins by *and*."""

    def __init__(self, definition: TriggerDefinition) -> None:
        self._rungs = tuple(
            _Rung(conjunction([node.compile()]), tuple(_parts(node, f"/conditions/{index}")))
            for index, node in enumerate(definition.conditions)
        )

    def climb(self, step: Step, facts: Facts) -> bool:
        """Go on from where the step stands; returns whether its end is known, which is so once it is not met.

        Raises UnreadError where the facts do not reach further; the step keeps its place.
        """
        if step.is_broken:
            return False  # Another condition may still say no; that is for the whole list to answer.
        for index in range(step.passed, len(self._rungs)):
            check, parts = self._rungs[index]
            inside = [pointer for pointer, part in parts if part(facts).verdict is Verdict.MET]
            verdict = check(facts).verdict
            if parts:
                step.inside += inside
            if verdict is not Verdict.MET:
                step.stopped, step.is_broken = index, verdict is Verdict.BROKEN
                return not step.is_broken
            step.passed = index + 1
        return False

    def counts(self, steps: list[Step]) -> tuple[dict[str, tuple[int, int]], dict[str, int]]:
        """(pointer -> (reached, passed), pointer -> could not be checked) of steps that have been judged."""
        passed = [0] * (len(self._rungs) + 1)
        broken: dict[str, int] = {}
        inside: dict[str, int] = {}
        for step in steps:
            passed[step.passed] += 1
            if step.is_broken:
                pointer = f"/conditions/{step.stopped}"
                broken[pointer] = broken.get(pointer, 0) + 1
            for pointer in step.inside:
                inside[pointer] = inside.get(pointer, 0) + 1
        nodes: dict[str, tuple[int, int]] = {}
        reached = len(steps)
        for index, rung in enumerate(self._rungs):
            on = reached - passed[index]
            nodes[f"/conditions/{index}"] = (reached, on)
            for pointer, _ in rung.parts:
                nodes[pointer] = (reached, inside.get(pointer, 0))
            reached = on
        return nodes, broken


def _parts(node: Condition, pointer: str) -> Iterator[tuple[str, Check]]:
    for place, child in node.children():
        yield pointer + place, conjunction([child.compile()])
        yield from _parts(child, pointer + place)
