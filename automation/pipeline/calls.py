"""Calls to the outside, made in a thread beside the worker, so that one that hangs holds nobody up (R-030).

A call that has not ended after PATIENCE is left to its thread, and the worker goes on with other work. The thread
hands the result over when it comes. Until then this process makes no other call to the same destination.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Generic, TypeVar

from django.db import connection

log = logging.getLogger(__name__)

PATIENCE = 1.0  # Seconds.
MOST = 8  # Calls left to their threads at once; the worker waits for the end of any more.
LONGEST = 15.0  # Seconds until any call has ended.

Result = TypeVar("Result")


class Left(Generic[Result]):
    """A call that is still going on. `record` is called in its thread when it has ended."""

    def __init__(self, future: Future[Result], over: Callable[[], None]) -> None:
        self._future = future
        self._over = over

    def record(self, record: Callable[[Callable[[], Result]], None]) -> None:
        """Have `record` called with a function that gives the result, or raises what the call raised."""

        def finish(future: Future[Result]) -> None:
            try:
                record(future.result)
            except Exception:  # Its lease ends by itself, and `rescue` decides.
                log.exception("the result of a long call cannot be recorded")
            finally:
                connection.close()  # Of this thread, which may not be needed again for long.
                self._over()

        self._future.add_done_callback(finish)


class Calls:
    """The calls of this process."""

    def __init__(self) -> None:
        self._pid = 0
        self._renew()

    def _renew(self) -> None:
        """A fork has none of its parent's threads."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._threads = ThreadPoolExecutor(MOST + 1, thread_name_prefix="call")
            self._left: Counter[str] = Counter()
            self._is_staying = False
            self._changed = threading.Condition()

    def make(self, destination: str, call: Callable[[], Result]) -> Result | Left[Result]:
        """The result; or, when it takes long, the call itself, whose `record` must be given. Raises what it raises."""
        self._renew()
        future = self._threads.submit(call)
        has_room = self._left.total() < MOST and not self._is_staying
        if not wait([future], PATIENCE if has_room else None).not_done:
            return future.result()
        with self._changed:
            self._left[destination] += 1
        return Left(future, lambda: self._end(destination))

    @contextmanager
    def staying(self) -> Iterator[None]:
        """Inside, every call is waited for: in a process that is about to be forked none may go on beside."""
        self._renew()
        self._is_staying = True
        try:
            yield
        finally:
            self._is_staying = False

    def _end(self, destination: str) -> None:
        with self._changed:
            self._left[destination] -= 1
            if not self._left[destination]:
                del self._left[destination]
            self._changed.notify_all()

    def is_going_on(self, destination: str) -> bool:
        """Whether a call to it was left to its thread and has not ended."""
        return self._pid == os.getpid() and destination in self._left

    def finish(self, seconds: float) -> bool:
        """Wait until the results of all calls are recorded; False when the time was up before."""
        if self._pid != os.getpid():
            return True
        with self._changed:
            return self._changed.wait_for(lambda: not self._left.total(), seconds)


CALLS = Calls()
