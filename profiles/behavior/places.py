"""Where a customer is: last location, last device, and the time zone with its source.

Location, device and each source of a zone are last-write-wins by (occurred_at, message_id). The
column `time_zone` follows the strongest source that has said anything: explicit (a trait) > event
(`context.timezone`, the clock of the device) > geo (`context.location.timezone`, looked up from the
address) > default (empty; the installation's zone holds). Unknown zone names are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from profiles.behavior.state import Stamp, State
from profiles.behavior.traits import is_zone, text

_ZONE_FIELDS: Final = ("timezone", "time_zone")
_PLACE_TEXTS: Final = ("country", "region", "city")
_PLACE_NUMBERS: Final = (("latitude", 90.0), ("longitude", 180.0))
_DEVICE_TEXTS: Final = ("type", "os", "browser", "model")
_LONGEST: Final = 64


def zone_in(holder: Any) -> str:
    """A known zone name in a context or location, or empty."""
    if isinstance(holder, Mapping):
        for field in _ZONE_FIELDS:
            if field in holder:
                name = holder[field]
                if isinstance(name, str) and name and len(name) <= _LONGEST and is_zone(name):
                    return name
    return ""


def place_in(location: Any) -> dict[str, Any]:
    """The parts of a location that conditions may ask for; empty when there are none."""
    if not isinstance(location, dict):
        return {}
    place: dict[str, Any] = {}
    for field in _PLACE_TEXTS:
        if field in location:
            cleaned = text(location[field], _LONGEST)
            if cleaned:
                place[field] = cleaned
    for field, bound in _PLACE_NUMBERS:
        if field in location:
            number = location[field]
            # The comparison is false for a NaN.
            if isinstance(number, int | float) and not isinstance(number, bool) and abs(number) <= bound:
                place[field] = float(number)
    return place


def device_in(device: Any) -> dict[str, str]:
    """type (in lower case), os, browser and model of a device; empty when unknown."""
    if isinstance(device, str):
        device = {"type": device}
    elif not isinstance(device, dict):
        return {}
    known: dict[str, str] = {}
    for field in _DEVICE_TEXTS:
        if field in device:
            cleaned = text(device[field], _LONGEST)
            if cleaned:
                known[field] = cleaned.lower() if field == "type" else cleaned
    return known


def later(old: Stamp | None, new: Stamp) -> bool:
    """Whether a stamped write [moment, message_id, value] replaces the old one."""
    if old is None or old[:2] < new[:2]:
        return True
    # One message id from two sources: settle it by the value, so that order does not matter.
    return bool(old[:2] == new[:2] and repr(_sorted(old[2])) < repr(_sorted(new[2])))


def note_places(
    patterns: dict[str, Any], context: Mapping[str, Any], moment: str, message_id: str
) -> dict[str, str]:
    """Write location, device and zones of one event into `patterns`, which the caller owns.

    Returns the device, to be counted.
    """
    location = context.get("location")
    if location:
        _note(patterns, "location", [moment, message_id, place_in(location)])
        _note(patterns, "zone_geo", [moment, message_id, zone_in(location)])
    if "timezone" in context or "time_zone" in context:
        _note(patterns, "zone_event", [moment, message_id, zone_in(context)])
    device = device_in(context["device"]) if "device" in context else {}
    if device:
        _note(patterns, "device", [moment, message_id, device])
    return device


def merge_places(patterns: dict[str, Any], other: Mapping[str, Any]) -> None:
    """The later write of each place of two patterns, into `patterns`."""
    for key in ("location", "zone_geo", "zone_event", "device"):
        if key in other:
            _note(patterns, key, other[key])


def settle_zone(new: State) -> None:
    """Set `time_zone` and its source from the strongest source.

    A zone that was loaded by other means than events stays until a source at least as strong speaks.
    """
    patterns, source = new["patterns"], new["time_zone_source"]
    explicit = new["traits"].get("time_zone")
    if explicit:
        new["time_zone"], new["time_zone_source"] = explicit, "explicit"
    elif source == "explicit" and "time_zone" not in new["trait_stamps"]:
        return
    elif "zone_event" in patterns:
        new["time_zone"], new["time_zone_source"] = patterns["zone_event"][2], "event"
    elif source == "event":
        return
    elif "zone_geo" in patterns:
        new["time_zone"], new["time_zone_source"] = patterns["zone_geo"][2], "geo"
    elif source == "explicit":  # It was set to null, and nobody else knows better.
        new["time_zone"], new["time_zone_source"] = "", "default"


def _note(patterns: dict[str, Any], key: str, stamp: Stamp) -> None:
    if stamp[2] and later(patterns.get(key), stamp):
        patterns[key] = stamp


def _sorted(value: Any) -> Any:
    return sorted(value.items()) if isinstance(value, Mapping) else value
