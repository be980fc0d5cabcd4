"""What the judge knows of the customers of one batch, loaded at once and carried from event to event."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings

from automation import selectors
from automation.engine.suppression import CustomerState, Fired
from automation.engine.types import Sent
from profiles import selectors as profile_selectors
from profiles.behavior import engagement_score


@lru_cache(maxsize=1024)
def zone_of(name: str) -> tzinfo:
    """The customer's zone; unknown names and none mean the installation's."""
    try:
        return ZoneInfo(name or settings.DEFAULT_TIME_ZONE)
    except (KeyError, ValueError, OSError):
        return ZoneInfo(settings.DEFAULT_TIME_ZONE)


@dataclass(slots=True)
class Customer:
    """One customer's suppression state, changed as the events of the batch are decided in order."""

    sends: tuple[Sent, ...] = ()
    fired: Mapping[int, Fired] = field(default_factory=dict)
    dedupe_keys: frozenset[tuple[int, str]] = frozenset()
    words: dict[tuple[str, str], tuple[bool, datetime]] = field(default_factory=dict)
    holds: dict[int, tuple[str, int, datetime]] = field(
        default_factory=dict
    )  # trigger -> reason, row, its time
    segments: Mapping[str, datetime] = field(default_factory=dict)
    is_erased: bool = False

    def hear(self, topic: str, channel: str, is_granted: bool, at: datetime) -> None:
        """A word on consent; the newest counts, of equally old ones the refusal."""
        old = self.words.get((topic, channel))
        if old is None or (at, not is_granted) >= (old[1], not old[0]):
            self.words[topic, channel] = (is_granted, at)

    def state(
        self, profile: Mapping[str, Any], dead: Mapping[tuple[str, str], str], now: datetime
    ) -> CustomerState:
        """The judge's view of this customer, with the profile as it is after the event."""
        addresses = {"email": profile["email"], "sms": profile["phone"]}
        return CustomerState(
            sends=self.sends,
            fired=self.fired,
            dedupe_keys=self.dedupe_keys,
            consent={key: word[0] for key, word in self.words.items()},
            addresses={channel: address for channel, address in addresses.items() if address},
            dead_addresses={
                channel: dead[channel, address.lower()]
                for channel, address in addresses.items()
                if address and (channel, address.lower()) in dead
            },
            preferences=profile["preferences"],
            engagement_score=engagement_score(profile, now),
            messages_received=profile["patterns"].get("messages_received", 0),
            is_erased=self.is_erased,
            zone=zone_of(profile["time_zone"]),
        )

    def take(self, after: CustomerState) -> None:
        """Carry on with what the judge decided."""
        self.sends, self.fired, self.dedupe_keys = after.sends, after.fired, after.dedupe_keys


def load(
    profile_ids: Collection[int],
    trigger_keys: Mapping[int, str],
    *,
    dedupe_keys: Iterable[tuple[int, int, str]],
    with_segments: bool,
) -> dict[int, Customer]:
    """The customers, with five queries whatever their number. Needs their profile locks."""
    customers = {profile_id: Customer() for profile_id in profile_ids}
    if not customers:
        return customers
    for profile_id, sends in selectors.sends(profile_ids, trigger_keys).items():
        customers[profile_id].sends = sends
    for profile_id, rows in selectors.fired(profile_ids, trigger_keys).items():
        customer = customers[profile_id]
        customer.fired = {
            trigger_id: Fired(
                row.last_at,
                row.times,
                tuple(map(datetime.fromisoformat, row.recent)),
                {key: datetime.fromisoformat(at) for key, at in row.by_key.items()},
            )
            for trigger_id, row in rows.items()
            if row.last_at
        }
        customer.holds = {
            trigger_id: (row.hold_reason, row.hold_execution_id, row.hold_decided_at)
            for trigger_id, row in rows.items()
            if row.hold_execution_id and row.hold_decided_at
        }
    for profile_id, words in profile_selectors.consents(profile_ids).items():
        customers[profile_id].words = words
    for profile_id, trigger_id, key in selectors.decided(list(dedupe_keys)):
        customers[profile_id].dedupe_keys |= {(trigger_id, key)}
    if with_segments:
        for profile_id, segments in profile_selectors.memberships(profile_ids).items():
            customers[profile_id].segments = segments
    return customers


def dead_addresses(states: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    """(channel, lower-case address) -> why, for all addresses of `states`."""
    emails = {state["email"].lower() for state in states if state["email"]}
    dead = profile_selectors.dead_addresses("email", emails) if emails else {}
    return {("email", address): why for address, why in dead.items()}
