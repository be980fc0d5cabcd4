"""When an event happened, from what its sender says (R-007)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, NamedTuple

import msgspec
from django.conf import settings

from automation.api.faults import Fault, RejectedError

SKEW = timedelta(minutes=5)
_LONGEST = 64
_AWARE = Annotated[datetime, msgspec.Meta(tz=True)]
_HINT = 'Send RFC 3339 with a zone, for example "2026-11-24T20:47:00Z".'


class Moment(NamedTuple):
    """The time an event is filed under."""

    occurred_at: datetime
    is_late: bool  # Too old to fire a trigger.
    is_skewed: bool  # Claimed to come from more than five minutes ahead.


def time_of(text: object, where: str) -> datetime:
    """The instant (UTC) that an RFC 3339 text with a zone names; RejectedError otherwise."""
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        raise RejectedError([Fault(where, "A time is text, not a number.", _HINT)])
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise RejectedError([Fault(where, "This is not a time.", _HINT)])
    if text[17:19] == "60":  # A leap second is legal and unknown to datetime.
        text = f"{text[:17]}59{text[19:]}"
    try:
        value = msgspec.convert(text, _AWARE)
        return value if value.tzinfo is UTC else value.astimezone(UTC)
    except OverflowError:
        raise RejectedError([Fault(where, "This time is outside the calendar.", _HINT)]) from None
    except msgspec.ValidationError as error:
        has_no_zone = "timezone" in str(error)
        message = "This time has no zone." if has_no_zone else "This is not a time."
        raise RejectedError([Fault(where, message, _HINT)]) from None


def settle(said: datetime | None, sent_at: datetime | None, received_at: datetime) -> Moment:
    """The moment of an event whose sender's clock said `said`, and `sent_at` when it was sent.

    With both, the error of the sender's clock cancels out: what passed between them passed before we received
    it. The future is clamped to `received_at`, never refused.
    """
    if said is None:
        return Moment(received_at, False, False)
    occurred_at = said
    if sent_at is not None:
        try:
            occurred_at = received_at - (sent_at - said)
        except OverflowError:  # Between a clock in year 1 and one in year 9999; take it by its word.
            occurred_at = said
    if occurred_at > received_at:
        return Moment(received_at, False, occurred_at - received_at > SKEW)
    return Moment(occurred_at, received_at - occurred_at > timedelta(days=settings.LATE_AFTER_DAYS), False)
