"""`apply`: the profile after one event. The hot path of the engine; a few microseconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from profiles.behavior.engagement import ANY_ACTIVITY, HALF_LIFE_DAYS, WEIGHTS, add_weight
from profiles.behavior.money import order_value, refund_value
from profiles.behavior.patterns import note_event
from profiles.behavior.places import settle_zone
from profiles.behavior.segments import segment_of
from profiles.behavior.state import EMPTY, BehaviorEvent, State, empty, moment_text
from profiles.behavior.traits import traits_of, write_traits
from profiles.behavior.vocabulary import IDENTIFY, MACHINE_MADE, PASSIVE, PROFILE_UPDATES, PURCHASES, REFUNDS

_TRAIT_EVENTS = IDENTIFY | PROFILE_UPDATES


def apply(
    state: Mapping[str, Any],
    event: BehaviorEvent,
    *,
    weights: Mapping[str, float] = WEIGHTS,
    half_life_days: float = HALF_LIFE_DAYS,
) -> State:
    """A new state with the event in it; `state` is not changed. Any order of events gives the same.

    - first_seen: minimum of all events; last_activity: maximum of those the customer made.
    - engagement: weight of the name, or of `*` for any other activity; see engagement.py.
    - orders_count, lifetime_value: purchases add, refunds subtract; see money.py.
    - traits and their columns, time zone: last write wins; see traits.py and places.py.
    - patterns: counters, hours, categories, devices, sessions; see patterns.py.
    - behavior_segment: as of `last_activity`; see segments.py.
    """
    new = empty() if state is EMPTY else dict(state)
    name, at = event.name, event.occurred_at
    moment = moment_text(at)
    is_machine = event.data.get(MACHINE_MADE) is True
    is_activity = name not in PASSIVE and not is_machine

    first = new["first_seen"]
    if first is None or at < first:
        new["first_seen"] = at
    if is_activity:
        last = new["last_activity"]
        if last is None or at > last:
            new["last_activity"] = at

    weight = 0.0 if is_machine else weights.get(name)
    if weight is None:
        weight = weights.get(ANY_ACTIVITY, 0.0) if is_activity else 0.0
    if weight:
        new["engagement_value"], new["engagement_at"] = add_weight(
            new["engagement_value"], new["engagement_at"], weight, at, half_life_days
        )

    if name in PURCHASES:
        new["orders_count"] += 1
        new["lifetime_value"] += order_value(event.data)
    elif name in REFUNDS:
        new["lifetime_value"] -= refund_value(event.data)

    if name in _TRAIT_EVENTS:
        write_traits(new, traits_of(name, event.data), moment, event.message_id)
    new["patterns"] = note_event(new["patterns"], event, moment, is_activity)
    if event.context or name in _TRAIT_EVENTS:
        settle_zone(new)
    last = new["last_activity"]
    if last is not None:
        new["behavior_segment"] = segment_of(new, last)
    return new
