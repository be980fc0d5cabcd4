"""A circuit breaker for each channel and destination host (R-030).

A destination that fails half of at least 20 attempts within a minute is left alone. So is one that gave no
answer three times in a row (no connection, or a timeout): such attempts take 10 to 15 seconds each, so that no
process would ever see 20 of them in a minute. Every 30 seconds one probe may try whether it is back. While the
circuit is open nothing is tried, so nothing uses up an attempt, and no other destination waits.

The processes count failures in a row together, so that many do not make many times the attempts. A destination
that is new, was silent or slow lately, has just failed, or was left alone: only one process at a time tries it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta

from automation.channels.base import ChannelBusyError, DeliveryError, Receipt
from automation.outages import Outages

WINDOW = 60.0  # Seconds of attempts that are looked at.
MIN_ATTEMPTS = 20
MAX_SHARE = 0.5  # Of failures; at this share the circuit opens.
MAX_UNANSWERED = 3  # In a row; then the circuit opens, however few attempts there were.
PROBE_EVERY = 30.0
SLOW_SECONDS = 3.0  # Whoever answered later than that may hang.
TURN_WAIT = 5.0  # Seconds until a message is looked at again whose destination another process is trying.
LEFT_ALONE = "The destination failed too often and is left alone for a while."
_MAX_CIRCUITS = 10_000  # Webhook hosts are chosen by users: forget all rather than grow for ever.


class Circuit:
    """The recent attempts on one destination. Pure: `now` is seconds on any clock that only goes forward."""

    __slots__ = ("_attempts", "_failures", "_probe_at", "_quick_until", "_unanswered")

    def __init__(self) -> None:
        self._attempts: deque[tuple[float, bool]] = deque()
        self._failures = 0
        self._unanswered = 0  # In a row, the last attempt included.
        self._probe_at: float | None = None  # Open when set.
        self._quick_until = -WINDOW

    @property
    def is_open(self) -> bool:
        return self._probe_at is not None

    @property
    def has_failed(self) -> bool:
        """Whether any attempt that is looked at failed."""
        return self._failures > 0

    def may_hang(self, now: float) -> bool:
        """Whether it has not answered quickly within the last minute."""
        return now >= self._quick_until

    def open(self, now: float) -> None:
        """Leave it alone from now on."""
        self._probe_at = now + PROBE_EVERY

    def closed_for(self, now: float) -> float:
        """Seconds in which no attempt may be made; unlike `wait` it hands out no probe."""
        return max(0.0, self._probe_at - now) if self._probe_at is not None else 0.0

    @property
    def has_just_failed(self) -> bool:
        """Whether the last attempt failed."""
        return bool(self._attempts) and not self._attempts[-1][1]

    def wait(self, now: float) -> float:
        """0 when an attempt may be made now (a probe is handed out once), else the seconds until then."""
        if self._probe_at is None:
            return 0.0
        if now < self._probe_at:
            return self._probe_at - now
        self._probe_at = now + PROBE_EVERY
        return 0.0

    def record(self, is_ok: bool, now: float, *, unanswered: bool = False, seconds: float = 0.0) -> None:
        """Note how an attempt ended and how long it took; opens or closes the circuit."""
        self._quick_until = now + WINDOW if not unanswered and seconds <= SLOW_SECONDS else now
        if is_ok and self._probe_at is not None:
            self._attempts.clear()
            self._failures, self._probe_at = 0, None
        self._attempts.append((now, is_ok))
        self._failures += not is_ok
        while self._attempts[0][0] <= now - WINDOW:
            self._failures -= not self._attempts.popleft()[1]
        is_bad = len(self._attempts) >= MIN_ATTEMPTS and self._failures >= MAX_SHARE * len(self._attempts)
        self._unanswered = self._unanswered + 1 if unanswered else 0
        if (is_bad or self._unanswered >= MAX_UNANSWERED) and self._probe_at is None:
            self.open(now)


class Breaker:
    """The circuits of this process; outages are shared with the others."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, outages: Outages | None = None) -> None:
        self._clock = clock
        self._outages = outages
        self._circuits: dict[str, Circuit] = {}
        self._refused: dict[str, float] = {}  # Until when another process is known to have the turn.

    def call(self, destination: str, attempt: Callable[[], Receipt]) -> Receipt:
        """Make the attempt, or raise ChannelBusyError while the circuit is open."""
        circuit = self._circuits.get(destination)
        if circuit is None:
            if len(self._circuits) >= _MAX_CIRCUITS:
                self._circuits.clear()
            circuit = self._circuits[destination] = Circuit()
        wait = circuit.wait(self._clock())
        if not (wait or circuit.is_open) and self._outages:
            wait = self._outages.wait(destination)
        if wait > 0:
            raise ChannelBusyError(LEFT_ALONE, retry_after=timedelta(seconds=wait))
        turn = self._turn(destination, circuit)
        started = self._clock()
        try:
            receipt = attempt()
        except DeliveryError as error:
            # Only an outage speaks against the destination: "no such mailbox" is a good answer.
            self._record(destination, circuit, started, is_ok=not error.outage, unanswered=error.unanswered)
            raise
        else:
            self._record(destination, circuit, started, is_ok=True)
        finally:
            if turn and self._outages:
                self._outages.finish(destination, turn)
        return receipt

    def wait(self, destination: str) -> float:
        """Seconds for which `call` would refuse, as far as is known without trying; 0 when it may not."""
        now, circuit = self._clock(), self._circuits.get(destination)
        if circuit is not None and circuit.is_open:
            return circuit.closed_for(now)
        if self._refused.get(destination, 0.0) > now:
            return TURN_WAIT
        return self._outages.wait(destination) if self._outages else 0.0

    def _turn(self, destination: str, circuit: Circuit) -> str:
        """The turn to try a destination that may hang or has just failed; ChannelBusyError while another has it."""
        if self._outages is None or not (circuit.may_hang(self._clock()) or circuit.has_just_failed):
            return ""
        refused_until = self._refused.get(destination, 0.0)
        turn = None if self._clock() < refused_until else self._outages.begin(destination)
        if turn is None:
            if self._clock() >= refused_until:
                if len(self._refused) >= _MAX_CIRCUITS:
                    self._refused.clear()
                self._refused[destination] = self._clock() + 1.0
            raise ChannelBusyError(
                "Another process is finding out whether the destination answers.",
                retry_after=timedelta(seconds=TURN_WAIT),
            )
        if turn and not circuit.is_open and (wait := self._outages.ask(destination)):
            self._outages.finish(destination, turn)  # Who had the turn before us found it down.
            raise ChannelBusyError(LEFT_ALONE, retry_after=timedelta(seconds=wait))
        return turn

    def _record(
        self, destination: str, circuit: Circuit, started: float, *, is_ok: bool, unanswered: bool = False
    ) -> None:
        was_open, had_failed, now = circuit.is_open, circuit.has_failed, self._clock()
        circuit.record(is_ok, now, unanswered=unanswered, seconds=now - started)
        if self._outages is None:
            return
        if not is_ok:
            row = self._outages.failed(destination, unanswered=unanswered)
            if not circuit.is_open and (row.failed >= MIN_ATTEMPTS or row.unanswered >= MAX_UNANSWERED):
                circuit.open(now)
        elif had_failed:
            self._outages.answered(destination)
        if circuit.is_open:
            self._outages.tell(destination, PROBE_EVERY)
        elif was_open:
            self._outages.end(destination)

    def open_destinations(self) -> list[str]:
        """Those that are left alone now, for health pages."""
        return sorted(name for name, circuit in self._circuits.items() if circuit.is_open)

    def reset(self) -> None:
        """Forget everything, for others too."""
        for destination in self._circuits:
            if self._outages:
                self._outages.end(destination)
                self._outages.answered(destination)
        self._circuits.clear()
        self._refused.clear()


BREAKER = Breaker(outages=Outages())
