"""Stand-ins for what has not been loaded. A condition that asks for it says so, and is asked again later."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, NoReturn

from automation.engine.types import Event, Facts


class UnreadError(BaseException):
    """Not loaded yet. Not an Exception: a condition that turns faults into *broken* must not swallow it."""


class Narrow(Mapping[str, Any]):
    """A profile of which only some attributes are known for sure."""

    __slots__ = ("_inner", "_known")

    def __init__(self, inner: Mapping[str, Any], known: Collection[str]) -> None:
        self._inner = inner
        self._known = known

    def __getitem__(self, key: str) -> Any:
        if key not in self._known:
            raise UnreadError
        return self._inner[key]

    def __contains__(self, key: object) -> bool:
        if key not in self._known:
            raise UnreadError
        return key in self._inner

    def __iter__(self) -> Iterator[str]:
        raise UnreadError

    def __len__(self) -> NoReturn:
        raise UnreadError


class _NoZone(tzinfo):
    def utcoffset(self, moment: datetime | None) -> NoReturn:
        raise UnreadError

    def dst(self, moment: datetime | None) -> NoReturn:
        raise UnreadError

    def tzname(self, moment: datetime | None) -> NoReturn:
        raise UnreadError


class _Nothing(Sequence[Any]):
    def __getitem__(self, index: Any) -> NoReturn:
        raise UnreadError

    def __len__(self) -> NoReturn:
        raise UnreadError


UNREAD = _Nothing()
NO_PROFILE = Narrow({}, ())
NO_ZONE = _NoZone()


def event_alone(event: Event) -> Facts:
    """The facts before anything is known of the customer."""
    return Facts(
        event,
        NO_PROFILE,
        NO_PROFILE,
        event.occurred_at,
        NO_ZONE,
        history=UNREAD,
        segments=NO_PROFILE,
        sends=UNREAD,
    )
