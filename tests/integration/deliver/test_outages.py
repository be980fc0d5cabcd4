"""Outages shared through a real Redis."""

from __future__ import annotations

from typing import Any

import pytest

from automation.outages import Outages


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.usefixtures("servers")
def test_an_outage_is_told_to_others_and_ends() -> None:
    """R-030: a flag with an end of its own; asked at most once a second."""
    clock = Clock()
    one, other = Outages(clock), Outages(clock)
    assert other.wait("webhook:a.test") == 0.0
    one.tell("webhook:a.test", 30.0)
    assert other.wait("webhook:a.test") == 0.0  # It asked a moment ago.
    clock.now += 1.0
    assert 25.0 < other.wait("webhook:a.test") <= 30.0
    assert other.wait("webhook:b.test") == 0.0
    one.end("webhook:a.test")
    clock.now += 1.0
    assert other.wait("webhook:a.test") == 0.0


@pytest.mark.usefixtures("servers")
def test_one_has_the_turn_and_only_it_gives_it_back() -> None:
    """R-030: of several processes one tries what may hang."""
    one, other = Outages(), Outages()
    token = one.begin("webhook:turn.test")
    assert token
    assert other.begin("webhook:turn.test") is None
    other.finish("webhook:turn.test", "another's")
    assert other.begin("webhook:turn.test") is None
    one.finish("webhook:turn.test", token)
    mine = other.begin("webhook:turn.test")
    assert mine
    other.finish("webhook:turn.test", mine)


@pytest.mark.usefixtures("servers")
def test_failures_are_counted_together_until_somebody_is_answered() -> None:
    """R-030: a refusal ends the row of silences, a good answer both."""
    one, other = Outages(), Outages()
    assert one.failed("webhook:row.test", unanswered=True) == (1, 1)
    assert other.failed("webhook:row.test", unanswered=True) == (2, 2)
    assert one.failed("webhook:row.test", unanswered=False) == (3, 0)
    other.answered("webhook:row.test")
    assert one.failed("webhook:row.test", unanswered=True) == (1, 1)
    one.answered("webhook:row.test")


def test_without_redis_everybody_may_try(settings: Any) -> None:
    """R-030: the local fallback."""
    settings.REDIS_CLIENT_URL = "unix:///nowhere/redis.sock?db=0"
    outages = Outages()
    assert outages.begin("webhook:a.test") == ""
    assert outages.failed("webhook:a.test", unanswered=True) == (0, 0)
