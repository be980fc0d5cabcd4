"""A child process of the supervisor: started, listened to, ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from config.embedded import PROJECT
from config.programs import Program

FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0  # Seconds between the end of a child and its next start; doubles.
STABLE_SECONDS = 30.0  # A child that ran so long starts again after the first delay.
Log = Callable[[str, str], None]  # Name of the child, one line of its output.


class Child:
    """One program and the process that runs it at the moment. `start` from a thread that outlives it."""

    def __init__(self, program: Program, log: Log, file: Path) -> None:
        self.program = program
        self.process: subprocess.Popen[str] | None = None
        self.is_ready = False
        self.starts = 0
        self.failures = 0  # How often it has ended since it was last ready.
        self.tail: deque[str] = deque(maxlen=30)  # Its last lines, for the message when it fails.
        self._log = log
        self._file = file
        self._listener: threading.Thread | None = None
        self._started_at = 0.0
        self._delay = FIRST_DELAY / 2

    @property
    def is_running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def start(self, env: Mapping[str, str]) -> None:
        """Start the program in a session of its own, so that Ctrl-C in our terminal does not reach it."""
        self.is_ready = False
        self.starts += 1
        self._started_at = time.monotonic()
        self.process = subprocess.Popen(
            self.program.command(os.getpid()),
            cwd=PROJECT,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            pass_fds=self.program.inherited,
        )
        self._listener = threading.Thread(target=self._listen, args=(self.process,), daemon=True)
        self._listener.start()

    def note_ready(self) -> None:
        """It does its work: what failed before is forgotten."""
        self.is_ready = True
        self.failures = 0

    def note_end(self) -> float:
        """Clear up after a process that ended; returns the seconds to wait before the next start."""
        assert self.process is not None
        self.is_ready = False
        self.failures += 1
        self.kill()
        ran = time.monotonic() - self._started_at
        self._delay = FIRST_DELAY if ran > STABLE_SECONDS else min(self._delay * 2, LONGEST_DELAY)
        self.say(f"ended with code {self.process.returncode}, starts again in {self._delay:g} s")
        return self._delay

    def ask_to_end(self) -> None:
        """SIGTERM to the main process; it ends its own children."""
        if self.process is not None and self.is_running:
            self.process.send_signal(signal.SIGTERM)

    def await_end(self, deadline: float) -> None:
        """Wait until it has ended, or SIGKILL it and all it started at `deadline` (monotonic)."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.say("did not end in time and was killed")
        self.kill()
        if self._listener is not None:
            self._listener.join(1)

    def kill(self) -> None:
        """SIGKILL the process and everything of its group; returns when it has ended."""
        if self.process is not None:
            # The group may be gone already, or hold only what a killed main process left behind.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def say(self, line: str) -> None:
        """Pass a line to the log as if the program had printed it."""
        self.tail.append(line)
        self._log(self.program.name, line)

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout, self._file.open("a", encoding="utf-8") as file:
            for line in process.stdout:
                file.write(line)
                file.flush()
                self.say(line.rstrip("\n"))
                if process is self.process and self.program.says_ready(line):
                    self.note_ready()
