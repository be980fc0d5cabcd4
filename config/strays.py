"""Ending a server that outlived the process which should have ended it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

TICK = 0.02


def end_stray(pid: int, mark: str, stop: signal.Signals, patience: float) -> None:
    """Signal `pid` if its command line holds `mark`, and SIGKILL it after `patience` seconds.

    Returns when it has ended. A stranger to whom the number was given since is left alone.
    """
    deadline = time.monotonic() + patience
    if is_running(pid, mark):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, stop)
    while is_running(pid, mark):
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(TICK)


def is_running(pid: int, mark: str) -> bool:
    """Whether the process `pid` lives and has `mark` in its command line (a zombie has none)."""
    if Path("/proc/self/cmdline").exists():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return mark in Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        return False
    command = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    return mark in subprocess.run(command, capture_output=True, text=True, check=False).stdout
