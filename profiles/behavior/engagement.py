"""Engagement score: how much a customer has done with us lately, 0 to 1.

Formula, with h = half-life in days and t in days:

    value(at) = sum of weight(event) * 2^(-(at - t_event) / h)        stored as (value, engagement_at)
    prior(at) = 0.5 * 2^(-(at - first_seen) / h)                      0.5 for a customer never seen
    score(at) = value(at) + prior(at), clamped to [0, 1]

A new customer reads 0.5, activity raises the score, complaints lower it, and silence lets it fall
towards 0 without any event. It is clamped only when read: the stored sum forgets nothing, so the
order of events does not matter (the source article clamps after each delta, which does depend on
it, and never decays). A late event adds its weight, decayed to `engagement_at`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

START: Final = 0.5
HALF_LIFE_DAYS: Final = 30.0
ANY_ACTIVITY: Final = "*"  # Weight of whatever else the customer does.
_DAY: Final = 86400.0

WEIGHTS: Final[Mapping[str, float]] = MappingProxyType(
    {
        "email_opened": 0.02,  # Never above a click: mail proxies open by machine.
        "email_clicked": 0.08,
        "sms_clicked": 0.08,
        "push_clicked": 0.08,
        "page_view": 0.01,
        "screen_view": 0.01,
        "product_view": 0.02,
        "category_viewed": 0.02,
        "search": 0.02,
        "session_started": 0.01,
        "add_to_cart": 0.05,
        "checkout_started": 0.08,
        "purchase_completed": 0.25,
        "form_submitted": 0.08,
        "cart_abandonment": 0.0,
        "session_ended": 0.0,
        "identify": 0.0,
        "email_bounced": -0.10,
        "email_unsubscribed": -0.40,
        "sms_unsubscribed": -0.40,
        "push_unsubscribed": -0.40,
        "email_complained": -0.60,
        "subscription_cancelled": -0.20,
        ANY_ACTIVITY: 0.01,
    }
)


def decay(days: float, half_life_days: float) -> float:
    """What is left of 1 after `days`; nothing grows before its time."""
    return 1.0 if days <= 0.0 else 2.0 ** (-days / half_life_days)


def add_weight(
    value: float, as_of: datetime | None, weight: float, at: datetime, half_life_days: float
) -> tuple[float, datetime]:
    """(value, as_of) with one more weight of the moment `at`; commutative up to rounding."""
    if as_of is None:
        return weight, at
    days = (at - as_of).total_seconds() / _DAY
    if days >= 0.0:
        return value * 2.0 ** (-days / half_life_days) + weight, at
    return value + weight * 2.0 ** (days / half_life_days), as_of


def engagement_score(
    state: Mapping[str, Any], at: datetime, *, half_life_days: float = HALF_LIFE_DAYS
) -> float:
    """The score at a moment, in [0, 1]. Changes with time even when nothing happens."""
    first_seen = state["first_seen"]
    score = START
    if first_seen is not None:
        score *= decay((at - first_seen).total_seconds() / _DAY, half_life_days)
    as_of = state["engagement_at"]
    if as_of is not None:
        score += state["engagement_value"] * decay((at - as_of).total_seconds() / _DAY, half_life_days)
    return min(1.0, max(0.0, score))
