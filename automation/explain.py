"""Why did this customer get it, or why not? From what was stored, or judged anew by the same engine.

Writes nothing. A stored decision is shown as it was made. Where none is stored (the conditions were not met),
the profile is built again as of the event by the same reducers, and the same compiled trigger is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from automation import selectors, traces
from automation.engine.rules import CompiledTrigger, compile_trigger
from automation.engine.types import Event as Happened
from automation.engine.types import Facts, Mode
from automation.engine.validate import validate_definition
from automation.models import Delivery, Event, Execution, QuarantinedEvent, QueuedEvent, Trigger
from automation.pipeline.customer import zone_of
from automation.traces import Guard, Line
from profiles import selectors as profile_selectors
from profiles import services
from profiles.behavior import apply, empty, view
from profiles.models import Identity, Profile

EVENTS_REPLAYED = 5000  # Newest events of a customer from which the profile is built again.


class NothingFoundError(LookupError):
    """There is no such customer, event or trigger, or they have nothing to do with one another."""


@dataclass(frozen=True, slots=True)
class Action:
    """One delivery in short."""

    type: str
    channel: str
    status: str
    reason: str
    tries: int
    error: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """One trigger and one event of one customer."""

    customer: str
    event_id: int
    event_name: str
    occurred_at: datetime
    trigger: str
    trigger_name: str
    mode: str
    version: int | None  # None: a draft that was never published.
    is_stored: bool  # As it was decided then; else judged anew.
    outcome: str  # fired, held back, waits, failed, not met, broken, met, does not listen, undecided
    summary: str
    conditions: list[Line] = field(default_factory=list)
    guards: list[Guard] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)


def explain(customer: str, about: str) -> list[Explanation]:
    """Explain an event (its id, or the name of the newest one) or a trigger (its key) for one customer.

    Raises NothingFoundError with a sentence that says what is missing.
    """
    profile = _profile(customer)
    trigger = Trigger.objects.select_related("current_version").filter(key=about).first()
    if trigger is not None:
        return [_of_trigger(profile, trigger)]
    event = _event(profile, about)
    decided = Execution.objects.filter(profile_id=profile.pk, event_id=event.pk).values_list(
        "trigger_id", flat=True
    )
    candidates = Trigger.objects.select_related("current_version").order_by("priority", "pk")
    found = [
        explain_pair(profile, event, candidate)
        for candidate in candidates
        if candidate.pk in set(decided)
        or (candidate.mode in (Mode.LIVE, Mode.SHADOW) and _listens(candidate, event))
    ]
    if not found:
        raise NothingFoundError(f"No live or shadow trigger listens to {event.name}.")
    return found


def explain_pair(profile: Profile, event: Event, trigger: Trigger) -> Explanation:
    """Explain one trigger for one event: the stored decision, or the same engine asked again."""
    execution = (
        Execution.objects.filter(profile_id=profile.pk, trigger=trigger, event_id=event.pk)
        .select_related("version")
        .first()
    )
    return _stored(profile, trigger, event, execution) if execution else _judged(profile, trigger, event)


def event_names(trigger: Trigger) -> frozenset[str]:
    """The names of the events that a trigger listens to; `*` stands for every name.

    Raises NothingFoundError when its conditions cannot be read.
    """
    return frozenset(_compiled(trigger).event_names)


def _profile(customer: str) -> Profile:
    identity = Identity.objects.select_related("profile__merged_into").filter(
        kind__in=Identity.Kind.values, value=customer
    )
    found = identity.first()
    profile = found.profile if found else Profile.objects.filter(customer_id=customer).first()
    if profile is None:
        raise NothingFoundError(f"There is no customer {customer!r}.")
    return profile.merged_into or profile


def _event(profile: Profile, about: str) -> Event:
    events = Event.objects.filter(profile=profile)
    if about.isdecimal() and len(about) <= 18:
        found = events.filter(pk=int(about)).first()
        if found is None:
            raise NothingFoundError(f"Event {about} is not one of {profile}.")
        return found
    newest = events.filter(name=about).order_by("-occurred_at").first()
    if newest is None:
        raise NothingFoundError(f"There is no trigger {about!r}, and {profile} has no event of that name.")
    return newest


def _of_trigger(profile: Profile, trigger: Trigger) -> Explanation:
    """For the newest event that the trigger listens to."""
    compiled = _compiled(trigger)
    events = Event.objects.filter(profile=profile)
    if "*" not in compiled.event_names:
        events = events.filter(name__in=compiled.event_names)
    event = events.order_by("-occurred_at").first()
    if event is None:
        names = ", ".join(sorted(compiled.event_names)) or "no event"
        raise NothingFoundError(f"{trigger.name} listens to {names}, and {profile} has no such event.")
    return explain_pair(profile, event, trigger)


def _stored(profile: Profile, trigger: Trigger, event: Event, execution: Execution) -> Explanation:
    rows = Delivery.objects.filter(execution_id=execution.pk).order_by("action_index", "channel")
    outcome = {"triggered": "fired", "suppressed": "held back", "failed": "failed"}.get(
        execution.status, "waits"
    )
    if execution.status == "pending" and execution.waiting == "":
        outcome = "fired"
    held = traces.guards(execution.reasons)
    trace = execution.trace if isinstance(execution.trace, Mapping) else {}
    return Explanation(
        **_head(profile, trigger, event),
        version=execution.version.number,
        is_stored=True,
        outcome=outcome,
        summary=_summary(outcome, held, execution),
        conditions=traces.lines(execution.version.definition, trace.get("conditions")),
        guards=[*held, *traces.guards(trace.get("blocked"))],
        actions=[Action(d.action_type, d.channel, d.status, d.reason, d.tries, d.error) for d in rows],
    )


def _summary(outcome: str, held: list[Guard], execution: Execution) -> str:
    if outcome == "held back":
        return held[0].text if held else execution.reason
    if outcome == "waits":
        return f"Waits ({execution.waiting.replace('_', ' ') or 'for its actions'})."
    return execution.error or ("It failed." if outcome == "failed" else "It fired.")


def _judged(profile: Profile, trigger: Trigger, event: Event) -> Explanation:
    """Ask the engine again; the profile, the history and the memberships are those of the event's moment."""
    compiled = _compiled(trigger)
    head = {**_head(profile, trigger, event), "version": _number(trigger), "is_stored": False}
    if "*" not in compiled.event_names and event.name not in compiled.event_names:
        names = ", ".join(sorted(compiled.event_names)) or "no event"
        return Explanation(**head, outcome="does not listen", summary=f"It listens to {names}.")
    if QueuedEvent.objects.filter(pk=event.pk).exists():
        return Explanation(**head, outcome="undecided", summary="The event still waits for its decision.")
    if QuarantinedEvent.objects.filter(event_id=event.pk, state=QuarantinedEvent.State.HELD).exists():
        return Explanation(**head, outcome="undecided", summary="The event is in quarantine.")
    trace = compiled.trace(facts_of(profile.pk, event.pk, event.occurred_at, event.received_at))
    document = trigger.current_version.definition if trigger.current_version else trigger.document()
    found = traces.lines(document, trace)
    stop = next((line for line in found if line.is_stop), None)
    outcome = {"met": "met", "not_met": "not met", "broken": "broken"}[trace["result"]]
    summary = f"Stopped at: {stop.text} (it saw {stop.seen or 'nothing'})." if stop else _met(trigger, event)
    return Explanation(**head, outcome=outcome, summary=summary, conditions=found)


