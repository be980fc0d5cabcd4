"""The stored trace of a decision as tables: conditions with what was seen, guard rails with until."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime

from automation import wording
from automation.admin import links
from automation.engine.types import Reason
from automation.models import Execution
from profiles.admin.parts import Cell, Part, Row

SIGNS = {"met": "✓ met", "not_met": "✗ not met", "broken": "⚠ could not be checked"}
INSIDE = {"met": "✓ true", "not_met": "✗ false", "broken": "⚠ could not be checked"}
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


def conditions(execution: Execution) -> Part:
    """Each condition in words, its result, and what was seen."""
    trace: Mapping[str, Any] = _part(execution, "conditions", {})
    said = wording.places(execution.version.definition)
    stopped = trace.get("first_failing")
    lines = {pointer: line for pointer, line in trace.items() if pointer.startswith("/") and isinstance(line, dict)}
    rows = []
    for pointer in sorted(lines, key=_order):
        line = lines[pointer]
        result, depth = str(line.get("result", "")), pointer.count("/") // 2 - 1
        sign = (SIGNS if depth == 0 else INSIDE).get(result, result)
        if pointer == stopped:
            sign = f"{sign} – stopped here"
        rows.append(
            Row(
                (
                    Cell(said.get(pointer, pointer), css=f"beckon-depth-{min(depth, 4)}"),
                    Cell(sign, css=f"beckon-sign sign-{result if result in SIGNS else 'held'}"),
                    Cell(seen(line.get("seen"))),
                    Cell(str(line.get("reason", ""))),
                ),
                css="beckon-stop" if pointer == stopped else "",
            )
        )
    omitted = f" {trace['omitted']} lines were left out to save space." if trace.get("omitted") else ""
    return Part(
        "Conditions",
        ("Condition", "Result", "What was seen", "Note"),
        rows,
        note=f"Judged with version {execution.version.number} of the trigger.{omitted}",
        empty="No trace was stored.",
    )


def guard_rails(execution: Execution) -> Part:
    """Every reason against acting, the first one decisive, with the moment at which it ends."""
    rows = []
    blocked = [held for held in _part(execution, "blocked", []) if isinstance(held, dict)]
    reasons = [held for held in execution.reasons if isinstance(held, dict)]
    for index, held in enumerate([*reasons, *blocked]):
        code = str(held.get("reason", ""))
        rows.append(
            Row(
                (
                    Cell("✗", css="beckon-sign sign-held"),
                    Cell(REASONS.get(code, code)),
                    Cell(code),
                    Cell(_until(held.get("until"))),
                    Cell(seen(held.get("params"))),
                ),
                css="beckon-stop" if index == 0 and execution.status == "suppressed" else "",
            )
        )
    return Part(
        "Guard rails",
        ("", "Why it is held back", "Code", "Until", "Details"),
        rows,
        empty="✓ Nothing stood against it.",
    )


def deliveries(execution: Execution, rows: Any) -> Part:
    """The actions of the execution and what became of them."""
    return Part(
        "Actions",
        ("Action", "Channel", "Status", "Reason", "Due", "Finished", "Attempts", "Error"),
        [
            Row(
                (
                    Cell(row.action_type, links.page("automation.delivery", row.pk)),
                    Cell(row.channel),
                    Cell(row.get_status_display(), css=f"sign-{tone(row.status)}"),
                    Cell(row.reason.replace("_", " ")),
                    Cell(links.clock(row.due_at)),
                    Cell(links.clock(row.finished_at)),
                    Cell(str(row.tries), css="beckon-number"),
                    Cell(" ".join(filter(None, (row.error_class, row.error)))),
                )
            )
            for row in rows
        ],
        empty="No action was started.",
    )


def _part(execution: Execution, name: str, empty: Any) -> Any:
    """One piece of a stored trace; empty when it is not what this version of Beckon writes."""
    found = execution.trace.get(name, empty) if isinstance(execution.trace, dict) else empty
    return found if isinstance(found, type(empty)) else empty


def tone(status: str) -> str:
    """ok, held or failed: the colour of a delivery's or an execution's status."""
    if status in ("failed", "bounced", "complained"):
        return "failed"
    return "held" if status in ("suppressed", "cancelled", "uncertain") else "ok"


def seen(value: Any) -> str:
    """A value of a trace for reading."""
    if value is None or value == {}:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{str(key).replace('_', ' ')}: {seen(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(seen(item) for item in value) or "an empty list"
    return str(value)


def _until(value: Any) -> str:
    moment = parse_datetime(value) if isinstance(value, str) else None
    return links.clock(moment) if isinstance(moment, datetime) and moment.tzinfo else str(value or "–")


def _order(pointer: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in pointer.split("/")]
