"""No fork in the middle of another thread's work.

A forked process has only the thread that forked. Whatever lock another thread held at that moment is held in
it for ever. A thread of a worker's parent process therefore works `with gate():`, and a fork of the parent
waits until it is between two pieces of work, for FORK_SECONDS at most.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

FORK_SECONDS = 5.0

_lock = threading.RLock()
_forking = threading.local()


@contextmanager
def gate() -> Iterator[None]:
    """Keep forks away while this thread works. Keep it short, and pause between two pieces of work."""
    with _lock:
        yield


def _before() -> None:
    _forking.is_held = _lock.acquire(timeout=FORK_SECONDS)


def _in_parent() -> None:
    if _forking.is_held:
        _lock.release()


def _in_child() -> None:
    global _lock
    _lock = threading.RLock()


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
