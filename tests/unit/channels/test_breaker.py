"""When a destination is left alone, and how it comes back (R-030)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from automation.channels.base import ChannelBusyError, DeliveryError, Receipt
from automation.channels.breaker import MIN_ATTEMPTS, PROBE_EVERY, WINDOW, Breaker, Circuit
from automation.outages import Outages


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def _fail(*, outage: bool = True) -> Receipt:
    raise DeliveryError("no", permanent=not outage, outage=outage)


def _call(breaker: Breaker, name: str = "email:a", *, ok: bool, outage: bool = True) -> None:
    try:
        breaker.call(name, (lambda: Receipt("")) if ok else (lambda: _fail(outage=outage)))
    except ChannelBusyError:
        raise
    except DeliveryError:
        pass


@pytest.mark.parametrize(
    ("oks", "failures", "is_open"),
    [(0, 19, False), (0, 20, True), (10, 10, True), (11, 10, False), (100, 99, False), (100, 100, True)],
)
def test_it_opens_at_half_failures_of_at_least_twenty(oks: int, failures: int, is_open: bool) -> None:
    """R-030."""
    circuit = Circuit()
    for number in range(oks + failures):
        circuit.record(number < oks, now=number / 100)
    assert circuit.is_open is is_open


@pytest.mark.parametrize(
    ("attempts", "is_open"),
    [
        ("uu", False),
        ("uuu", True),
        ("uufu", False),  # A refusal is an answer.
        ("uu.uu", False),
        ("uu.uuu", True),
        ("fffff", False),
    ],
)
def test_it_opens_after_three_attempts_in_a_row_without_an_answer(attempts: str, is_open: bool) -> None:
    """R-030: u = no answer, f = a refusal, . = success; timeouts are too slow to make twenty in a minute."""
    circuit = Circuit()
    for number, kind in enumerate(attempts):
        circuit.record(kind == ".", now=number * 100.0, unanswered=kind == "u")
    assert circuit.is_open is is_open


def test_an_unanswered_call_counts_as_such() -> None:
    """R-030: what the channels raise reaches the circuit."""
    breaker = Breaker(Clock())

    def attempt() -> Receipt:
        raise DeliveryError("no", permanent=False, outage=True, unanswered=True)

    for _ in range(3):
        with pytest.raises(DeliveryError):
            breaker.call("webhook:slow", attempt)
    with pytest.raises(ChannelBusyError):
        breaker.call("webhook:slow", attempt)
    assert breaker.open_destinations() == ["webhook:slow"]


def test_old_attempts_are_forgotten() -> None:
    """R-030: only the last minute counts."""
    circuit = Circuit()
    for _ in range(MIN_ATTEMPTS - 1):
        circuit.record(False, now=0.0)
    circuit.record(False, now=WINDOW + 1)
    assert not circuit.is_open


def test_one_probe_every_thirty_seconds_until_it_succeeds() -> None:
    """R-030: half-open; a failed probe keeps it open, a good one closes it."""
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(MIN_ATTEMPTS):
        _call(breaker, ok=False)
    with pytest.raises(ChannelBusyError) as busy:
        _call(breaker, ok=True)
    assert busy.value.retry_after == timedelta(seconds=PROBE_EVERY)
    clock.now += PROBE_EVERY
    _call(breaker, ok=False)
    with pytest.raises(ChannelBusyError):
        _call(breaker, ok=True)
    clock.now += PROBE_EVERY
    _call(breaker, ok=True)
    _call(breaker, ok=True)
    assert breaker.open_destinations() == []


def test_one_destination_does_not_block_another() -> None:
    """R-030."""
    breaker = Breaker(Clock())
    for _ in range(MIN_ATTEMPTS):
        _call(breaker, "webhook:bad", ok=False)
    _call(breaker, "webhook:good", ok=True)
    assert breaker.open_destinations() == ["webhook:bad"]


def test_good_answers_about_bad_messages_are_no_outage() -> None:
    """R-030: a list full of dead mailboxes does not stop the mail server."""
    breaker = Breaker(Clock())
    for _ in range(100):
        _call(breaker, ok=False, outage=False)
    assert breaker.open_destinations() == []


class Flags:
    """What Outages promises, in memory."""

    def __init__(self) -> None:
        self.down: dict[str, float] = {}

    def wait(self, destination: str) -> float:
        return self.down.get(destination, 0.0)

    def tell(self, destination: str, seconds: float) -> None:
        self.down[destination] = seconds

    def end(self, destination: str) -> None:
        self.down.pop(destination, None)


def test_what_one_process_finds_down_the_others_leave_alone() -> None:
    """R-030: the state is shared, and ends when the destination is back."""
    clock, flags = Clock(), Flags()
    first, second = Breaker(clock, flags), Breaker(clock, flags)  # type: ignore[arg-type]
    for _ in range(MIN_ATTEMPTS):
        _call(first, ok=False)
    assert flags.down == {"email:a": PROBE_EVERY}
    with pytest.raises(ChannelBusyError):
        _call(second, ok=True)
    _call(second, "email:b", ok=True)
    clock.now += PROBE_EVERY
    _call(first, ok=True)
    assert flags.down == {}
    _call(second, ok=True)


def test_without_redis_each_process_knows_its_own_outages(settings: Any) -> None:
    """R-030: the local fallback; Redis is not asked again at once."""
    settings.REDIS_CLIENT_URL = "unix:///nowhere/redis.sock?db=0"
    clock = Clock()
    outages = Outages(clock)
    breaker = Breaker(clock, outages)
    for _ in range(MIN_ATTEMPTS):
        _call(breaker, ok=False)
    with pytest.raises(ChannelBusyError):
        _call(breaker, ok=True)
    assert outages.wait("email:a") == 0.0