def _met(trigger: Trigger, event: Event) -> str:
    if event.is_import:
        return "The conditions are met, but imported events fire no trigger."
    if trigger.mode not in (Mode.LIVE, Mode.SHADOW):
        return f"The conditions are met, but the trigger is {trigger.mode}."
    return (
        "The conditions are met, but no decision of its own is stored: the trigger was published later,"
        " changed since, or a repeated hold was counted on an earlier decision."
    )


def facts_of(profile_id: int, event_id: int, at: datetime, received_at: datetime) -> Facts:
    """What the engine could see when this event was decided, rebuilt from stored events."""
    return facts_of_many([(profile_id, event_id, at, received_at)])[event_id]


def facts_of_many(
    asked: Sequence[tuple[int, int, datetime, datetime]], *, limit: int = EVENTS_REPLAYED
) -> dict[int, Facts]:
    """Event id -> facts, for (profile id, event id, occurred at, received at); six queries whatever their number.

    An event is missing when its customer has `limit` events or more and less of them than EVENTS_REPLAYED are asked
    for: a profile built from a part of its past would explain wrongly.
    """
    if not asked:
        return {}
    profile_ids = list({profile_id for profile_id, _, _, _ in asked})
    times = [at for _, _, at, _ in asked]
    oldest = min(times) - timedelta(days=31 * settings.RETENTION_MONTHS)
    stored = selectors.histories(profile_ids, None, oldest, max(times), limit)
    keys = dict(Trigger.objects.values_list("pk", "key"))
    sends = selectors.sends(profile_ids, keys)
    segments = profile_selectors.memberships(profile_ids)
    preferences = {key: one.state["preferences"] for key, one in services.load(profile_ids).items()}
    found = {}
    for profile_id, event_id, at, received_at in asked:
        events = stored.get(profile_id, [])
        event = next((one for one in events if one.id == event_id), None)
        if event is None or limit <= len(events) < EVENTS_REPLAYED:
            continue
        earlier = [one for one in events if one.order < event.order]
        before = _replayed(earlier, preferences.get(profile_id, {}))
        after = apply(before, event)
        found[event_id] = Facts(
            event=event,
            profile=view(after, at),
            before=view(before, at),
            now=at,
            zone=zone_of(after["time_zone"]),
            history=earlier,
            segments={key: since for key, since in segments.get(profile_id, {}).items() if since <= at},
            sends=tuple(sent for sent in sends.get(profile_id, ()) if sent.at < received_at),
        )
    return found


def facts_of_event(event: Happened) -> Facts:
    """Facts of an event whose customer is not known: enough for conditions on the event alone."""
    seen = view(_replayed([event], {}), event.occurred_at)
    return Facts(event=event, profile=seen, before=seen, now=event.occurred_at, zone=zone_of(""))


def _replayed(events: Iterable[Happened], preferences: Mapping[str, Any]) -> dict[str, Any]:
    state = empty()
    for event in events:
        state = apply(state, event)
    return {**state, "preferences": preferences}


def _compiled(trigger: Trigger) -> CompiledTrigger:
    version = trigger.current_version
    definition, problems = validate_definition(version.definition if version else trigger.document())
    if definition is None:
        raise NothingFoundError(f"{trigger.name} cannot be read: {next(iter(problems.values())).message}")
    return compile_trigger(
        definition, trigger_id=trigger.pk, version_id=version.pk if version else 0, mode=Mode(trigger.mode)
    )


def _listens(trigger: Trigger, event: Event) -> bool:
    names = _compiled(trigger).event_names
    return "*" in names or event.name in names


def _number(trigger: Trigger) -> int | None:
    return trigger.current_version.number if trigger.current_version else None


def _head(profile: Profile, trigger: Trigger, event: Event) -> dict[str, Any]:
    return {
        "customer": str(profile),
        "event_id": event.pk,
        "event_name": event.name,
        "occurred_at": event.occurred_at,
        "trigger": trigger.key,
        "trigger_name": trigger.name,
        "mode": trigger.mode,
    }
