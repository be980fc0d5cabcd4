"""One stored event on its way through a backtest, and what a backtest came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from automation.engine.types import Event
from profiles.masking import hidden


class Ending(StrEnum):
    """What would have become of one event."""

    NOT_MET = "not_met"
    FIRED = "fired"
    HELD = "held_back"
    WAITING = "waiting"  # Its moment lies after the end of the backtest.


@dataclass(slots=True)
class Step:
    """One event that the trigger listens to."""

    place: int  # In the order of events.
    event: Event
    is_late: bool
    passed: int = 0  # Conditions passed in order.
    stopped: int = -1  # Index of the first that did not pass; -1: none.
    is_broken: bool = False  # That one could not be checked.
    inside: list[str] = field(default_factory=list)  # Pointers of the conditions in groups that were true.
    ending: Ending = Ending.NOT_MET
    reason: str = ""  # Code, when held back.
    until: datetime | None = None  # When that reason is gone; of one that waits: its moment.
    at: datetime | None = None  # When it fired.


@dataclass(frozen=True, slots=True)
class Sample:
    """One event shown by name."""

    event_id: int
    profile_id: int
    at: datetime
    outcome: str  # An Ending.
    reason: str  # Code, when held back.
    pointer: str  # The condition that did not pass, if any.
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Line:
    """One condition for one event; what it saw in words."""

    result: str  # met, not_met or broken.
    seen: str
    reached: bool
    reason: str = ""
    is_personal: bool = False  # What it saw is an address, a name or the like.

    def masked(self) -> Line:
        """The same for those who may not see personal data."""
        if self.is_personal:
            return replace(self, seen="…", reason=self.reason and "…")
        return replace(self, seen=hidden(self.seen), reason=hidden(self.reason))


@dataclass(frozen=True, slots=True)
class GuardLine:
    """One guard rail for one customer at one moment."""

    code: str
    ok: bool
    until: datetime | None
    text: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one event would, or would not, have been answered."""

    event_id: int
    profile_id: int
    at: datetime
    outcome: str  # An Ending.
    reason: str
    trace: Mapping[str, Line]
    guards: tuple[GuardLine, ...]

    def masked(self) -> Explanation:
        """The same for those who may not see personal data."""
        return replace(self, trace={pointer: line.masked() for pointer, line in self.trace.items()})

    def document(self) -> dict[str, Any]:
        """As the preview answers it: `trace` and `guards`."""
        return {
            "trace": {
                pointer: {
                    "result": line.result,
                    "seen": line.seen,
                    "reached": line.reached,
                    **({"reason": line.reason} if line.reason else {}),
                }
                for pointer, line in self.trace.items()
            },
            "guards": [
                {
                    "code": guard.code,
                    "ok": guard.ok,
                    "until": guard.until.isoformat() if guard.until else None,
                    "text": guard.text,
                }
                for guard in self.guards
            ],
        }


@dataclass(frozen=True, slots=True)
class Backtest:
    """What a trigger would have done, had it been live."""

    since: datetime
    until: datetime
    days: tuple[int, ...]  # Fired, per 24 hours, oldest first.
    fired: int
    customers: int  # For whom it fired.
    held_back: Mapping[str, int]  # Reason -> events, the most frequent first.
    waiting: int  # Matched; their moment lies after `until`.
    events: int  # That it listens to, in the time judged.
    sampled: int  # Of them, those that were judged.
    approximate: bool
    nodes: Mapping[str, tuple[int, int]]  # Pointer -> reached, passed.
    broken: Mapping[str, int]  # Pointer -> could not be checked.
    samples: tuple[Sample, ...]
    explanation: Explanation | None = None

    def document(self) -> dict[str, Any]:
        """As the preview answers it, without nodes and samples."""
        return {
            "from": self.since.isoformat(),
            "to": self.until.isoformat(),
            "days": list(self.days),
            "fired": self.fired,
            "customers": self.customers,
            "held_back": dict(self.held_back),
            "waiting": self.waiting,
            "events": self.events,
            "sampled": self.sampled,
            "approximate": self.approximate,
        }
