"""Events that call off what has been decided and has not left: by name, or by a condition on what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from automation import selectors
from automation.engine.rules import CompiledTrigger
from automation.engine.types import Event, Facts, Mode, Verdict
from automation.pipeline import customer as customers_of
from automation.pipeline.customer import Customer, zone_of
from automation.pipeline.plan import plan_of_version
from profiles.behavior import view
from profiles.services import Locked

MAX_LATER = 1000  # Events since the decision that are looked at.


class Decided(NamedTuple):
    """What was decided, by which version and on which event."""

    version_id: int
    profile_id: int
    event_id: int
    event_at: datetime


def facts_of(
    event: Event, locked: Locked, customer: Customer, history: Sequence[Event], now: datetime
) -> Facts:
    """What a condition may read when an execution is looked at again."""
    profile = view(locked.state, now)
    return Facts(
        event=event,
        profile=profile,
        before=profile,
        now=now,
        zone=zone_of(locked.state["time_zone"]),
        history=[other for other in history if other.order < event.order],
        later=[other for other in history if other.order > event.order and other.id != event.id],
        segments=customer.segments,
        sends=customer.sends,
        is_recheck=True,
    )


def canceller(trigger: CompiledTrigger, facts: Facts) -> Event | None:
    """The first later event that calls the execution off."""
    if not trigger.cancel_names:
        return None
    for later in facts.later:
        asked = Facts(
            later,
            facts.profile,
            facts.before,
            facts.now,
            facts.zone,
            segments=facts.segments,
            sends=facts.sends,
        )
        if trigger.cancels(asked).verdict is Verdict.MET:
            return later
    return None


def called_off(decided: Decided, locked: Locked, now: datetime) -> bool:
    """Whether an event since has met a condition of `cancel_when`. Needs the profile lock."""
    trigger = plan_of_version(decided.version_id, Mode.LIVE).trigger
    names = None if "*" in trigger.cancel_names else set(trigger.cancel_names)
    if names is not None and not names:
        return False
    profile_id = decided.profile_id
    found = selectors.histories({profile_id}, names, decided.event_at, now, MAX_LATER)
    customer = customers_of.load(
        {profile_id},
        {trigger.trigger_id: trigger.definition.key},
        dedupe_keys=(),
        with_segments=trigger.needs_segments,
    )[profile_id]
    event = Event(decided.event_id, "", "", profile_id, decided.event_at, decided.event_at)
    # The event itself is among what was found, when it is kept still: its order is the true one.
    event = next((other for other in found.get(profile_id, ()) if other.id == decided.event_id), event)
    return canceller(trigger, facts_of(event, locked, customer, found.get(profile_id, []), now)) is not None
