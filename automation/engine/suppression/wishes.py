"""A customer's stored wishes, read so that nothing odd in them raises, and no wish to hear less is lost.

What cannot be read might have meant "off": it holds messages back, and says so, until a person has put it right.
"""

from __future__ import annotations

from collections.abc import Mapping

from automation.engine.suppression.data import Held
from automation.engine.types import Reason


def unreadable(preferences: object) -> Held | None:
    """A reason when the preferences as a whole are nothing that holds wishes."""
    if not preferences or isinstance(preferences, Mapping):
        return None
    return Held(Reason.PREFERENCE, None, {"kind": "unreadable", "key": "preferences"})


def turned_off(preferences: Mapping[str, object], key: str, name: str) -> Held | None:
    """A reason when the list `key` (`channels_off`, `topics_off`) names `name`, or cannot be read."""
    names = preferences.get(key)
    if not names:
        return None
    if isinstance(names, str):
        names = [names]
    if not isinstance(names, list | tuple | set | frozenset) or not all(isinstance(n, str) for n in names):
        return Held(Reason.PREFERENCE, None, {"kind": "unreadable", "key": key})
    if name not in names:
        return None
    return Held(Reason.PREFERENCE, None, _KINDS[key] | {_KINDS[key]["kind"].partition("_")[0]: name})


_KINDS = {"channels_off": {"kind": "channel_off"}, "topics_off": {"kind": "topic_off"}}
