"""Which destinations other processes have found to be down; kept in Redis, missed without harm.

A process that cannot reach Redis knows only its own outages (R-030), and does not ask again for a while.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import redis
from django.conf import settings

log = logging.getLogger(__name__)

TIMEOUT = 0.25  # Seconds; an answer that is late is none.
ASK_EVERY = 1.0  # Seconds between two questions about one destination.
BREAK_SECONDS = 5.0  # After an error of Redis.
_MAX_ASKED = 10_000


class Outages:
    """`open circuit` flags that end by themselves."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._client: redis.Redis | None = None
        self._asked: dict[str, tuple[float, float]] = {}  # Destination -> when asked, until when it is down.
        self._broken_until = 0.0

    def wait(self, destination: str) -> float:
        """Seconds for which others leave the destination alone; 0 when nobody does, or Redis does not say."""
        now = self._clock()
        asked_at, down_until = self._asked.get(destination, (-ASK_EVERY, 0.0))
        if now - asked_at >= ASK_EVERY:
            milliseconds = self._try(lambda client: int(client.pttl(_key(destination))))
            down_until = now + (milliseconds or 0) / 1000
            if len(self._asked) >= _MAX_ASKED:
                self._asked.clear()
            self._asked[destination] = (now, down_until)
        return max(0.0, down_until - now)

    def tell(self, destination: str, seconds: float) -> None:
        """Others should leave the destination alone for so long."""

        def ask(client: redis.Redis) -> object:
            now = time.time()
            pipe = client.pipeline(transaction=False)
            pipe.set(_key(destination), 1, px=int(seconds * 1000))
            pipe.zremrangebyscore(_list(), 0, now)
            pipe.zadd(_list(), {destination: now + seconds})
            return pipe.execute()

        self._try(ask)

    def end(self, destination: str) -> None:
        """It is back."""
        self._asked.pop(destination, None)

        def ask(client: redis.Redis) -> object:
            pipe = client.pipeline(transaction=False)
            pipe.delete(_key(destination))
            pipe.zrem(_list(), destination)
            return pipe.execute()

        self._try(ask)

    def known(self, limit: int) -> list[str]:
        """Destinations that any process leaves alone now, for people to see; raises what Redis raises."""
        client = redis.Redis.from_url(
            settings.REDIS_CLIENT_URL, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT
        )
        try:
            found: list[bytes] = client.zrangebyscore(_list(), time.time(), "+inf", 0, limit)  # type: ignore[assignment]
        finally:
            client.close()
        return sorted(name.decode() for name in found)

    def _try(self, ask: Callable[[redis.Redis], object]) -> int | None:
        if self._clock() < self._broken_until:
            return None
        try:
            if self._client is None:
                self._client = redis.Redis.from_url(
                    settings.REDIS_CLIENT_URL, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT
                )
            answer = ask(self._client)
        except redis.RedisError:
            self._broken_until = self._clock() + BREAK_SECONDS
            log.warning("Redis does not share outages, each process knows its own")
            return None
        return answer if isinstance(answer, int) else None


def _list() -> str:
    return f"{settings.REDIS_PREFIX}outages"


def _key(destination: str) -> str:
    return f"{settings.REDIS_PREFIX}outage:{destination}"
