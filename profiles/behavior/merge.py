"""`merge`: an anonymous profile into the known one, once both are known to be one person.

merge(apply all of A, apply all of B) equals apply all of A and B, for every reducer: sums add, the
later write wins, bounds hold again. So the moment of the merge does not matter either. Where two
writes have the very same stamp, and where values came without any stamp, the known profile wins.
The two must not share events; the caller makes a second merge of the same pair a no-op.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from profiles.behavior.engagement import HALF_LIFE_DAYS, add_weight
from profiles.behavior.patterns import merge_patterns
from profiles.behavior.places import settle_zone
from profiles.behavior.segments import segment_of
from profiles.behavior.state import EMPTY, State, empty
from profiles.behavior.traits import merge_traits

_SOURCES: Final = ("default", "geo", "event", "explicit")  # Weakest first.


def merge(
    known: Mapping[str, Any], anonymous: Mapping[str, Any], *, half_life_days: float = HALF_LIFE_DAYS
) -> State:
    """The state of the one person; neither input is changed.

    Preferences: the known profile's, key by key, except that no wish to hear less is lost.
    """
    known = empty() if known is EMPTY else known
    new = dict(known)
    new["first_seen"] = _pick(min, known["first_seen"], anonymous["first_seen"])
    new["last_activity"] = _pick(max, known["last_activity"], anonymous["last_activity"])
    if anonymous["engagement_at"] is not None:
        new["engagement_value"], new["engagement_at"] = add_weight(
            known["engagement_value"],
            known["engagement_at"],
            anonymous["engagement_value"],
            anonymous["engagement_at"],
            half_life_days,
        )
    new["orders_count"] = known["orders_count"] + anonymous["orders_count"]
    new["lifetime_value"] = known["lifetime_value"] + anonymous["lifetime_value"]
    new["preferences"] = _merge_preferences(known["preferences"], anonymous["preferences"])
    merge_traits(new, known, anonymous)
    new["patterns"] = merge_patterns(known["patterns"], anonymous["patterns"])
    if _SOURCES.index(anonymous["time_zone_source"]) > _SOURCES.index(known["time_zone_source"]):
        new["time_zone"], new["time_zone_source"] = anonymous["time_zone"], anonymous["time_zone_source"]
    settle_zone(new)
    last = new["last_activity"]
    new["behavior_segment"] = "new" if last is None else segment_of(new, last)
    return new


def _merge_preferences(known: Any, anonymous: Any) -> Any:
    """What cannot be read is kept as it is: whoever reads it later holds back (engine/suppression/wishes.py)."""
    if not (isinstance(known, Mapping) and isinstance(anonymous, Mapping)):
        return known if known and not isinstance(known, Mapping) else anonymous or known
    new = {**anonymous, **known}
    for key in ("channels_off", "topics_off"):
        lists = [value for value in (known.get(key), anonymous.get(key)) if value]
        odd = [value for value in lists if _names(value) is None]
        if odd:
            new[key] = odd[0]
        elif lists:
            new[key] = (
                lists[0] if len(lists) == 1 else sorted({n for value in lists for n in _names(value) or ()})
            )
    if anonymous.get("at_most_weekly"):
        new["at_most_weekly"] = True
    pauses = [p["pause_until"] for p in (known, anonymous) if p.get("pause_until")]
    if pauses:
        new["pause_until"] = max(pauses, key=_moment)
    return new


def _names(value: Any) -> list[str] | None:
    names = [value] if isinstance(value, str) else value
    is_list = isinstance(names, list | tuple | set | frozenset)
    return list(names) if is_list and all(isinstance(name, str) for name in names) else None


def _moment(value: Any) -> datetime:
    """For comparing: what is no moment comes before every other."""
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _pick(choose: Any, a: Any, b: Any) -> Any:
    if a is None or b is None:
        return a if b is None else b
    return choose(a, b)
