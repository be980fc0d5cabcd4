"""One customer led through what is stored of them: the profile, the words and the messages of each moment."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from automation.engine.types import Event, Sent
from automation.pipeline.consent import consent_word
from automation.pipeline.customer import Customer
from profiles.behavior import State, apply, empty

Dead = Mapping[tuple[str, str], tuple[str, datetime]]  # (channel, address) -> why, since when.


class Course:
    """Moves in one direction: forward. What lies ahead of the moment it has reached is not known yet."""

    __slots__ = (
        "_after",
        "_ahead",
        "_dead",
        "_joined",
        "_looks",
        "_sends",
        "_words",
        "customer",
        "history",
        "profile_id",
        "state",
    )

    def __init__(
        self,
        profile_id: int,
        events: Sequence[Event],
        *,
        customer: Customer,
        preferences: Mapping[str, Any],
        sends: Sequence[Sent] = (),
        words: Sequence[tuple[datetime, str, str, bool]] = (),
        segments: Mapping[str, datetime] | None = None,
        dead: Dead | None = None,
        looks: Collection[str] | None = (),
    ) -> None:
        """`events` ascending; `sends` (newest first) and `words` are those that no event of them brings.

        `looks` are the names that conditions look back at; None: all.
        """
        self.profile_id = profile_id
        self.customer = customer
        self.state: State = {**empty(), "preferences": dict(preferences)}
        self.history: list[Event] = []  # Of the names in `looks`, up to the moment reached.
        self._looks = looks
        self._after: tuple[int, State] | None = None
        self._ahead = list(reversed(events))
        self._sends = list(sends)  # The next one stands last.
        self._words = sorted(words, reverse=True)
        self._joined = sorted(((since, key) for key, since in (segments or {}).items()), reverse=True)
        self._dead = dead or {}

    def before(self, event: Event) -> State:
        """The profile just before `event`, by order, not by arrival."""
        order = event.order
        ahead = self._ahead
        while ahead and ahead[-1].order < order:
            self._pass(ahead.pop())
        self._hear(event.occurred_at)
        return self.state

    def after(self, event: Event) -> State:
        """The profile just after `event`; to be asked right after `before`."""
        state = apply(self.state, event)
        self._after = (event.id, state)
        return state

    def until(self, moment: datetime) -> State:
        """The profile with all that happened up to and at `moment`."""
        ahead = self._ahead
        while ahead and ahead[-1].occurred_at <= moment:
            self._pass(ahead.pop())
        self._hear(moment)
        return self.state

    def dead_at(self, moment: datetime) -> dict[tuple[str, str], str]:
        """The addresses that were not served any more."""
        return {key: why for key, (why, since) in self._dead.items() if since <= moment}

    def _pass(self, event: Event) -> None:
        known = self._after
        self.state = known[1] if known and known[0] == event.id else apply(self.state, event)
        self._after = None
        if self._looks is None or event.name in self._looks:
            self.history.append(event)
        if word := consent_word(event):
            self.customer.hear(word.topic, word.channel, word.is_granted, word.at)

    def _hear(self, moment: datetime) -> None:
        while self._words and self._words[-1][0] <= moment:
            at, topic, channel, is_granted = self._words.pop()
            self.customer.hear(topic, channel, is_granted, at)
        while self._joined and self._joined[-1][0] <= moment:
            since, key = self._joined.pop()
            self.customer.segments = {**self.customer.segments, key: since}
        # Strictly before: what another trigger sent for this very event came after it.
        found = []
        while self._sends and self._sends[-1].at < moment:
            found.append(self._sends.pop())
        if found:
            sends = (*found, *self.customer.sends)
            self.customer.sends = tuple(sorted(sends, key=lambda sent: sent.at, reverse=True))
