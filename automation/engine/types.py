"""The frozen data that the pure engine takes and returns.

Nothing here knows a database, a queue or the present time: `now` is always an argument.
All datetimes are aware UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple


class Priority(IntEnum):
    """How urgent a trigger is. The lower number is served first; queues carry the lower-case name."""

    CRITICAL = 1
    HIGH = 2
    MEDIUM = 3
    LOW = 4

    @property
    def lane(self) -> str:
        """Name of the lane (and Celery queue) of this priority."""
        return self.name.lower()

    @property
    def deadline(self) -> timedelta:
        """Longest time from ingest to decision (source article, lines 79-83)."""
        return _DEADLINES[self]


_DEADLINES = {
    Priority.CRITICAL: timedelta(0),
    Priority.HIGH: timedelta(seconds=60),
    Priority.MEDIUM: timedelta(seconds=300),
    Priority.LOW: timedelta(seconds=900),
}


class TriggerType(StrEnum):
    """What kind of moment a trigger answers; a report dimension, never a limit on conditions."""

    BEHAVIORAL = "behavioral"
    TRANSACTIONAL = "transactional"
    LIFECYCLE = "lifecycle"
    CONTEXTUAL = "contextual"
    PREDICTIVE = "predictive"


class Mode(StrEnum):
    """What the engine does with a trigger."""

    DRAFT = "draft"  # Ignored by the engine.
    SHADOW = "shadow"  # Judged and recorded on real events; nothing is sent.
    LIVE = "live"  # Acts.
    PAUSED = "paused"  # Nothing new starts.
    ARCHIVED = "archived"  # Hidden and read-only; its history stays.


class MessageClass(StrEnum):
    """Which rules a message obeys; transactional skips caps, quiet hours, engagement and holdout."""

    MARKETING = "marketing"
    TRANSACTIONAL = "transactional"


class ExecutionStatus(StrEnum):
    """The closed set of five; every further shade is a Reason."""

    PENDING = "pending"  # Decided, waits for its moment or for its first action.
    PROCESSING = "processing"  # At least one action has been claimed, not all are terminal.
    TRIGGERED = "triggered"  # All actions are terminal and at least one succeeded.
    SUPPRESSED = "suppressed"  # Held back; `reason` says why.
    FAILED = "failed"  # All actions are terminal and none succeeded.


class Reason(StrEnum):
    """Why an execution was held back (closed set, design: engine.md section 4)."""

    NO_CONSENT = "no_consent"
    UNSUBSCRIBED = "unsubscribed"
    ADDRESS_SUPPRESSED = "address_suppressed"
    MISSING_ADDRESS = "missing_address"
    FREQUENCY_CAP = "frequency_cap"
    COOLDOWN = "cooldown"
    MAX_PER_CUSTOMER = "max_per_customer"
    PREFERENCE = "preference"
    LOW_ENGAGEMENT = "low_engagement"
    HOLDOUT = "holdout"
    GLOBAL_HOLDOUT = "global_holdout"
    SHADOW = "shadow"
    LOST_TO = "lost_to"
    DUPLICATE = "duplicate"
    CANCELLED_BY_EVENT = "cancelled_by_event"
    CONDITIONS_NO_LONGER_MET = "conditions_no_longer_met"
    EXPIRED = "expired"
    TRIGGER_PAUSED = "trigger_paused"
    PROFILE_ERASED = "profile_erased"
    LATE_EVENT = "late_event"
    BLAST_GUARD = "blast_guard"
    CIRCUIT_OPEN = "circuit_open"
    CHANNEL_UNAVAILABLE = "channel_unavailable"
    TEMPLATE_ERROR = "template_error"
    BROKEN_CONDITION = "broken_condition"


class Waiting(StrEnum):
    """Why a pending execution is not due yet."""

    DELAY = "delay"  # The trigger's own timing.
    QUIET_HOURS = "quiet_hours"  # The customer's night; due when it ends.
    LOST_TO = "lost_to"  # Lost the slot to another trigger, tries again later.


class Verdict(IntEnum):
    """Three results, never two: broken configuration or data is not `no match`."""

    NOT_MET = 0
    MET = 1
    BROKEN = 2


class Result(NamedTuple):
    """What one condition found."""

    verdict: Verdict
    seen: Any = None  # JSON-safe value the condition looked at, for the trace.
    reason: str = ""  # One plain sentence when not met for want of evidence, or broken.


@dataclass(frozen=True, slots=True)
class Event:
    """One thing a customer did. Order is (occurred_at, message_id)."""

    id: int
    message_id: str
    name: str  # Canonical snake_case.
    profile_id: int
    occurred_at: datetime
    received_at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)  # device, location, page, utm, metadata.
    session_id: str = ""
    source: str = ""

    @property
    def order(self) -> tuple[datetime, str]:
        return (self.occurred_at, self.message_id)


@dataclass(frozen=True, slots=True)
class Lookback:
    """Which earlier events a condition wants to see; the loader merges those of a whole batch."""

    window: timedelta
    events: frozenset[str] | None = None  # None means every name.
    max_events: int = 1000


class Sent(NamedTuple):
    """One message reserved or sent to a customer; an uncertain delivery counts as sent (R-016)."""

    at: datetime
    channel: str
    message_class: str
    trigger_key: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything a condition may look at. Conditions never load anything themselves."""

    event: Event
    profile: Mapping[str, Any]  # Attributes after this event was applied; `traits` is nested.
    before: Mapping[str, Any]  # Attributes before this event.
    now: datetime  # Moment of judgement: the event's time on arrival, the due moment on recheck.
    zone: tzinfo  # The customer's.
    history: Sequence[Event] = ()  # Ascending, strictly before `event` in order.
    later: Sequence[Event] = ()  # Ascending, after `event`, up to `now`; only on recheck.
    segments: Mapping[str, datetime] = field(default_factory=dict)  # Segment key -> member since.
    sends: Sequence[Sent] = ()  # Newest first.
    is_recheck: bool = False  # True at the due moment of a delayed execution.
