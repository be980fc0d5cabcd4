"""A decision as tables: conditions with what was seen, guard rails with until, actions with attempts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from automation import traces
from automation.admin import links
from automation.models import Delivery, Execution
from profiles.admin.parts import Cell, Part, Row


def conditions(execution: Execution) -> Part:
    """Each condition in words, its result, and what was seen."""
    trace = stored(execution, "conditions", {})
    rows = [
        Row(
            (
                Cell(line.text, css=f"beckon-depth-{min(line.depth, 4)}"),
                Cell(
                    line.verdict,
                    css=f"beckon-sign sign-{line.result if line.result in traces.SIGNS else 'held'}",
                ),
                Cell(line.seen or "–"),
                Cell(line.reason),
            ),
            css="beckon-stop" if line.is_stop else "",
        )
        for line in traces.lines(execution.version.definition, trace)
    ]
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
    held = traces.guards(execution.reasons)
    rows = [
        Row(
            (
                Cell(f"✗ {guard.text}", css="beckon-sign sign-held"),
                Cell(guard.code),
                Cell(links.clock(guard.until)),
                Cell(guard.details or "–"),
            ),
            css="beckon-stop" if index == 0 and execution.status == "suppressed" else "",
        )
        for index, guard in enumerate([*held, *traces.guards(stored(execution, "blocked", []))])
    ]
    return Part(
        "Guard rails",
        ("What stands against it", "Code", "Until", "Details"),
        rows,
        empty="✓ Nothing stood against it.",
    )


def deliveries(rows: Iterable[Delivery]) -> Part:
    """The actions of an execution and what became of them."""
    return Part(
        "Actions",
        ("Action", "Channel", "Status", "Reason", "Due", "Finished", "Attempts", "Error"),
        [
            Row(
                (
                    Cell(row.action_type.replace("_", " "), links.page("automation.delivery", row.pk)),
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


def stored(execution: Execution, name: str, empty: Any) -> Any:
    """One piece of a stored trace; empty when it is not what this version of Beckon writes."""
    found = execution.trace.get(name, empty) if isinstance(execution.trace, dict) else empty
    return found if isinstance(found, type(empty)) else empty


def tone(status: str) -> str:
    """ok, held or failed: the colour of a delivery's or an execution's status."""
    if status in ("failed", "bounced", "complained"):
        return "failed"
    return "held" if status in ("suppressed", "cancelled", "uncertain") else "ok"
