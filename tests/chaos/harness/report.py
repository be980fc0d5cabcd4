"""One line of the table that `make chaos` prints."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.harness.size import SEED


@dataclass
class Report:
    """What one test did and what came of it. The test fills it in; whether it passed says pytest."""

    test: str  # T1 … T27 of the matrix.
    what: str  # The fault and the drive, in a few words.
    faults: int = 0  # How many were injected.
    lost: int | None = None  # Accepted and never ended; None where the question makes no sense.
    duplicates: int | None = None  # The same message or call received twice, after the receiver's dedupe.
    uncertain: int | None = None  # Listed as possibly sent.
    seconds: float = 0.0
    verdict: str = "not run"  # pass, BREACH, skipped, or measured (a peer).
    seed: int = SEED
    system: str = "Beckon"
    figures: dict[str, Any] = field(default_factory=dict)  # Others the pass figure speaks of.
    reason: str = ""  # Of a breach or a skip, in one line.
    _started: float = field(default_factory=time.monotonic, repr=False)

    def end(self, verdict: str, reason: str = "") -> None:
        """Close the line and append it to the file of this run, when there is one."""
        self.seconds = round(time.monotonic() - self._started, 1)
        self.verdict, self.reason = verdict, reason
        if name := os.environ.get("BECKON_CHAOS_REPORT"):
            line = {key: value for key, value in asdict(self).items() if not key.startswith("_")}
            with Path(name).open("a") as file:
                file.write(json.dumps(line, default=str) + "\n")
