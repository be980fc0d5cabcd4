"""One ask before the judge: what the checks share, worked out once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from automation.engine.schedule import quiet_until
from automation.engine.suppression.data import ANY_TOPIC, Ask, CustomerState, Held, Policy
from automation.engine.suppression.wishes import turned_off, unreadable
from automation.engine.types import MessageClass, Reason, Sent

_MARKETING = "marketing"


class Case:
    """An ask, the customer, the rules and the moment; `rivals` won a slot for the same event."""

    __slots__ = (
        "ask",
        "asked_for",
        "channels",
        "closed",
        "is_marketing",
        "moment",
        "now",
        "open",
        "policy",
        "profile_seed",
        "reaches_out",
        "rivals",
        "state",
    )

    def __init__(
        self,
        ask: Ask,
        state: CustomerState,
        policy: Policy,
        now: datetime,
        profile_seed: int | str,
        rivals: Sequence[Sent],
    ) -> None:
        self.ask = ask
        self.state = state
        self.policy = policy
        self.now = now
        self.asked_for = now if ask.due_at is None or ask.due_at < now else ask.due_at
        self.profile_seed = profile_seed
        self.rivals = rivals
        self.is_marketing = ask.message_class != MessageClass.TRANSACTIONAL
        self.closed: list[Held] = []  # Every reason that closes a channel to this customer.
        self.open: tuple[str, ...] = ask.channels
        if ask.channels:
            self._close()
        # What the caps count: the messages that can go, or all of them when none can, so that the
        # record shows every reason.
        self.channels = self.open or ask.channels
        # Whether a message goes to where the customer is, not only into the product.
        self.reaches_out = not policy.in_product_channels.issuperset(self.channels)
        # When its messages would leave: caps and pauses are judged for that moment.
        self.moment = self.after_quiet(self.asked_for)

    @property
    def topic(self) -> str:
        """Consent is per topic; a transactional trigger that names none is not about marketing."""
        topic = self.ask.topic
        return "transactional" if topic == _MARKETING and not self.is_marketing else topic

    def after_quiet(self, moment: datetime) -> datetime:
        """The moment, or the end of the customer's night around it when the message has to wait for it."""
        policy = self.policy
        if policy.quiet_start is None or not self.is_marketing or not self.reaches_out:
            return moment
        if self.ask.is_quiet_exempt:
            return moment
        return quiet_until(moment, self.state.zone, policy.quiet_start, policy.quiet_end)

    def _close(self) -> None:
        shut: set[str] = set()
        for channel in dict.fromkeys(self.ask.channels):
            found = [held for held in (self._consent(channel), *self._address(channel)) if held is not None]
            off = self.state.preferences and self._preference(channel)
            if off:
                found.append(off)
            if found:
                shut.add(channel)
                self.closed.extend(found)
        if shut:
            self.open = tuple(channel for channel in self.ask.channels if channel not in shut)

    def _consent(self, channel: str) -> Held | None:
        consent = self.state.consent
        topic = self.topic
        given = consent.get((topic, channel))
        if given is False:
            return Held(Reason.UNSUBSCRIBED, None, {"channel": channel, "topic": topic})
        if not self.is_marketing:
            return None
        general = consent.get((ANY_TOPIC, channel))
        if general is False:
            return Held(Reason.UNSUBSCRIBED, None, {"channel": channel, "topic": ANY_TOPIC})
        if given or general or not self.policy.is_opt_in_required:
            return None
        if channel in self.policy.in_product_channels:
            return None
        return Held(Reason.NO_CONSENT, None, {"channel": channel, "topic": topic})

    def _address(self, channel: str) -> tuple[Held | None, ...]:
        why = self.state.dead_addresses.get(channel)
        if why is not None:
            return (Held(Reason.ADDRESS_SUPPRESSED, None, {"channel": channel, "why": why}),)
        if self.state.addresses.get(channel) or channel in self.policy.in_product_channels:
            return ()
        return (Held(Reason.MISSING_ADDRESS, None, {"channel": channel}),)

    def _preference(self, channel: str) -> Held | None:
        preferences = self.state.preferences
        return unreadable(preferences) or turned_off(preferences, "channels_off", channel)
