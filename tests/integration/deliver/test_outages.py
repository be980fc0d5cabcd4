"""Outages shared through a real Redis."""

from __future__ import annotations

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
