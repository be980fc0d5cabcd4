"""The last look before an action runs, in the transaction that claims it (R-024, H-020).

The judge's own checks decide, so that a rule cannot mean one thing when a trigger fires and another when its
message leaves. Caps and quiet hours are not asked again: this message has its reservation already.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.conf import settings

from automation.engine.suppression import Ask, CustomerState, Policy, checks
from automation.engine.suppression.case import Case
from automation.engine.types import ExecutionStatus, Mode, Reason

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


def held_back(
    present: Present, *, is_message: bool, channel: str, message_class: str, topic: str, now: datetime
) -> Reason | str | None:
    """Why the action must not run any more; None when it may."""
    if present.execution_status not in (ExecutionStatus.PENDING, ExecutionStatus.PROCESSING):
        return present.execution_reason or Reason.CANCELLED_BY_EVENT
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
    )
    case = Case(ask, state, Policy(is_opt_in_required=settings.CONSENT_OPT_IN), now, 0, ())
    for check in (*_FOR_ALL, *(_FOR_MESSAGES if is_message else ())):
        held = check(case)
        if held is not None:
            return held.reason
    return None
