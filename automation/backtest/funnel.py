"""How far an event gets down the conditions, in the order in which the page shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Any, NamedTuple, NoReturn

from automation.backtest.step import Step
from automation.engine.conditions.base import Condition
from automation.engine.definition import TriggerDefinition
from automation.engine.logic import Check, conjunction
from automation.engine.rules import is_cheap
from automation.engine.types import Event, Facts, Verdict


class UnreadError(BaseException):
    """A condition asks for what has not been loaded. No `except Exception` of a condition may swallow it."""


class _UnreadProfile(Mapping[str, Any]):
    def __getitem__(self, key: str) -> NoReturn:
        raise UnreadError

    def __contains__(self, key: object) -> NoReturn:
        raise UnreadError

    def __iter__(self) -> Iterator[str]:
        raise UnreadError

    def __len__(self) -> NoReturn:
        raise UnreadError


class _UnreadZone(tzinfo):
    def utcoffset(self, moment: datetime | None) -> NoReturn:
        raise UnreadError

    def dst(self, moment: datetime | None) -> timedelta:
        raise UnreadError

    def tzname(self, moment: datetime | None) -> str:
        raise UnreadError


_NO_PROFILE = _UnreadProfile()
_NO_ZONE = _UnreadZone()


def event_alone(event: Event) -> Facts:
    """The facts before anything is known of the customer; UnreadError when a condition asks for it."""
    return Facts(event, _NO_PROFILE, _NO_PROFILE, event.occurred_at, _NO_ZONE)


class _Rung(NamedTuple):
    """One condition of the trigger's own list."""

    check: Check
    is_cheap: bool
    parts: tuple[tuple[str, Check], ...]  # The conditions inside a group, each by its pointer.


class Funnel:
    """The conditions one by one; the same checks that the engine joins by *and*."""

    def __init__(self, definition: TriggerDefinition) -> None:
        self._rungs = tuple(
            _Rung(conjunction([node.compile()]), is_cheap(node), tuple(_parts(node, f"/conditions/{index}")))
            for index, node in enumerate(definition.conditions)
        )

    def climb(self, step: Step, facts: Facts, *, is_loaded: bool) -> bool:
        """Go on from where the step stands; returns whether its end is known, which is so once it is not met.

        Without `is_loaded` it stops before what needs histories, segments or messages.
        """
        for index in range(step.passed, len(self._rungs)):
            check, cheap, parts = self._rungs[index]
            if not (is_loaded or cheap):
                return False
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
