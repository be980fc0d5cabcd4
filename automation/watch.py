"""The watch of a Celery worker: a thread of its parent process that rests on neither Redis, beat nor Celery.

Every second it looks at what costs nothing, every SWEEP_SECONDS at the database:

- nobody has swept for two intervals (no beat, or a dead one): it sweeps (R-014);
- no bell can be heard, because Redis does not answer or this worker starts nothing: it does the overdue work
  of its lanes by itself, while that lasts;
- a process of the pool is gone: the call it was making takes the blame, and its lease ends now (R-020);
- bells wait and this worker starts nothing for STALL_SECONDS: it ends the worker, whose service manager
  starts a new one. Celery is known to stay alive and deaf after an outage of Redis;
- this machine's clock and PostgreSQL's differ: it says so (R-023).

The thread has its own database connection. It works behind `fork_gate`, because the pool is forked from its
process.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from django.conf import settings
from django.db import Error, close_old_connections, connection

from automation import queues
from automation.engine.types import Priority
from automation.fork_gate import gate
from automation.pipeline import drain, lookout, sweep
from automation.pipeline.calls import CALLS
from automation.progress import Progress

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
MIN_IDLE_SECONDS = 10.0  # A pool that has just lost its process to a poisoned event is no deaf one.
MAX_SKEW_SECONDS = 2.0
STOP_SECONDS = 16.0  # One effect may take 15.
KILL_SECONDS = 30.0  # After the worker was asked to end.
LOG_EVERY = 60.0  # Seconds between two reports of the same trouble.


class Pool(Protocol):
    """What the watch sees of its worker."""

    def starts(self) -> int:
        """Tasks ever started."""

    def running(self) -> int:
        """Tasks that run now."""


class Watch(threading.Thread):
    """Looks after one worker until `stop()`."""

    def __init__(
        self,
        queue_names: Sequence[str],
        pool: Pool,
        *,
        task_limit: float,
        clock: Callable[[], float] = time.monotonic,
        end_worker: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(name="watch", daemon=True)
        self._queues = tuple(queue_names)
        self._lanes = [lane for lane in Priority if lane.lane in queue_names]
        self._pool = pool
        self._clock = clock
        self._end_worker = end_worker or end_this_process
        self._ending = threading.Event()
        self._progress = Progress(settings.STALL_SECONDS, task_limit, since=clock(), starts=pool.starts())
        self._next_look = clock()
        self._is_skewed = False
        self._has_ended_worker = False
        self._reported = -LOG_EVERY

    def run(self) -> None:
        """Until `stop()`, whatever goes wrong."""
        while not self._ending.is_set():
            try:
                is_left = self.turn()
            except Exception:  # noqa: BLE001 — logged; the watch goes on, what it watches for is trouble.
                is_left = False
                self._report()
            # Also when work is left: a fork that waits at the gate needs a moment in which it is open.
            self._ending.wait(0.01 if is_left else TICK_SECONDS)
        connection.close()

    def stop(self) -> None:
        """Begin nothing new; returns when what was begun is done, after STOP_SECONDS at most."""
        self._ending.set()
        if self.is_alive():
            self.join(STOP_SECONDS)

    def turn(self) -> bool:
        """One look. True when there is more work than could be done."""
        now = self._clock()
        if now < self._next_look:
            return False
        with gate():
            bells = queues.waiting(self._queues)
        if self._is_stalled(now, bells):
            return False
        # While no bell can come, the database is asked at every turn.
        self._next_look = now + (
            TICK_SECONDS if bells is None else settings.SWEEP_SECONDS * random.uniform(0.9, 1)
        )
        with gate():
            seen = self._look(is_deaf=bells is None)
        if bells is not None and self._progress.idle(self._clock()) < max(_patience(), MIN_IDLE_SECONDS):
            return False
        is_left = self._work(seen)
        if is_left:
            self._next_look = now
        return is_left

    def _is_stalled(self, now: float, bells: int | None) -> bool:
        starts, running = self._pool.starts(), self._pool.running()
        if not self._progress.note(now, starts=starts, running=running, bells=bells):
            return False
        if not self._has_ended_worker:
            self._has_ended_worker = True
            log.error(
                "bells wait but this worker starts nothing, so it ends and is to be started anew",
                extra={"bells": bells, "seconds": round(self._progress.idle(now)), "queues": self._queues},
            )
            self._end_worker()
        return True

    def _look(self, *, is_deaf: bool) -> lookout.Seen:
        close_old_connections()
        name = drain.worker_name()
        lookout.note(lookout.WATCH + name)
        before = datetime.now(UTC)
        seen = lookout.look(self._lanes, age=0 if is_deaf else _patience(), pool=f"{name}/")
        self._compare_clocks(name, before, seen.at, datetime.now(UTC))
        dead = [worker for worker in seen.calling if not _lives(int(worker.rpartition("/")[2]))]
        if dead and (blamed := lookout.blame(dead)):
            log.error("a process of the pool died in the middle of a call", extra={"deliveries": blamed})
        if (
            seen.sweep_age is None or not 0 <= seen.sweep_age <= _patience()
        ):  # PostgreSQL's clock may go back.
            sweep.sweep()
        return seen

    def _work(self, seen: lookout.Seen) -> bool:
        """Do what is overdue, here: no bell would bring anybody to it."""
        is_left = False
        for lanes, work in ((seen.events, drain.events), (seen.deliveries, drain.deliveries)):
            for lane in lanes:
                if self._ending.is_set():
                    return False
                with gate(), CALLS.staying():
                    is_left |= work(lane, is_ending=self._ending.is_set)
                self._ending.wait(0.01)
        return is_left

    def _compare_clocks(self, name: str, before: datetime, theirs: datetime, after: datetime) -> None:
        """Decisions read PostgreSQL's clock alone; this one stands in logs and limits only."""
        skew = max((before - theirs).total_seconds(), (theirs - after).total_seconds(), 0.0)
        if skew > MAX_SKEW_SECONDS:
            lookout.note(lookout.SKEW + name)
            if not self._is_skewed:
                log.warning(
                    "this machine's clock and PostgreSQL's differ: run an NTP client", extra={"seconds": skew}
                )
        elif self._is_skewed:
            lookout.forget(lookout.SKEW + name)
        self._is_skewed = skew > MAX_SKEW_SECONDS

    def _report(self) -> None:
        is_new = self._clock() - self._reported >= LOG_EVERY
        if is_new:
            self._reported = self._clock()
        log.log(logging.ERROR if is_new else logging.DEBUG, "the watch failed and goes on", exc_info=True)
        try:
            connection.close()  # A new one is made at the next look.
        except Error:
            log.debug("the connection was beyond closing", exc_info=True)


def _patience() -> float:
    """How long others may take to sweep, and a worker to hear a bell."""
    return 2.0 * settings.SWEEP_SECONDS


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # Somebody else's by now; then the lease decides.
        return True
    return True


def end_this_process() -> None:
    """A warm end, as if the service manager had asked for it; a hard one when that hangs, too."""
    last = threading.Timer(KILL_SECONDS, os._exit, args=[1])
    last.daemon = True
    last.start()
    os.kill(os.getpid(), signal.SIGTERM)
