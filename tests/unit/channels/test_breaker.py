"""When a destination is left alone, and how it comes back (R-030)."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Any

import pytest

from automation.channels.base import ChannelBusyError, DeliveryError, Receipt
from automation.channels.breaker import MIN_ATTEMPTS, PROBE_EVERY, TURN_WAIT, WINDOW, Breaker, Circuit
from automation.outages import InARow, Outages


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
        self.failures = self.silences = 0
        self.turns: set[str] = set()

    def begin(self, destination: str) -> str | None:
        if destination in self.turns:
            return None
        self.turns.add(destination)
        return "mine"

    def finish(self, destination: str, token: str) -> None:
        self.turns.discard(destination)

    def failed(self, destination: str, *, unanswered: bool) -> InARow:
        self.failures += 1
        self.silences = self.silences + 1 if unanswered else 0
        return InARow(self.failures, self.silences)

    def answered(self, destination: str) -> None:
        self.failures = self.silences = 0

    def wait(self, destination: str) -> float:
        return self.down.get(destination, 0.0)

    ask = wait

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


def test_failures_of_all_processes_open_the_circuit_together() -> None:
    """R-030: twenty attempts are twenty, however many processes make them."""
    clock, flags = Clock(), Flags()
    several = [Breaker(clock, flags) for _ in range(4)]  # type: ignore[arg-type]
    for turn in range(MIN_ATTEMPTS):
        _call(several[turn % 4], ok=False)
    assert flags.down == {"email:a": PROBE_EVERY}
    for breaker in several:
        with pytest.raises(ChannelBusyError):
            _call(breaker, ok=True)


def test_a_good_answer_ends_the_row() -> None:
    """R-030: failures are counted together only in a row."""
    clock, flags = Clock(), Flags()
    breaker = Breaker(clock, flags)  # type: ignore[arg-type]
    for _ in range(3):
        for _ in range(MIN_ATTEMPTS // 2 - 1):
            _call(breaker, ok=False)
        for _ in range(MIN_ATTEMPTS):
            _call(breaker, ok=True)
    assert flags.failures == 0
    assert breaker.open_destinations() == []


@pytest.mark.parametrize(
    ("before", "seconds", "may_overlap"),
    [("nothing", 0.0, False), ("answer", 0.1, True), ("answer", 4.0, False), ("silence", 10.0, False)],
)
def test_one_process_at_a_time_tries_what_may_hang(before: str, seconds: float, may_overlap: bool) -> None:
    """R-030: a destination that is new, silent or slow can never hold all workers at once."""
    clock, flags = Clock(), Flags()
    one, other = Breaker(clock, flags), Breaker(clock, flags)  # type: ignore[arg-type]

    def earlier() -> Receipt:
        clock.now += seconds
        if before == "silence":
            raise DeliveryError("no", permanent=False, outage=True, unanswered=True)
        return Receipt("")

    for breaker in (one, other) if before != "nothing" else ():
        with contextlib.suppress(DeliveryError):
            breaker.call("webhook:a", earlier)
    met: list[str] = []

    def meanwhile() -> Receipt:
        try:
            other.call("webhook:a", lambda: Receipt(""))
            met.append("called")
        except ChannelBusyError as error:
            met.append(f"waits {error.retry_after}")
        return Receipt("")

    one.call("webhook:a", meanwhile)
    assert met == ["called" if may_overlap else f"waits {timedelta(seconds=TURN_WAIT)}"]
    assert flags.turns == set()
    clock.now += 2
    assert other.call("webhook:a", lambda: Receipt("later")).provider_id == "later"


def test_after_a_failure_the_processes_try_one_after_the_other() -> None:
    """R-030: so that together they make no more attempts than one would until the circuit opens."""
    flags, clock = Flags(), Clock()
    breaker = Breaker(clock, outages=flags)  # type: ignore[arg-type]
    _call(breaker, ok=True)
    _call(breaker, ok=False)
    flags.turns.add("email:a")  # Another process tries it.
    with pytest.raises(ChannelBusyError):
        _call(breaker, ok=True)
    clock.now += 2
    flags.turns.clear()

    def opened_meanwhile(destination: str) -> float:
        return PROBE_EVERY

    flags.ask = opened_meanwhile  # type: ignore[method-assign]
    with pytest.raises(ChannelBusyError) as busy:
        _call(breaker, ok=True)
    assert busy.value.retry_after == timedelta(seconds=PROBE_EVERY)
    assert not flags.turns


def test_asking_whether_to_wait_hands_out_no_probe() -> None:
    """R-030: a row that only asks does not use up the attempt that may find the destination well again."""
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(MIN_ATTEMPTS):
        _call(breaker, ok=False)
    assert (breaker.wait("email:a"), breaker.wait("email:b")) == (PROBE_EVERY, 0.0)
    clock.now += PROBE_EVERY
    assert breaker.wait("email:a") == breaker.wait("email:a") == 0
    _call(breaker, ok=True)
