"""A decision as it is drawn: conditions with what was seen, guard rails with until, actions with attempts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from automation import traces
from automation.admin import links
from automation.explain import Explanation
from automation.models import Delivery, Execution
from profiles.admin.parts import Cell, Part, Row
from profiles.masking import hidden
from profiles.models import Profile


@dataclass(frozen=True, slots=True)
class Drawn:
    """What admin/beckon/trace.html draws."""

    conditions: Sequence[traces.Line]
    guards: Sequence[traces.Guard]
    note: str = ""
    is_held: bool = False  # The first guard is what it stopped at.

    def masked(self) -> Drawn:
        """The same for those who may not see addresses: what was seen may be one."""
        return Drawn(
            [
                line._replace(seen=hidden(line.seen), reason=hidden(line.reason), text=hidden(line.text))
                for line in self.conditions
            ],
            [guard._replace(details=hidden(guard.details)) for guard in self.guards],
            hidden(self.note),
            self.is_held,
        )


def of_execution(execution: Execution, stamps: Mapping[str, Any] | None = None) -> Drawn:
    """A stored decision; `stamps` are the customer's, for the age of what was known of them."""
    trace = stored(execution, "conditions", {})
    notes = [
        _("Judged with version %(number)s of the trigger.") % {"number": execution.version.number},
    ]
    if omitted := trace.get("omitted"):
        notes.append(
            ngettext(
                "%(n)s line was left out to save space.", "%(n)s lines were left out to save space.", omitted
            )
            % {"n": omitted}
        )
    lines = traces.lines(execution.version.definition, trace, stamps)
    # A value that was said after the decision is not the one it saw.
    lines = [
        line._replace(known_at=None) if line.known_at and line.known_at > execution.decided_at else line
        for line in lines
    ]
    guards = [*traces.guards(execution.reasons), *traces.guards(stored(execution, "blocked", []))]
    return Drawn(lines, guards, " ".join(notes), execution.status == "suppressed")


def stamps(execution: Execution) -> Mapping[str, Any]:
    """When each trait of the customer was said last."""
    found = Profile.objects.filter(pk=execution.profile_id).values_list("trait_stamps", flat=True).first()
    return found if isinstance(found, Mapping) else {}


def of_explanation(one: Explanation) -> Drawn:
    """A decision that was judged anew, or the stored one of `explain`."""
    return Drawn(one.conditions, one.guards, one.summary, one.outcome == "held back")


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
