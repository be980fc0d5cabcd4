"""The trace of one decision: per place of the document the result, the value seen and the reason; <= 4 KB."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from automation.engine.conditions.base import Condition, Probe, probe_result
from automation.engine.types import Facts, Result, Verdict
from automation.engine.values import shown

MAX_BYTES = 4096

_WORDS = {Verdict.MET: "met", Verdict.NOT_MET: "not_met", Verdict.BROKEN: "broken"}

# How much of the values is kept, tried in turn until the trace fits: (text width, items, reason width).
_ROOM = ((80, 6, 160), (40, 3, 80), (16, 2, 40), (0, 0, 0))

Line = tuple[Probe, Result]


def tracer(
    nodes: Sequence[Condition], overall: Callable[[Facts], Result]
) -> Callable[[Facts], dict[str, Any]]:
    """A function from facts to the trace. It runs the checks that the engine runs, built on first use."""
    probes: list[Probe] = []

    def trace(facts: Facts) -> dict[str, Any]:
        if not probes:
            found = [
                probe for index, node in enumerate(nodes) for probe in node.probes(f"/conditions/{index}")
            ]
            probes.extend(found)
        lines = [(probe, probe_result(probe, facts)) for probe in tuple(probes)]
        verdict = overall(facts).verdict
        head = {"result": _WORDS[verdict], "first_failing": _first_failing(lines, verdict)}
        return _fitted(head, lines)

    return trace


def _first_failing(lines: list[Line], verdict: Verdict) -> str | None:
    """The leaf that decided: down through *and*, not into *any* and *not*, where no single leaf decides."""
    if verdict is Verdict.MET:
        return None
    level, found = _below(lines, ""), None
    while True:
        deciding = next((line for line in level if line[1].verdict is verdict), None)
        if deciding is None:
            return found
        found = deciding[0].pointer
        if not deciding[0].is_and:
            return found
        level = _below(lines, found)


def _below(lines: list[Line], pointer: str) -> list[Line]:
    """The lines directly under a pointer: those inside it that lie inside no other line there."""
    inside = [line for line in lines if line[0].pointer.startswith(pointer + "/")]
    direct: list[Line] = []
    for line in inside:
        if not any(line[0].pointer.startswith(other[0].pointer + "/") for other in direct):
            direct.append(line)
    return direct


def _fitted(head: dict[str, Any], lines: list[Line]) -> dict[str, Any]:
    """The fullest trace that fits: values get shorter first, then whole lines go, the deepest first."""
    for width, items, reason in _ROOM:
        trace = head | {probe.pointer: _line(result, width, items, reason) for probe, result in lines}
        if _size(trace) <= MAX_BYTES:
            return trace
    kept = sorted(
        lines, key=lambda line: (line[0].pointer != head["first_failing"], line[0].pointer.count("/"))
    )
    while kept:
        kept = kept[: len(kept) * 9 // 10]
        places = {line[0].pointer for line in kept}
        rest = {probe.pointer: _line(result, 0, 0, 0) for probe, result in lines if probe.pointer in places}
        trace = head | {"omitted": len(lines) - len(kept)} | rest
        if _size(trace) <= MAX_BYTES:
            break
    return trace


def _line(result: Result, width: int, items: int, reason: int) -> dict[str, Any]:
    line: dict[str, Any] = {"result": _WORDS[result.verdict]}
    if width and result.seen is not None:
        line["seen"] = shown(result.seen, width, items)
    if result.reason and reason:
        line["reason"] = result.reason[:reason]
    return line


def _size(trace: dict[str, Any]) -> int:
    return len(msgspec.json.encode(trace))
