"""Token buckets that all processes share, taken from in chunks (R-038).

The buckets are in Redis. A process leases a few tokens of a name at once and spends them from memory, so most
requests touch no Redis. How many it leases follows what it spent: twice as many while leases are used up, as
many as were used when one ran out of time; never more than a twentieth of the burst or a tenth of what is in
the bucket. So the nearer a bucket is to empty, the more exactly it is shared.

Bounds. No token is issued twice, therefore within any t seconds at most `burst + rate * (t + LEASE_SECONDS)`
requests pass, over all processes. Tokens that a process leased and did not spend are lost: at most as many as
it spent in the same time, and a tenth of the bucket.

Redis is waited for 50 ms at most, by one request. After a failure each process counts alone for
BREAK_SECONDS; then one request tries again. Alone, n processes let pass up to n times as much: never
unlimited, and no request fails because of Redis (R-010).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from automation.buckets import Buckets

log = logging.getLogger(__name__)

TIMEOUT = 0.05
BREAK_SECONDS = 5.0
LEASE_SECONDS = 1.0
_SHARE_OF_BURST = 20
_LONGEST_WAIT_MS = 1_000  # A refusal is believed this long at most.

# Atomic, by the one clock all processes share. The level is written as text: Lua's own conversion of numbers
# would round the time to a tenth of a millisecond.
_LEASE = """
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
local rate, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local row = redis.call('HMGET', KEYS[1], 'level', 'at')
local level, at = tonumber(row[1] or burst), tonumber(row[2] or now)
level = math.min(burst, level + math.max(0, now - at) * rate)
local granted = 0
if level >= 1 then
  granted = math.max(1, math.floor(math.min(wanted, level / 10)))
end
redis.call('HSET', KEYS[1], 'level', string.format('%.6f', level - granted), 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(burst / rate * 1000) + 1000)
return {granted, granted > 0 and 0 or math.ceil((1 - level) / rate * 1000)}
"""


@dataclass(slots=True)
class _Lease:
    """What this process holds of one name."""

    tokens: int = 0
    granted: int = 0
    wanted: int = 1
    until: float = 0.0
    refused_until: float = 0.0


class SharedBuckets:
    """One bucket per name for all processes; the same promise as `Buckets`, within the bounds above."""

    def __init__(self, kind: str, rate: float, burst: float, *, limit: int = 20_000) -> None:
        self.kind = kind
        self.rate = rate
        self.burst = burst
        self.limit = limit
        self.alone = Buckets(rate, burst, limit=limit)
        self._leases: OrderedDict[str, _Lease] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, name: str) -> float:
        """Take one token; returns 0, or the seconds until there may be one."""
        now = time.monotonic()
        with self._lock:
            lease = self._leases.get(name)
            if lease is not None:
                if lease.tokens and now < lease.until:
                    lease.tokens -= 1
                    return 0.0
                if now < lease.refused_until:
                    return lease.refused_until - now
        if not _breaker.may_ask(now):
            return self._alone(name)
        try:
            granted, wait_ms = self._ask(name, self._wanted(name, now))
        except (redis.RedisError, OSError):
            _breaker.note_failure(time.monotonic())
            return self._alone(name)
        _breaker.note_success()
        return self._note(name, int(granted), int(wait_ms))

    def forget(self) -> None:
        """Drop what this process holds, and fill the buckets it uses when alone."""
        with self._lock:
            self._leases.clear()
        self.alone.forget()

    def _alone(self, name: str) -> float:
        self.alone.rate, self.alone.burst = self.rate, self.burst
        return self.alone.take(name)

    def _wanted(self, name: str, now: float) -> int:
        """How many to lease next: as this process has lately needed."""
        with self._lock:
            lease = self._leases.get(name)
            if lease is None:
                return 1
            is_used_up = lease.tokens == 0 and now < lease.until
            lease.wanted = lease.granted * 2 if is_used_up else max(1, lease.granted - lease.tokens)
            return min(lease.wanted, max(1, int(self.burst / _SHARE_OF_BURST)))

    def _ask(self, name: str, wanted: int) -> tuple[int, int]:
        key = f"{settings.REDIS_PREFIX}throttle:{self.kind}:{name}"
        answer = _script()(keys=[key], args=[self.rate, self.burst, wanted])
        return answer[0], answer[1]

    def _note(self, name: str, granted: int, wait_ms: int) -> float:
        now = time.monotonic()
        with self._lock:
            lease = self._leases.setdefault(name, _Lease())
            self._leases.move_to_end(name)
            if len(self._leases) > self.limit:
                self._leases.popitem(last=False)
            if not granted:
                wait = min(wait_ms, _LONGEST_WAIT_MS) / 1000
                lease.tokens, lease.refused_until = 0, now + wait
                return max(wait, 0.001)
            # Another thread may have leased meanwhile: nothing that was issued is thrown away.
            kept = lease.tokens if now < lease.until else 0
            lease.granted = lease.tokens = kept + granted
            lease.tokens -= 1
            lease.until = now + LEASE_SECONDS
        return 0.0


class _Breaker:
    """Whether Redis is asked at all: after a failure, by one request every BREAK_SECONDS."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed_until = 0.0  # Monotonic; 0: Redis answers.

    def may_ask(self, now: float) -> bool:
        if not self._closed_until:
            return True
        with self._lock:
            if not self._closed_until:
                return True
            if now < self._closed_until:
                return False
            self._closed_until = now + BREAK_SECONDS  # This request tries; the others do not wait for it.
            return True

    def note_failure(self, now: float) -> None:
        with self._lock:
            if not self._closed_until:
                log.warning("Redis does not answer: requests are counted by each process alone")
            self._closed_until = now + BREAK_SECONDS

    def note_success(self) -> None:
        if self._closed_until:
            with self._lock:
                self._closed_until = 0.0
            log.info("Redis answers again: requests are counted together")


_breaker = _Breaker()


@cache
def _script() -> redis.commands.core.Script:
    """The script on a client that never waits longer than TIMEOUT and tries once."""
    client = redis.Redis.from_url(
        settings.REDIS_CLIENT_URL,
        socket_timeout=TIMEOUT,
        socket_connect_timeout=TIMEOUT,
        retry=Retry(NoBackoff(), 0),
    )
    return client.register_script(_LEASE)


def forget() -> None:
    """Ask Redis again at once, wherever it is now."""
    _script.cache_clear()
    _breaker.note_success()
