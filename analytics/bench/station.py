"""A process that holds one database and decides in process: `python -m analytics.bench.station`.

Commands come as JSON lines on stdin, answers go as JSON lines to stdout. Each station has its own compiled index
and its own connection, so that several sizes can be measured in turn, each of them warm.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from analytics.bench.errors import StationError


class Station:
    """The bench's end of a station process."""

    def __init__(self, name: str, env: Mapping[str, str]) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", "analytics.bench.station"],
            env={**os.environ, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, command: str, **arguments: Any) -> Any:
        """Do one thing and return the answer. Raises StationError."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": command, **arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": "the process has ended"}
        if "error" in answer:
            raise StationError(f"{self.name}: {command}: {answer['error']}")
        return answer["ok"]

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def main() -> None:
    """Answer commands until stdin ends: also when the bench was killed."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # What anybody else prints goes to stderr.
    import django

    django.setup()
    from automation import garbage

    garbage.calm()  # As every worker does.
    from analytics.bench.station_commands import COMMANDS

    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = {"ok": COMMANDS[asked.pop("do")](**asked)}
        except Exception as error:  # noqa: BLE001 — told to the bench, which stops.
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
