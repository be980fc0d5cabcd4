"""One customer from event to event, with as much of them as was loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, tzinfo

from automation.backtest.unread import NO_PROFILE, NO_ZONE, UNREAD, Narrow
from automation.engine.types import Event, Facts
from automation.pipeline.customer import zone_of
from profiles.behavior import State, apply, empty, view
from profiles.behavior.places import zone_in


class Reader:
    """Led forward by `facts`; what lies ahead is not known yet."""

    def __init__(
        self,
        profile_id: int,
        sources: Sequence[Event],
        history: Sequence[Event] | None,
        segments: Mapping[str, datetime],
    ) -> None:
        self.profile_id = profile_id
        self._state: State = empty()
        self._sources = list(reversed(sources))
        self._history = None if history is None else list(reversed(history))
        self._seen: list[Event] = []
        self._segments = segments

    def facts(self, event: Event, names: frozenset[str], attributes: frozenset[str]) -> Facts:
        """What is known at `event`; asking for more raises UnreadError."""
        at, order = event.occurred_at, event.order
        _move(self._sources, order, self._apply)
        if self._history is not None:
            _move(self._history, order, self._seen.append)
        before = self._state
        after = apply(before, event) if event.name in names else before
        earlier = Narrow(view(before, at), attributes) if attributes else NO_PROFILE
        is_source = attributes and after is not before
        return Facts(
            event,
            Narrow(view(after, at), attributes) if is_source else earlier,
            earlier,
            at,
            _zone(after, event),
            history=UNREAD if self._history is None else self._seen,
            segments={key: since for key, since in self._segments.items() if since <= at},
            sends=UNREAD,
        )

    def _apply(self, event: Event) -> None:
        self._state = apply(self._state, event)


def _move(ahead: list[Event], order: tuple[datetime, str], to: Callable[[Event], None]) -> None:
    while ahead and ahead[-1].order < order:
        to(ahead.pop())


def _zone(state: State, event: Event) -> tzinfo:
    """The customer's zone where it can be told: they named it, or the event itself carries the newest one."""
    named = state["traits"].get("time_zone") or zone_in(event.context)
    return zone_of(named) if named else NO_ZONE
