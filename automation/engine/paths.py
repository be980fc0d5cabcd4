"""Field paths: `total`, `items[].price`, `items.0.sku`, `profile.traits.plan`, `context.device.type`.

A path is parsed once, when a trigger is compiled, into a getter. Nothing here raises on data: a path
that leads nowhere gives MISSING, which is not null.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from automation.engine.types import Event, Facts
from automation.engine.values import MISSING

Getter = Callable[[Event, Facts], Any]

ROOTS = ("event", "context", "profile", "before")
MAX_SEGMENTS = 8
MAX_VALUES = 1000  # Values read from arrays of one event.

_SEGMENT = re.compile(r"((?:[A-Za-z0-9_]|\\\.){1,64})((?:\[[0-9]{0,4}\]){0,2})")
_BRACKET = re.compile(r"\[([0-9]*)\]")
_SPLIT = re.compile(r"(?<!\\)\.")


class PathError(ValueError):
    """A path that cannot be read; the text says why in words for a marketer."""


@dataclass(frozen=True, slots=True)
class Path:
    """A parsed path: where it starts, and a key, a list index or None (`[]`, every item) per step."""

    text: str
    root: str
    steps: tuple[str | int | None, ...]

    @property
    def is_array(self) -> bool:
        """True when the path has `[]` and so gives a list of values."""
        return None in self.steps

    @property
    def reads_before(self) -> bool:
        """True when the path looks at the profile as it was before the event."""
        return self.root == "before"


def parse(text: str, root: str = "event") -> Path:
    """Read a path; `root` is where a path without a root starts. Raises PathError.

    `event.` means the event's data (`event.data.` says the same). A dot inside a key is written `\\.`.
    """
    segments = _SPLIT.split(text)
    if len(segments) > 1 and segments[0] in ROOTS:
        root = segments.pop(0)
        if root == "event" and len(segments) > 1 and segments[0] == "data":
            segments.pop(0)
    if len(segments) > MAX_SEGMENTS:
        raise PathError(f"A field has at most {MAX_SEGMENTS} parts, this one has {len(segments)}.")
    steps: list[str | int | None] = []
    for segment in segments:
        found = _SEGMENT.fullmatch(segment)
        if found is None:
            raise PathError("Use letters, digits and _ , with dots between the parts: items[].price")
        steps.append(found[1].replace("\\.", "."))
        steps.extend(int(index) if index else None for index in _BRACKET.findall(found[2]))
    return Path(text, root, tuple(steps))


def _event_root(event: Event, facts: Facts) -> Any:
    return event.data


def _context_root(event: Event, facts: Facts) -> Any:
    return event.context


def _profile_root(event: Event, facts: Facts) -> Any:
    return facts.profile


def _before_root(event: Event, facts: Facts) -> Any:
    return facts.before


_ROOTS: dict[str, Getter] = {
    "event": _event_root,
    "context": _context_root,
    "profile": _profile_root,
    "before": _before_root,
}


def getter(path: Path) -> Getter:
    """A function that reads the path from an event (with the facts around it).

    An array path gives the list of values present, or MISSING when there is no array.
    """
    start, steps = _ROOTS[path.root], path.steps
    if len(steps) == 1 and isinstance(steps[0], str):
        return _one_key(path.root, steps[0])
    if path.is_array:
        return lambda event, facts: _gather(start(event, facts), steps)
    if path.root == "event" and len(steps) == 2 and isinstance(steps[0], str) and isinstance(steps[1], str):
        return _two_keys(steps[0], steps[1])
    return lambda event, facts: _walk(start(event, facts), steps)


def _one_key(root: str, key: str) -> Getter:
    """The hot case, one dictionary look-up, without a call for the root."""
    if root == "event":
        return lambda event, facts: event.data.get(key, MISSING)
    if root == "profile":
        return lambda event, facts: facts.profile.get(key, MISSING)
    if root == "context":
        return lambda event, facts: event.context.get(key, MISSING)
    return lambda event, facts: facts.before.get(key, MISSING)


def _two_keys(outer: str, inner: str) -> Getter:
    """Data inside data, such as shipping.country, where both are dictionaries."""

    def read(event: Event, facts: Facts) -> Any:
        value = event.data.get(outer, MISSING)
        if type(value) is dict:
            return value.get(inner, MISSING)
        return MISSING if value is MISSING else _step(value, inner)

    return read


def _step(value: Any, step: str | int) -> Any:
    if type(value) is dict and type(step) is str:
        return value.get(step, MISSING)
    if isinstance(step, int):
        return value[step] if isinstance(value, (list, tuple)) and step < len(value) else MISSING
    if isinstance(value, dict | Mapping):
        return value.get(step, MISSING)
    if isinstance(value, (list, tuple)) and step.isdecimal() and len(step) <= 4:
        return _step(value, int(step))
    return MISSING


def _walk(value: Any, steps: tuple[str | int | None, ...]) -> Any:
    for step in steps:
        if step is not None:
            value = _step(value, step)
        if value is MISSING:
            break
    return value


def _gather(value: Any, steps: tuple[str | int | None, ...]) -> Any:
    """Values of an array path, in order; items without the value are left out."""
    level, seen_array = [value], False
    for step in steps:
        deeper: list[Any] = []
        for item in level:
            if step is not None:
                deeper.append(_step(item, step))
            elif isinstance(item, (list, tuple)):
                seen_array = True
                deeper.extend(item[:MAX_VALUES])
        level = [item for item in deeper if item is not MISSING][:MAX_VALUES]
    return level if seen_array else MISSING


def resolve(path: Path | str, facts: Facts) -> Any:
    """The value at a path for the current event, MISSING when there is none."""
    parsed = parse(path) if isinstance(path, str) else path
    return getter(parsed)(facts.event, facts)
