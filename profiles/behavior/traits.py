"""Traits: what a customer or a source of ours told us. The last write wins, trait by trait.

The key of a write is (occurred_at, message_id); two different writes with the same key (one message
id from two sources) are settled by the larger JSON text, so that even then order does not matter.
A trait set to null is gone, and its stamp stays behind so that an older write cannot bring it back.

Six traits have a column of their own: email, phone, first_name, last_name, locale and time_zone
(whose column also follows events and geography, see places.py). Usual other spellings are
taken as well; the exact name wins over them. Their text is cleaned: no line breaks or control
characters, no surrounding blanks, limited in length; what is no text and no number is ignored.

Other traits are JSON values of at most 4 KB; at most 200 of them, the alphabetically first by the
rule of tally.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from profiles.behavior.state import Stamp, State
from profiles.behavior.vocabulary import IDENTIFY, PROFILE_UPDATES

COLUMN_TRAITS: Final[Mapping[str, int]] = {  # Column -> longest text.
    "email": 254,
    "phone": 32,
    "first_name": 150,
    "last_name": 150,
    "locale": 35,
    "time_zone": 64,
}
ALIASES: Final[Mapping[str, str]] = {
    "firstName": "first_name",
    "firstname": "first_name",
    "lastName": "last_name",
    "lastname": "last_name",
    "timezone": "time_zone",
    "timeZone": "time_zone",
    "language": "locale",
}
MAX_TRAITS: Final = 200
MAX_KEY: Final = 100
MAX_JSON: Final = 4096
MAX_NUMBER: Final = 10**30
_MISSING: Final = object()


def traits_of(name: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The traits that an event of this name carries; empty for most."""
    if name in IDENTIFY or name in PROFILE_UPDATES:
        traits = data.get("traits")
        if isinstance(traits, Mapping):
            return traits
        if name in PROFILE_UPDATES:
            return data
    return {}


def write_traits(new: State, traits: Mapping[str, Any], moment: str, message_id: str) -> None:
    """Write traits into `new`, a state that the caller owns; its inner dicts are replaced, not changed.

    The column `time_zone` is left to places.settle_zone, which knows the other sources.
    """
    clean = _clean(traits)
    if not clean:
        return
    stamps: dict[str, Stamp] = dict(new["trait_stamps"])
    values: dict[str, Any] = dict(new["traits"])
    stamp = [moment, message_id]
    for key, value in clean.items():
        old = stamps.get(key)
        if old is None or old < stamp or (old == stamp and _rank(value) > _rank(stored(new, key))):
            stamps[key] = stamp
            _put(new, values, key, value)
    _trim(stamps, values)
    new["trait_stamps"] = stamps
    new["traits"] = values


def merge_traits(new: State, known: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """Write the traits of two states into `new`, trait by trait the later one; `known` wins ties.

    A value without stamp (loaded by other means than an event) counts as the oldest write.
    """
    stamps: dict[str, Stamp] = dict(known["trait_stamps"])
    values: dict[str, Any] = dict(known["traits"])
    for key in _written(other):
        theirs, ours = other["trait_stamps"].get(key), stamps.get(key)
        value = stored(other, key)
        if ours is None and theirs is None:
            if stored(known, key) not in (None, ""):
                continue
        elif theirs is None or (ours is not None and theirs <= ours):
            continue
        if theirs is not None:
            stamps[key] = theirs
        _put(new, values, key, value)
    _trim(stamps, values)
    new["trait_stamps"] = stamps
    new["traits"] = values


def text(value: Any, limit: int) -> str | None:
    """Clean one-line text, or None when the value is neither text nor a plain number."""
    if isinstance(value, str):
        line: str = value
        if not line.isprintable():
            line = "".join(c if c.isprintable() else " " for c in line)
        return line.strip()[:limit].rstrip()
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MAX_NUMBER:
        return str(value)[:limit]
    return None


@lru_cache(maxsize=8192)
def _clean_text(value: str, limit: int) -> str:
    """Devices, places and categories repeat all the time."""
    if not value.isprintable():
        value = "".join(c if c.isprintable() else " " for c in value)
    return value.strip()[:limit].rstrip()


@lru_cache(maxsize=4096)
def is_zone(name: str) -> bool:
    """Whether the name is an IANA time zone that this installation knows."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # Unknown, a path out of the database, a folder of it.
        return False
    return True


def stored(state: Mapping[str, Any], key: str) -> Any:
    """The value of a trait, from its column or from `traits` (there also the explicit zone); else None."""
    if key in COLUMN_TRAITS and key != "time_zone":
        return state[key]
    return state["traits"].get(key)


def _clean(traits: Mapping[str, Any]) -> dict[str, Any]:
    clean: dict[str, Any] = {}
    # Sorted, because a JSON object has no order: of two aliases the alphabetically first wins.
    for raw in sorted(key for key in traits if isinstance(key, str)):
        if not raw or len(raw) > MAX_KEY or not raw.isprintable():
            continue
        key, value = ALIASES.get(raw, raw), traits[raw]
        if raw in ALIASES and (key in traits or key in clean):
            continue
        limit = COLUMN_TRAITS.get(key)
        if limit is None:
            kept = _json(value)
        else:
            kept = "" if value is None else text(value, limit)
            if kept is None or (key == "time_zone" and kept and not is_zone(kept)):
                kept = _MISSING
        if kept is not _MISSING:
            clean[key] = kept
    return clean


def _json(value: Any) -> Any:
    if value is None or (isinstance(value, int) and abs(value) < MAX_NUMBER):
        return value
    try:
        written = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return _MISSING
    return value if len(written) <= MAX_JSON else _MISSING


def _rank(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _put(new: State, values: dict[str, Any], key: str, value: Any) -> None:
    if key in COLUMN_TRAITS and key != "time_zone":
        new[key] = value
    elif value is None or (value == "" and key == "time_zone"):
        values.pop(key, None)
    else:
        values[key] = value


def _written(state: Mapping[str, Any]) -> Iterable[str]:
    columns = (key for key in COLUMN_TRAITS if key != "time_zone" and state[key])
    return dict.fromkeys([*state["trait_stamps"], *state["traits"], *columns])


def _trim(stamps: dict[str, Stamp], values: dict[str, Any]) -> None:
    if len(stamps) > MAX_TRAITS:
        named = sorted((key not in COLUMN_TRAITS, key) for key in stamps)
        for _, key in named[MAX_TRAITS:]:
            del stamps[key]
            values.pop(key, None)
