"""Ending with the process that started us, however it ended."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

PR_SET_PDEATHSIG = 1
WATCH_SECONDS = 0.5


def signal_at_parents_death(number: signal.Signals) -> Callable[[], None] | None:
    """A function that asks the kernel to signal the calling process when its parent ends; None but on Linux.

    Made before a fork and called after it, so that no lock is taken in between. The kernel watches the thread
    that forked: fork from one that lives as long as the process.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)

    return ask


def before_exec(number: signal.Signals) -> Callable[[], None] | None:
    """`preexec_fn` of a child that must not outlive us."""
    ask = signal_at_parents_death(number)
    if ask is None:
        return None
    parent = os.getpid()

    def prepare() -> None:
        ask()
        if os.getppid() != parent:  # It ended before we asked.
            os._exit(1)

    return prepare


def die_with(parent: int) -> None:
    """SIGKILL this process, and every process it forks from now on, when `parent` (or the forker) ends."""
    ask = signal_at_parents_death(signal.SIGKILL)
    if ask is None:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
        return
    ask()
    os.register_at_fork(after_in_child=ask)
    if os.getppid() != parent:
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os.killpg(os.getpgrp(), signal.SIGKILL)
