"""Does a worker get on, or does it live without hearing its bells? Pure: the caller says what it sees.

Celery's worst failure leaves the process alive and deaf, after its connection to Redis was lost and found.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Progress:
    """What a worker's watch has seen of it so far."""

    limit: float  # Seconds without a start, with bells waiting all the while.
    task_limit: float  # Seconds a task may take; while one runs, no start is no wonder.
    since: float  # The last start, or the last moment that explains why there was none.
    starts: int = 0
    bells_since: float | None = None  # Bells have waited at every look since.

    def note(self, now: float, *, starts: int, running: int, bells: int | None) -> bool:
        """Take a look; True when the worker is stalled.

        `starts`: tasks it has ever started; `running`: tasks it is at; `bells`: waiting in its queues, None
        when Redis does not answer. `now` is seconds on a clock that only goes forward.
        """
        if starts != self.starts:
            self.starts, self.since = starts, now
        if not bells:
            self.bells_since = None
            return False
        if self.bells_since is None:
            self.bells_since = now
        limit = self.limit + (self.task_limit if running else 0.0)
        return now - max(self.since, self.bells_since) >= limit

    def idle(self, now: float) -> float:
        """Seconds since it last started a task."""
        return now - self.since
