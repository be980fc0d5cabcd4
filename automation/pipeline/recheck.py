"""The last look before an action runs, in the transaction that claims it (R-024, H-020).

The judge's own checks decide, so that a rule cannot mean one thing when a trigger fires and another when its
message leaves. A marketing message waits out the customer's quiet hours also when only its try falls into
them. Caps are asked again only for a message that leaves long after it took its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from automation.engine.suppression import Ask, CustomerState, checks
from automation.engine.suppression.case import Case
from automation.engine.types import ExecutionStatus, Mode, Reason
from automation.pipeline.customer import zone_of
from automation.pipeline.plan import policy
from automation.pipeline.reservations import LATE, Others

_FOR_ALL = (checks.check_erased, checks.check_paused)
_FOR_MESSAGES = (
    checks.check_unsubscribed,
    checks.check_consent,
    checks.check_dead_address,
    checks.check_missing_address,
    checks.check_customer_preferences,
)


class Present(NamedTuple):
    """How things stand now, read under the delivery's lock."""

    profile_id: int
    execution_status: str
    execution_reason: str
    mode: str  # Of the trigger.
    is_erased: bool
    address: str
    dead: str | None  # Why the address must not be used.
    preferences: Mapping[str, Any]
    words: Mapping[str, bool]  # Topic -> the customer's word for this channel.
    time_zone: str = ""
    reserved_at: datetime | None = None  # When the message took its place; None: it has none.

    def is_late(self, now: datetime) -> bool:
        """Whether so much time has passed that the caps must be asked again."""
        return self.reserved_at is None or now - self.reserved_at > LATE


def held_back(
    present: Present, *, is_message: bool, channel: str, message_class: str, topic: str, now: datetime
) -> Reason | str | None:
    """Why the action must not run any more; None when it may."""
    if present.execution_status not in (ExecutionStatus.PENDING, ExecutionStatus.PROCESSING):
        return present.execution_reason or Reason.CANCELLED_BY_EVENT
    case = _case(present, is_message, channel, message_class, topic, now)
    for check in (*_FOR_ALL, *(_FOR_MESSAGES if is_message else ())):
        held = check(case)
        if held is not None:
            return held.reason
    return None


def quiet_until(
    present: Present, *, channel: str, message_class: str, topic: str, now: datetime
) -> datetime | None:
    """When the customer's quiet hours around `now` end; None when the message may leave now."""
    case = _case(present, True, channel, message_class, topic, now)
    return case.moment if case.moment > now else None


def _case(
    present: Present, is_message: bool, channel: str, message_class: str, topic: str, now: datetime
) -> Case:
    ask = Ask(
        trigger_id=0,
        key="",
        message_class=message_class,
        topic=topic,
        channels=(channel,) if is_message else (),
        is_paused=present.mode != Mode.LIVE,
    )
    state = CustomerState(
        consent={(topic, channel): is_granted for topic, is_granted in present.words.items()},
        addresses={channel: present.address} if present.address else {},
        dead_addresses={channel: present.dead} if present.dead else {},
        preferences=present.preferences,
        is_erased=present.is_erased,
        zone=zone_of(present.time_zone),
    )
    return Case(ask, state, policy(), now, 0, ())


def too_late(
    found: Others,
    *,
    channel: str,
    message_class: str,
    topic: str,
    preferences: Mapping[str, Any],
    time_zone: str,
) -> Reason | None:
    """Why a message that leaves late must not: a cancelling event, or a cap that others have used up."""
    if found.cancelled_by is not None:
        return Reason.CANCELLED_BY_EVENT
    ask = Ask(
        trigger_id=0,
        key="",
        message_class=message_class,
        topic=topic,
        channels=(channel,) * max(1, found.waiting),
    )
    state = CustomerState(sends=found.sends, preferences=preferences, zone=zone_of(time_zone))
    case = Case(ask, state, policy(), found.now, 0, ())
    for check in (checks.check_global_frequency_cap, checks.check_customer_preferences):
        held = check(case)
        if held is not None:
            return held.reason
    return None
