"""A decision as it is drawn: conditions with what was seen, guard rails with until, actions with attempts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from automation import backtest, reasons, traces, wording
from automation.admin import links
from automation.engine.definition import TriggerDefinition
from automation.explain import Explanation
from automation.models import Execution
from profiles.admin.parts import Cell, Part, Row
from profiles.clock import short
from profiles.masking import hidden
from profiles.models import Profile

_ENDINGS = {
    backtest.Ending.NOT_MET: gettext_lazy("It would not fire: the conditions are not met."),
    backtest.Ending.FIRED: gettext_lazy("It would fire."),
    backtest.Ending.HELD: gettext_lazy("It would be held back: %(reason)s."),
    backtest.Ending.WAITING: gettext_lazy("It would wait for its moment."),
}


class Rail(NamedTuple):
    """One guard rail: for or against acting."""

    code: str
    is_ok: bool
    text: str
    until: datetime | None = None
    details: str = ""
    advice: str = ""  # Look into this, where that is so.

    @property
    def label(self) -> str:
        """A few words, for a heading."""
        return reasons.label(self.code)

    @classmethod
    def against(cls, guard: traces.Guard) -> Rail:
        """A stored reason."""
        return cls(guard.code, False, guard.text, guard.until, guard.details, guard.advice)


@dataclass(frozen=True, slots=True)
class Drawn:
    """What admin/beckon/trace.html draws."""

    conditions: Sequence[traces.Line]
    guards: Sequence[Rail]
    note: str = ""
    is_held: bool = False  # The first guard rail against it is what it stopped at.
    is_unjudged: bool = False  # The conditions were not met, so nobody asked the guard rails.

    @property
    def decisive(self) -> Rail | None:
        """What it was held back by."""
        return next((rail for rail in self.guards if not rail.is_ok), None) if self.is_held else None

    def masked(self) -> Drawn:
        """The same for those who may not see addresses: what was seen may be one."""
        return Drawn(
            [line.masked() for line in self.conditions],
            [guard._replace(details=hidden(guard.details)) for guard in self.guards],
            hidden(self.note),
            self.is_held,
            self.is_unjudged,
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
    return Drawn(
        lines, [Rail.against(guard) for guard in guards], " ".join(notes), execution.status == "suppressed"
    )


def stamps(execution: Execution) -> Mapping[str, Any]:
    """When each trait of the customer was said last."""
    found = Profile.objects.filter(pk=execution.profile_id).values_list("trait_stamps", flat=True).first()
    return found if isinstance(found, Mapping) else {}


def of_explanation(one: Explanation) -> Drawn:
    """A decision that was judged anew, or the stored one of `explain`."""
    rails = [Rail.against(guard) for guard in one.guards]
    return Drawn(
        one.conditions, rails, one.summary, one.outcome == "held back", one.outcome in ("not met", "broken")
    )


def of_backtest(definition: TriggerDefinition, one: backtest.Explanation) -> Drawn:
    """An event judged again in a backtest: every guard rail, those too that stood not against it."""
    said = wording.places_of(definition)
    document = definition.model_dump(mode="json", exclude_none=True)
    trace = {
        pointer: {"result": line.result, "seen": line.seen or None, "reason": line.reason}
        for pointer, line in one.trace.items()
    }
    stop = next(
        (p for p, line in one.trace.items() if p.count("/") == 2 and line.reached and line.result != "met"),
        None,
    )
    lines = [
        line._replace(
            text=said.get(line.pointer, line.pointer),
            seen=one.trace[line.pointer].seen,
            is_personal=one.trace[line.pointer].is_personal,
        )
        for line in traces.lines(document, {**trace, "first_failing": stop})
    ]
    # Whoever does not meet the conditions is not judged.
    is_unjudged = one.outcome == backtest.Ending.NOT_MET
    guards = () if is_unjudged else one.guards
    rails = [Rail(guard.code, guard.ok, guard.text, guard.until) for guard in guards]
    note = _ENDINGS[backtest.Ending(one.outcome)] % {"reason": reasons.label(one.reason)}
    return Drawn(lines, rails, note, one.outcome == backtest.Ending.HELD, is_unjudged)


def collapsed(execution: Execution) -> Part:
    """Of repeated holds one row is kept: how often, and for which event last."""
    last = execution.last_event_id or execution.event_id
    row = Row(
        (
            Cell(f"{execution.held_count:,}", css="beckon-number"),
            Cell(short(execution.last_held_at)),
            Cell(_("event %(id)s") % {"id": last}, links.page("automation.event", last)),
        )
    )
    return Part(
        _("Held back again"),
        (_("Times"), _("Last"), _("For")),
        [row],
        note=_("The same hold of the same customer is one decision with a count."),
    )


def stored(execution: Execution, name: str, empty: Any) -> Any:
    """One piece of a stored trace; empty when it is not what this version of Beckon writes."""
    found = execution.trace.get(name, empty) if isinstance(execution.trace, dict) else empty
    return found if isinstance(found, type(empty)) else empty


def tone(status: str) -> str:
    """ok, held, failed, or quiet while nothing is known yet: the colour of a delivery's or an execution's status."""
    if status in ("pending", "processing", "sending"):
        return "quiet"
    if status in ("failed", "bounced", "complained"):
        return "failed"
    return "held" if status in ("suppressed", "cancelled", "uncertain") else "ok"
