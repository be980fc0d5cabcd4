"""Stored traces in words: what each condition saw, and what stood against acting.

The admin's pages and `manage.py explain` draw from this, so that both say the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.utils.dateparse import parse_datetime

from automation import personal, reasons, wording
from profiles.masking import hidden

HIDDEN = "…"
SIGNS: Mapping[str, str] = {"met": "✓", "not_met": "✗", "broken": "⚠"}


class Line(NamedTuple):
    """One condition of a trace."""

    pointer: str
    text: str  # The condition in words.
    depth: int  # 0 for the trigger's own list; inside groups and rows it is more.
    result: str  # met, not_met or broken.
    seen: str
    reason: str
    is_stop: bool  # The first one that failed.
    is_reached: bool = True  # False for what stands at the top below the one that failed.
    is_inverted: bool = False  # Inside *none of these*, where true speaks against acting.
    known_at: datetime | None = None  # When the customer's value that it saw was said.
    is_personal: bool = False  # What it saw is an address, a name or the like, or may hold one.

    def masked(self) -> Line:
        """The same for those who may not see personal data."""
        seen, reason = hidden(self.seen), hidden(self.reason)
        if self.is_personal:
            seen, reason = self.seen and HIDDEN, self.reason and HIDDEN
        return self._replace(text=hidden(self.text), seen=seen, reason=reason)

    @property
    def level(self) -> int:
        """The depth as far as pages draw it."""
        return min(self.depth, 4)

    @property
    def sign(self) -> str:
        """✓, ✗, ⚠ or, for what was not reached, –."""
        return SIGNS.get(self.result, "?") if self.is_reached else "–"

    @property
    def tone(self) -> str:
        """ok, held, failed or quiet: a colour that repeats what the sign and the words say."""
        if not self.is_reached:
            return "quiet"
        if self.result not in ("met", "not_met"):
            return "held"
        return "ok" if (self.result == "met") is not self.is_inverted else "failed"

    @property
    def verdict(self) -> str:
        """The result in words: at the top it is a path, inside a group plainly true or false."""
        if not self.is_reached and self.depth == 0:
            would = {"met": "would pass", "not_met": "would not pass"}.get(self.result, "cannot be checked")
            return f"– not reached ({would})"
        if self.depth == 0 and self.result in ("met", "not_met"):
            return f"{self.sign} {'passed' if self.result == 'met' else 'stopped here'}"
        words = ("true", "false")
        said = {"met": words[0], "not_met": words[1], "broken": "could not be checked"}.get(
            self.result, self.result
        )
        return f"{self.sign} {said}{' – stopped here' if self.is_stop else ''}"


class Guard(NamedTuple):
    """One reason against acting."""

    code: str
    text: str
    until: datetime | None
    details: str

    @property
    def label(self) -> str:
        """A few words, for a heading."""
        return reasons.label(self.code)

    @property
    def advice(self) -> str:
        """Look into this, where that is so."""
        words = reasons.WORDS.get(self.code)
        return words.advice if words and words.attention is reasons.Attention.LOOK else ""


def lines(document: Mapping[str, Any], trace: Any, stamps: Mapping[str, Any] | None = None) -> list[Line]:
    """The conditions of `trace` in the order of the document; `document` is the version it was made with.

    `stamps` are the customer's (trait -> [moment, message id]); with them a line says since when a value is known.
    """
    if not isinstance(trace, Mapping):
        return []
    said = wording.places(document)
    found = {
        pointer: line for pointer, line in trace.items() if pointer[:1] == "/" and isinstance(line, Mapping)
    }
    stop = str(trace.get("first_failing") or "")
    return [
        Line(
            pointer=pointer,
            text=said.get(pointer, pointer),
            depth=(pointer.count("/") - 1) // 2,
            result=str(line.get("result", "")),
            seen=_saw(document, pointer, line["seen"]) if "seen" in line else "",
            reason=str(line.get("reason", "")),
            is_stop=pointer == stop,
            is_reached=not stop or _order(pointer)[:3] <= _order(stop)[:3],
            is_inverted=_is_inverted(document, pointer),
            known_at=_known_at(document, pointer, stamps or {}),
            is_personal=is_personal(document, pointer, line.get("seen")),
        )
        for pointer, line in sorted(found.items(), key=lambda entry: _order(entry[0]))
    ]


def is_personal(document: Mapping[str, Any], pointer: str, value: Any) -> bool:
    """Whether what the condition at `pointer` saw is personal: by what it names, or as an object that may hold it."""
    nodes = _nodes(document, pointer)
    named = nodes[-1] if nodes else {}
    return personal.asks(named) or (_holds_object(value) and any(personal.paths(named)))


def _holds_object(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_holds_object, value))
    return isinstance(value, Mapping)


def guards(stored: Any) -> list[Guard]:
    """Stored reasons in words, in their order; the first is the decisive one."""
    found = []
    for held in stored if isinstance(stored, Sequence) else ():
        if isinstance(held, Mapping):
            code, until = str(held.get("reason", "")), held.get("until")
            moment = parse_datetime(until) if isinstance(until, str) else until
            details = seen(held["params"]) if held.get("params") else ""
            found.append(
                Guard(code, reasons.text(code), moment if isinstance(moment, datetime) else None, details)
            )
    return found


def seen(value: Any) -> str:
    """A value of a trace for reading."""
    if value is None or value == {}:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        said = {str(key).replace("_", " "): item for key, item in value.items() if item not in ("", None)}
        return ", ".join(f"{key}: {seen(item)}" for key, item in said.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(seen(item) for item in value) or "an empty list"
    return (
        f"{value:g}" if isinstance(value, float) and value.is_integer() and abs(value) < 1e6 else str(value)
    )


def _nodes(document: Mapping[str, Any], pointer: str) -> list[Mapping[str, Any]]:
    """The nodes on the way to a pointer, from the outside to the inside, the one it names included."""
    found: list[Mapping[str, Any]] = []
    value: Any = document
    for part in pointer.split("/")[1:]:
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, Sequence) and not isinstance(value, str) and part.isdecimal():
            value = value[int(part)] if int(part) < len(value) else None
        if isinstance(value, Mapping):
            found.append(value)
    return found


def _saw(document: Mapping[str, Any], pointer: str, value: Any) -> str:
    """What a condition saw; the name of an event as the cards write it."""
    nodes = _nodes(document, pointer)
    if nodes and nodes[-1].get("type") == "event_match" and isinstance(value, str):
        return value.replace("_", " ")
    return seen(value)


def _is_inverted(document: Mapping[str, Any], pointer: str) -> bool:
    """Whether an odd number of *none of these* stand around it."""
    return sum(node.get("type") == "not" for node in _nodes(document, pointer)[:-1]) % 2 == 1


def _known_at(document: Mapping[str, Any], pointer: str, stamps: Mapping[str, Any]) -> datetime | None:
    """When the trait that a customer's condition reads was said; None for anything else."""
    nodes = _nodes(document, pointer) if stamps else []
    name = str(nodes[-1].get("attribute", "")).removeprefix("traits.") if nodes else ""
    stamp = stamps.get(name)
    if not isinstance(stamp, Sequence) or not stamp:
        return None
    return parse_datetime(stamp[0]) if isinstance(stamp[0], str) else None


def _order(pointer: str) -> list[tuple[int, int, str]]:
    """As the document reads: by number in lists, single values before lists."""
    parts = pointer.split("/")
    last = len(parts) - 1
    return [
        (int(part), 0, "") if part.isdecimal() else (-1, int(index < last), part)
        for index, part in enumerate(parts)
    ]
