"""Asks, customers and rules for the tests of the judge."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from automation.engine.suppression import Ask, CustomerState, Judgement, Policy, judge
from automation.engine.types import Reason, Sent

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
ALICE = 1  # In no holdout of any salt used here: every ask sets its percentage.


def ask(key: str = "welcome", **fields: Any) -> Ask:
    """A marketing e-mail that nothing stands against."""
    defaults: dict[str, Any] = {"trigger_id": sum(key.encode()), "channels": ("email",), "holdout_percent": 0}
    return Ask(key=key, **{**defaults, **fields})


def alice(**fields: Any) -> CustomerState:
    """A customer who said yes to everything and was never written to."""
    channels = ("email", "sms", "push")
    defaults: dict[str, Any] = {
        "consent": {("marketing", channel): True for channel in channels},
        "addresses": {"email": "alice@example.com", "sms": "+491", "push": "token"},
    }
    return CustomerState(**{**defaults, **fields})


def sent(hours_ago: float, channel: str = "email", message_class: str = "marketing") -> Sent:
    return Sent(NOON - hours_ago * HOUR, channel, message_class, "earlier")


def judged(
    one: Ask, state: CustomerState, policy: Policy | None = None, *, now: datetime = NOON, seed: int = ALICE
) -> Judgement:
    return judge(one, state, policy or Policy(), now=now, profile_seed=seed)


def codes(judgement: Judgement) -> Sequence[Reason]:
    return [held.reason for held in judgement.reasons]
