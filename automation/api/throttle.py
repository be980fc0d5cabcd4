"""Token buckets of this process: what one key and one address may ask for (R-038).

They guard against a client that has run wild, before its body is read. Every process has its own, so a server
of n processes allows up to n times as much; nothing here waits for Redis (R-010).
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict

from django.http import HttpRequest
from rest_framework.request import Request

from automation.api.problems import ProblemError


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

    def spend(self, name: str, detail: str) -> None:
        """Take one token, or raise 429 with Retry-After."""
        if wait := self.take(name):
            raise ProblemError("too-many-requests", detail, headers={"Retry-After": str(math.ceil(wait))})

    def forget(self) -> None:
        """Fill every bucket."""
        with self._lock:
            self._levels.clear()


# A process serves hundreds of requests a second: these stop loops, not shops. Behind a proxy all addresses
# look alike, therefore the address counts for wrong keys only.
KEYS = Buckets(rate=2_000, burst=4_000)
FAILURES = Buckets(rate=5, burst=50)


def address_of(request: Request | HttpRequest) -> str:
    """The network address the request came from."""
    return str(request.META.get("REMOTE_ADDR", ""))
