"""Stored traces in words: what each condition saw, and what stood against acting.

The admin's pages and `manage.py explain` draw from this, so that both say the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.utils.dateparse import parse_datetime

from automation import wording
from automation.engine.types import Reason

REASONS: Mapping[str, str] = {
    Reason.NO_CONSENT: "They have not agreed to this topic.",
    Reason.UNSUBSCRIBED: "They unsubscribed.",
    Reason.ADDRESS_SUPPRESSED: "Their address is not served any more.",
    Reason.MISSING_ADDRESS: "No address is known.",
    Reason.FREQUENCY_CAP: "They have had enough messages for now.",
    Reason.COOLDOWN: "This trigger fired for them a short while ago.",
    Reason.MAX_PER_CUSTOMER: "This trigger fired for them as often as it may.",
    Reason.PREFERENCE: "They asked for less.",
    Reason.LOW_ENGAGEMENT: "They hardly react to messages.",
    Reason.HOLDOUT: "They belong to the share that never gets it, so that its effect can be measured.",
    Reason.GLOBAL_HOLDOUT: "They belong to the share that gets no marketing at all.",
    Reason.SHADOW: "The trigger is in shadow: it would have fired.",
    Reason.LOST_TO: "Another trigger won the slot.",
    Reason.DUPLICATE: "It was decided already.",
    Reason.CANCELLED_BY_EVENT: "Something they did cancelled it.",
    Reason.CONDITIONS_NO_LONGER_MET: "When its moment came, the conditions no longer held.",
    Reason.EXPIRED: "It came too late.",
    Reason.TRIGGER_PAUSED: "The trigger was paused.",
    Reason.PROFILE_ERASED: "The customer was forgotten.",
    Reason.LATE_EVENT: "The event is too old, or was imported.",
    Reason.BLAST_GUARD: "The trigger fired too often in this hour.",
    Reason.CIRCUIT_OPEN: "The receiving side fails too often at the moment.",
    Reason.CHANNEL_UNAVAILABLE: "The channel cannot be used.",
    Reason.TEMPLATE_ERROR: "The message could not be rendered.",
    Reason.BROKEN_CONDITION: "A condition could not be checked.",
}
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

    @property
    def verdict(self) -> str:
        """The result in words: at the top it is a path, inside a group plainly true or false."""
        words = ("met", "not met") if self.depth == 0 else ("true", "false")
        said = {"met": words[0], "not_met": words[1], "broken": "could not be checked"}.get(
            self.result, self.result
        )
        return f"{SIGNS.get(self.result, '?')} {said}{' – stopped here' if self.is_stop else ''}"


class Guard(NamedTuple):
    """One reason against acting."""

    code: str
    text: str
    until: datetime | None
    details: str


def lines(document: Mapping[str, Any], trace: Any) -> list[Line]:
    """The conditions of `trace` in the order of the document; `document` is the version it was made with."""
    if not isinstance(trace, Mapping):
        return []
    said = wording.places(document)
    found = {
        pointer: line for pointer, line in trace.items() if pointer[:1] == "/" and isinstance(line, Mapping)
    }
    return [
        Line(
            pointer=pointer,
            text=said.get(pointer, pointer),
            depth=(pointer.count("/") - 1) // 2,
            result=str(line.get("result", "")),
            seen=seen(line["seen"]) if "seen" in line else "",
            reason=str(line.get("reason", "")),
            is_stop=pointer == trace.get("first_failing"),
        )
        for pointer, line in sorted(found.items(), key=lambda entry: _order(entry[0]))
    ]


def guards(reasons: Any) -> list[Guard]:
    """Stored reasons in words, in their order; the first is the decisive one."""
    found = []
    for held in reasons if isinstance(reasons, Sequence) else ():
        if isinstance(held, Mapping):
            code, until = str(held.get("reason", "")), held.get("until")
            moment = parse_datetime(until) if isinstance(until, str) else until
            details = seen(held["params"]) if held.get("params") else ""
            found.append(
                Guard(
                    code, REASONS.get(code, code), moment if isinstance(moment, datetime) else None, details
                )
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


def _order(pointer: str) -> list[tuple[int, int, str]]:
    """As the document reads: by number in lists, single values before lists."""
    parts = pointer.split("/")
    last = len(parts) - 1
    return [
        (int(part), 0, "") if part.isdecimal() else (-1, int(index < last), part)
        for index, part in enumerate(parts)
    ]
