"""What the judge looks at, and what it answers. Frozen; nothing here is loaded or saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, tzinfo
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from automation.engine.types import MessageClass, Reason, Sent, Waiting

ANY_TOPIC: Final = "*"  # Consent for every marketing topic: a "stop everything", or a general opt-in.
MAX_RECENT: Final = 1000  # Firings of one trigger that are remembered for max_per_period.
_NOTHING: Final[Mapping[Any, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `limit` messages of a class, on one channel or on all together, within a window."""

    channel: str | None = "email"  # None: all channels together.
    message_class: str = MessageClass.MARKETING
    limit: int = 1
    window: timedelta = timedelta(hours=24)
    calendar_day: bool = False  # Whole days of the customer's calendar instead of rolling hours.


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of the installation that hold for all triggers."""

    caps: tuple[Cap, ...] = (Cap(),)
    low_engagement_threshold: float = 0.2  # Below it a customer gets no marketing ...
    min_received: int = 5  # ... once they have received so many messages: evidence, not the default score.
    repermission_every: timedelta = timedelta(days=90)  # How often "do you still want this?" may be asked.
    global_holdout_percent: float = 0.0  # Share of customers who get no marketing at all.
    global_holdout_salt: str = "global"
    default_holdout: float = 5.0  # Percent, for marketing triggers that do not say.
    quiet_start: time | None = time(21)  # The customer's clock; None: no quiet hours.
    quiet_end: time = time(8)
    is_opt_in_required: bool = True  # Marketing needs a recorded yes; otherwise only no recorded no.
    in_product_channels: frozenset[str] = frozenset({"in_app"})
    """Channels seen only by who is using the product: no address, no opt-in, no quiet hours."""


@dataclass(frozen=True, slots=True)
class Fired:
    """What one trigger has already done for this customer (shadow, held and cancelled ones not counted)."""

    last_at: datetime
    count: int  # For ever; from PostgreSQL.
    recent: tuple[datetime, ...] = ()  # Newest first, at least as far back as the trigger's period.
    by_key: Mapping[str, datetime] = field(default_factory=dict)
    """Last firing per cooldown key (an order, a product)."""

    def again(self, at: datetime, cooldown_key: str) -> Fired:
        """With one more firing."""
        by_key = {**self.by_key, cooldown_key: at} if cooldown_key else self.by_key
        return Fired(max(at, self.last_at), self.count + 1, (at, *self.recent[: MAX_RECENT - 1]), by_key)


@dataclass(frozen=True, slots=True)
class Ask:
    """One trigger that matched and asks to act for one customer."""

    trigger_id: int
    key: str  # The trigger's.
    priority: int = 3  # Lower wins.
    value: float = 0.0  # Declared value; higher wins among equal priorities.
    message_class: str = MessageClass.MARKETING
    topic: str = "marketing"
    channels: tuple[str, ...] = ()  # One per action that sends a message; empty when none does.
    due_at: datetime | None = None  # When its messages would leave (its timing); None: now.
    is_shadow: bool = False
    is_paused: bool = False  # For the second look before acting: the trigger no longer runs.
    is_late: bool = False  # The event is too old, or imported.
    is_repermission: bool = False  # Its message asks the customer whether to stay.
    is_quiet_exempt: bool = False  # May arrive at night.
    cooldown: timedelta | None = None
    cooldown_key: str = ""  # What the cooldown counts separately; empty: the trigger as a whole.
    max_per_customer: int | None = None
    max_per_period: tuple[int, timedelta] | None = None
    holdout_percent: float | None = None  # None: the policy's default.
    salt: str = ""  # Of the holdout; empty: the trigger's key.
    dedupe_key: str = ""  # Decided at most once per customer and trigger; empty: no such key.
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    fired_this_hour: int = 0  # By this trigger in this clock hour, all customers.
    max_per_hour: int | None = None
    on_lost: str = "suppress"  # Or "defer": a loser tries again when the slot is free.


class Outcome(StrEnum):
    """What becomes of an ask."""

    ALLOW = "allow"  # Act at `due_at`.
    HOLD = "hold"  # Recorded as suppressed, with all reasons.
    DEFER = "defer"  # Pending; judged again at `due_at`.


class Held(NamedTuple):
    """One reason against acting."""

    reason: Reason
    until: datetime | None = None  # When this reason is gone; None: not by time alone.
    params: Mapping[str, Any] = _NOTHING  # JSON-safe facts for the sentence that explains it.


class Judgement(NamedTuple):
    """The answer to one ask."""

    outcome: Outcome
    reasons: tuple[Held, ...]  # All of them, in the order of judging; the first is primary.
    due_at: datetime | None  # When to act (allow) or to judge again (defer); None when held.
    waiting: Waiting | None = None  # Why it is not due yet, when it is deferred.
    channels: tuple[str, ...] = ()  # The ask's channels that may be used, one per message.
    blocked: tuple[
        Held, ...
    ] = ()  # Why other channels may not (`channel` in params), though the ask may act.

    @property
    def primary(self) -> Reason | None:
        return self.reasons[0].reason if self.reasons else None

    @property
    def would_fire(self) -> bool:
        """True when nothing but shadow mode stands against it."""
        return not self.reasons or (len(self.reasons) == 1 and self.reasons[0].reason is Reason.SHADOW)


class Grant(NamedTuple):
    """An ask that may act, the moment its messages leave, and the channels they take."""

    ask: Ask
    at: datetime
    channels: tuple[str, ...]


_NEVER: Final = Fired(datetime.min.replace(tzinfo=UTC), 0)


@dataclass(frozen=True, slots=True)
class CustomerState:
    """What the judge knows of one customer, read under the profile lock.

    The execution that is being judged again at its due moment must not be in `sends`, `fired` or
    `dedupe_keys`: it would stand in its own way.
    """

    sends: tuple[Sent, ...] = ()  # Newest first; reserved and uncertain ones count, future ones too.
    fired: Mapping[int, Fired] = field(default_factory=dict)
    dedupe_keys: frozenset[tuple[int, str]] = frozenset()  # (trigger id, key) already decided.
    consent: Mapping[tuple[str, str], bool] = field(default_factory=dict)
    """(topic, channel) -> yes or no; absent: never asked. ANY_TOPIC stands for all of marketing."""
    addresses: Mapping[str, str] = field(default_factory=dict)  # Channel -> address.
    dead_addresses: Mapping[str, str] = field(default_factory=dict)  # Channel -> why (hard_bounce, ...).
    preferences: Mapping[str, Any] = field(default_factory=dict)
    """channels_off, topics_off (lists), pause_until (moment or its ISO text), at_most_weekly (bool)."""
    engagement_score: float = 0.5
    messages_received: int = 0
    last_repermission_at: datetime | None = None
    is_erased: bool = False
    zone: tzinfo = field(default=UTC)

    def reserve(self, ask: Ask, *, now: datetime, at: datetime, channels: tuple[str, ...]) -> CustomerState:
        """The state after `ask` was granted at `now`, to send on `channels` at the moment `at`."""
        return self.after((Grant(ask, at, channels),), (ask,), now)

    def after(self, granted: Sequence[Grant], decided: Sequence[Ask], now: datetime) -> CustomerState:
        """The state after some asks were decided at `now`, of which some were granted.

        A grant takes its messages and counts as a firing; a decision of any kind uses up its dedupe key.
        """
        keys = {(ask.trigger_id, ask.dedupe_key) for ask in decided if ask.dedupe_key}
        if not granted and not keys:
            return self
        sends, fired, asked_at = self.sends, self.fired, self.last_repermission_at
        if granted:
            fired = dict(fired)
            for ask, at, channels in granted:
                old = fired.get(ask.trigger_id, _NEVER)
                fired[ask.trigger_id] = old.again(now, ask.cooldown_key)
                mine = tuple([Sent(at, channel, ask.message_class, ask.key) for channel in channels])
                is_newest = not sends or sends[0].at <= at
                sends = mine + sends
                if not is_newest:
                    sends = tuple(sorted(sends, key=lambda sent: sent.at, reverse=True))
                if ask.is_repermission:
                    asked_at = at
        return CustomerState(
            sends,
            fired,
            self.dedupe_keys | keys if keys else self.dedupe_keys,
            self.consent,
            self.addresses,
            self.dead_addresses,
            self.preferences,
            self.engagement_score,
            self.messages_received,
            asked_at,
            self.is_erased,
            self.zone,
        )
