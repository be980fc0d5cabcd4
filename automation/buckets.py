"""Token buckets of this process alone."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict


class Buckets:
    """One bucket per name: `rate` tokens a second flow in, `burst` fit."""

    def __init__(self, rate: float, burst: float, *, limit: int = 20_000) -> None:
        self.rate = rate
        self.burst = burst
        self.limit = (
            limit  # Names remembered; the one unused for longest is forgotten, which fills its bucket.
        )
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, name: str) -> float:
        """Take one token; returns 0, or the seconds until there is one."""
        now = time.monotonic()
        with self._lock:
            level, at = self._levels.pop(name, (self.burst, now))
            level = min(self.burst, level + (now - at) * self.rate)
            wait = 0.0 if level >= 1 else (1 - level) / self.rate
            self._levels[name] = (level if wait else level - 1, now)
            if len(self._levels) > self.limit:
                self._levels.popitem(last=False)
        return wait

    def forget(self) -> None:
        """Fill every bucket."""
        with self._lock:
            self._levels.clear()
