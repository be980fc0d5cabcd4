"""What every trigger that listened made of an event: stored decisions, and misses derived by the same evaluator.

Misses are not stored. A condition on the event alone is asked again as it stands. What depends on the customer is
asked with the profile and history as of the event, for the newest DERIVED rows and customers whose history fits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final

from django.utils.translation import gettext as _

from automation import explain, reasons, traces, wording
from automation.admin import links
from automation.admin.live_rows import Row
from automation.engine.conditions.event_match import EventMatch
from automation.engine.rules import CompiledTrigger
from automation.engine.types import Mode
from automation.models import Execution, QuarantinedEvent, QueuedEvent, Trigger, TriggerState, TriggerVersion
from automation.pipeline import index

DERIVED: Final = 20  # Events of an answer for which a customer's past is loaded.
HISTORY: Final = 300  # Events of one customer; who has more is explained on a page of their own.
MISSES: Final = 6  # Chips of one row that say why not.
_AHEAD: Final = timedelta(minutes=5)  # Clocks of servers differ.


@dataclass(frozen=True, slots=True)
class Chip:
    """One trigger and one event, in a few words."""

    trigger: str
    said: str
    tone: str  # ok, held, failed or quiet.
    title: str = ""  # The code of the API.
    url: str = ""  # The decision; empty when nothing is stored.
    is_settled: bool = True  # False: this may still change by itself.
    masked: str = ""  # Said in its place to those who may not see personal data, where it tells such a value.


def of(events: Sequence[Row]) -> dict[int, list[Chip]]:
    """Event id -> its chips, with a handful of queries whatever the number of events."""
    if not events:
        return {}
    ids = [event.id for event in events]
    decided: dict[int, list[Execution]] = defaultdict(list)
    for execution in (
        Execution.objects.filter(
            event_id__in=ids,
            profile_id__in={event.profile_id for event in events},
            decided_at__gte=min(event.received_at for event in events) - _AHEAD,
        )
        .order_by("pk")
        .only("trigger_id", "event_id", "status", "reason", "waiting", "due_at")
    ):
        decided[execution.event_id].append(execution)
    queued = set(QueuedEvent.objects.filter(event_id__in=ids).values_list("event_id", flat=True))
    held = dict(
        QuarantinedEvent.objects.filter(event_id__in=ids, state="held").values_list("event_id", "error_class")
    )
    listening = _Listening(events)
    names = dict(
        Trigger.objects.filter(pk__in={e.trigger_id for rows in decided.values() for e in rows}).values_list(
            "pk", "name"
        )
    )
    found: dict[int, list[Chip]] = {}
    open_events = []
    for event in events:
        stored = decided.get(event.id, [])
        chips = [_stored(names.get(one.trigger_id, "–"), one) for one in stored]
        if event.id in held:
            chips.append(Chip("", _("in quarantine: %s") % held[event.id], "failed"))
        elif event.id in queued:
            chips.append(Chip("", _("waits for its decision"), "quiet", is_settled=False))
        elif event.is_import:
            chips.append(Chip("", _("imported: fires no trigger"), "quiet"))
        else:
            open_events.append((event, {one.trigger_id for one in stored}))
        found[event.id] = chips
    for event_id, missed in listening.misses(open_events).items():
        found[event_id] += missed
    for event in events:
        if not found[event.id]:
            found[event.id].append(Chip("", _("no trigger listens"), "quiet"))
    return found


def _stored(name: str, execution: Execution) -> Chip:
    url = links.page("automation.execution", execution.pk)
    if execution.reason == "shadow":
        return Chip(name, _("would have fired (shadow)"), "quiet", execution.reason, url)
    if execution.status == "suppressed":
        said = _("held back (%s)") % reasons.label(execution.reason)
        return Chip(name, said, "held", execution.reason, url)
    if execution.status == "failed":
        return Chip(name, _("failed"), "failed", execution.reason or execution.status, url)
    if execution.status == "triggered":
        return Chip(name, _("fired"), "ok", execution.status, url)
    if execution.waiting:
        said = _("waits until %s") % links.clock(execution.due_at)
        return Chip(name, said, "quiet", execution.waiting, url)
    return Chip(name, _("fires"), "ok", execution.status, url, is_settled=False)


class _Listening:
    """The triggers that listen to the names of some events, as this process has them compiled."""

    def __init__(self, events: Sequence[Row]) -> None:
        wanted = {event.name for event in events}
        active = [t for t in index.current(max_age=1.0).by_id.values() if t.mode in (Mode.LIVE, Mode.SHADOW)]
        self._by_name = {
            name: [t for t in active if name in t.event_names or "*" in t.event_names] for name in wanted
        }
        versions = {t.version_id for found in self._by_name.values() for t in found}
        self._since = dict(
            TriggerVersion.objects.filter(pk__in=versions).values_list("pk", "published_at")
            if versions
            else ()
        )

    def misses(self, events: Iterable[tuple[Row, set[int]]]) -> dict[int, list[Chip]]:
        """For each event the triggers that listened and have no decision of their own."""
        asked: list[tuple[Row, CompiledTrigger]] = []
        found: dict[int, list[Chip]] = defaultdict(list)
        for event, decided in events:
            missed = [t for t in self._by_name[event.name] if t.trigger_id not in decided]
            asked += [(event, t) for t in missed[:MISSES] if self._ran(t, event)]
            found[event.id] += [
                Chip(t.definition.name, _("changed since"), "quiet", "not_met")
                for t in missed[:MISSES]
                if not self._ran(t, event)
            ]
            if len(missed) > MISSES:
                found[event.id].append(
                    Chip("", _("and %s more that listen") % (len(missed) - MISSES), "quiet")
                )
        if not asked:
            return found
        open_pairs = []
        for event, trigger in asked:
            chip = _filtered(event, trigger)
            if chip is None:
                open_pairs.append((event, trigger))
            else:
                found[event.id].insert(0, chip)
        for event, chip in _derived(open_pairs):
            found[event.id].insert(0, chip)
        return found

    def _ran(self, trigger: CompiledTrigger, event: Row) -> bool:
        since = self._since.get(trigger.version_id)
        return since is None or since <= event.received_at


def _filtered(event: Row, trigger: CompiledTrigger) -> Chip | None:
    """The chip where a condition on the event alone was not met: that is the same whenever it is asked."""
    trace = trigger.trace(explain.facts_of_event(event.event))
    stop = str(trace.get("first_failing") or "")
    top = "/".join(stop.split("/")[:3])
    position = top.rpartition("/")[2]
    if not position.isdecimal():
        return None
    node = trigger.definition.conditions[int(position)]
    return _missed(trigger, trace) if isinstance(node, EventMatch) else None


def _derived(
    pairs: Sequence[tuple[Row, CompiledTrigger]],
) -> list[tuple[Row, Chip]]:
    """The chips where it depends on the customer."""
    events = list({event.id: event for event, _trigger in pairs}.values())[:DERIVED]
    facts = explain.facts_of_many(
        [(event.profile_id, event.id, event.occurred_at, event.received_at) for event in events],
        limit=HISTORY,
    )
    holds = _holds(pairs)
    found = []
    for event, trigger in pairs:
        seen = facts.get(event.id)
        trace = trigger.trace(seen) if seen is not None else {}
        if trace and trace["result"] != "met":
            chip = _missed(trigger, trace)
        elif trace and (hold := holds.get((event.profile_id, trigger.trigger_id))):
            chip = Chip(
                trigger.definition.name,
                _("held back again (%s)") % reasons.label(hold[0]),
                "held",
                hold[0],
                links.page("automation.execution", hold[1]) if hold[1] else "",
            )
        elif trace:
            chip = Chip(trigger.definition.name, _("decided before"), "quiet", "duplicate")
        else:
            chip = Chip(trigger.definition.name, _("conditions not met"), "quiet", "not_met")
        found.append((event, chip))
    return found


def _holds(pairs: Sequence[tuple[Row, CompiledTrigger]]) -> Mapping[tuple[int, int], tuple[str, int | None]]:
    """(profile, trigger) -> the hold into which repeats are counted."""
    rows = TriggerState.objects.filter(
        profile_id__in={event.profile_id for event, _trigger in pairs},
        trigger_id__in={trigger.trigger_id for _event, trigger in pairs},
    ).exclude(hold_reason="")
    return {
        (profile_id, trigger_id): (reason, execution_id)
        for profile_id, trigger_id, reason, execution_id in rows.values_list(
            "profile_id", "trigger_id", "hold_reason", "hold_execution_id"
        )
    }


def _missed(trigger: CompiledTrigger, trace: Mapping[str, Any]) -> Chip:
    """Which condition stopped it, and what that one saw."""
    stop = str(trace.get("first_failing") or "")
    line = trace.get(stop, {})
    words = _words(trigger).get(stop, "")
    seen = traces.seen(line.get("seen"))
    is_broken = trace["result"] == "broken"
    told = masked = _("could not be checked") if is_broken else _("filters not met")
    if words:
        told, masked = (
            _("%(said)s: %(condition)s – it was %(seen)s") % {"said": told, "condition": words, "seen": value}
            for value in (seen, traces.HIDDEN)
        )
    document = trigger.definition.model_dump(mode="json", exclude_none=True)
    return Chip(
        trigger.definition.name,
        told,
        "held" if is_broken else "quiet",
        "broken_condition" if is_broken else "not_met",
        masked=masked if traces.is_personal(document, stop, line.get("seen")) else "",
    )


@lru_cache(maxsize=512)
def _words(trigger: CompiledTrigger) -> Mapping[str, str]:
    return wording.places_of(trigger.definition)
