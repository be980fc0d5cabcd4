"""Behavioural patterns: the JSON part of a profile, bounded in size.

| key | meaning | bound |
|---|---|---|
| events | name -> [count, first moment, last moment], every event of the customer | 200 names, `other` |
| hours | hour of the week in UTC ("0" = Monday 00:00) -> activity | 168 |
| categories | product category -> activity | 100, `other` |
| devices | device type -> activity | 20, `other` |
| sessions | sketch of session ids, see sessions.py | 64 numbers |
| session | [moment, message id, session id] of the last activity in a session | |
| location, device, zone_event, zone_geo | [moment, message id, value], the last one known | |
| purchase | [moment, message id, value as text] of the last purchase | |
| messages_received | messages delivered to the customer, all channels | |

Activity is what the customer did; what happened to them (vocabulary.PASSIVE) and machine-made opens
only count by name. The rule of the bounds is in tally.py. Intervals between events are not stored:
mean interval = (last - first) / (count - 1) of a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final

from profiles.behavior.money import order_value
from profiles.behavior.places import later, merge_places, note_places
from profiles.behavior.sessions import add_session, merge_sketches
from profiles.behavior.state import BehaviorEvent
from profiles.behavior.tally import count, count_span, merge_counts, merge_spans
from profiles.behavior.traits import text
from profiles.behavior.vocabulary import CORE, DELIVERED, PURCHASES

MAX_NAMES: Final = 200
MAX_CATEGORIES: Final = 100
MAX_DEVICES: Final = 20
MAX_ITEMS: Final = 50  # Lines of one order or cart whose category is counted.
BEST_HOUR_EVIDENCE: Final = 10  # Activities before a customer's own best hour is believed.
_LONGEST_LABEL: Final = 80
_LONGEST_ID: Final = 128
_HOURS: Final = tuple(str(hour) for hour in range(168))
_NO_SPANS: Final[Mapping[str, Any]] = {}
_NO_COUNTS: Final[Mapping[str, int]] = {}
_ITEM_LISTS: Final = ("items", "products")


def hour_of_week(at: datetime) -> int:
    """0 is Monday 00:00-00:59 UTC, 167 Sunday 23:00-23:59."""
    if at.tzinfo is not UTC:
        at = at.astimezone(UTC)
    return at.weekday() * 24 + at.hour


def note_event(
    old: Mapping[str, Any], event: BehaviorEvent, moment: str, is_activity: bool
) -> dict[str, Any]:
    """The patterns after one event; a new dict."""
    new = dict(old)
    name = event.name
    new["events"] = count_span(old.get("events", _NO_SPANS), name, moment, MAX_NAMES, CORE)
    if name in DELIVERED:
        new["messages_received"] = old.get("messages_received", 0) + 1
    if is_activity:
        _note_activity(new, event, moment)
    return new


def _note_activity(new: dict[str, Any], event: BehaviorEvent, moment: str) -> None:
    hours = dict(new.get("hours", _NO_COUNTS))
    hour = _HOURS[hour_of_week(event.occurred_at)]
    hours[hour] = hours.get(hour, 0) + 1
    new["hours"] = hours
    data, context, session_id = event.data, event.context, event.session_id
    if data:
        for category in categories_in(data):
            new["categories"] = count(new.get("categories", _NO_COUNTS), category, MAX_CATEGORIES)
        if event.name in PURCHASES:
            _note_last(new, "purchase", [moment, event.message_id, str(order_value(data))])
    elif event.name in PURCHASES:
        _note_last(new, "purchase", [moment, event.message_id, "0.00"])
    if context:
        kind = note_places(new, context, moment, event.message_id).get("type")
        if kind:
            new["devices"] = count(new.get("devices", _NO_COUNTS), kind, MAX_DEVICES)
    if session_id:
        session_id = session_id[:_LONGEST_ID]
        last = new.get("session")
        if last is None or last[2] != session_id:
            new["sessions"] = add_session(new.get("sessions", ()), session_id)
        _note_last(new, "session", [moment, event.message_id, session_id])


def categories_in(data: Mapping[str, Any]) -> list[str]:
    """The product categories an event is about, each once: its own, and those of its items."""
    holders: list[Any] = [data] if "category" in data else []
    for field in _ITEM_LISTS:
        if field in data:
            items = data[field]
            if isinstance(items, list | tuple):
                holders.extend(items[:MAX_ITEMS])
    found: dict[str, None] = {}
    for holder in holders:
        if isinstance(holder, Mapping) and "category" in holder:
            label = text(holder["category"], _LONGEST_LABEL)
            if label:
                found[label] = None
    return list(found)


def _note_last(new: dict[str, Any], key: str, stamp: list[Any]) -> None:
    if later(new.get(key), stamp):
        new[key] = stamp


def merge_patterns(known: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """The patterns of all events of both."""
    new = {**other, **known}
    for key, limit in (("hours", len(_HOURS)), ("categories", MAX_CATEGORIES), ("devices", MAX_DEVICES)):
        if key in known and key in other:
            new[key] = merge_counts(known[key], other[key], limit)
    if "events" in known and "events" in other:
        new["events"] = merge_spans(known["events"], other["events"], MAX_NAMES, CORE)
    if "sessions" in known and "sessions" in other:
        new["sessions"] = merge_sketches(known["sessions"], other["sessions"])
    if "messages_received" in known and "messages_received" in other:
        new["messages_received"] = known["messages_received"] + other["messages_received"]
    merge_places(new, other)
    for key in ("session", "purchase"):
        if key in other:
            _note_last(new, key, other[key])
    return new


def best_hour(patterns: Mapping[str, Any], zone: tzinfo, at: datetime) -> int | None:
    """The hour of the customer's day (0-23, at the offset of `at`) with most activity; None below BEST_HOUR_EVIDENCE.

    Of equally busy hours the earliest.
    """
    counts = [0] * 24
    offset = at.astimezone(zone).utcoffset() or timedelta(0)
    shift = round(offset.total_seconds() / 3600)
    for hour, n in patterns.get("hours", _NO_COUNTS).items():
        counts[(int(hour) + shift) % 24] += n
    return counts.index(max(counts)) if sum(counts) >= BEST_HOUR_EVIDENCE else None
