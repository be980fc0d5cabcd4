"""What the processes tell each other about destinations; kept in Redis, missed without harm.

Which are down, how many attempts failed in a row, and whose turn it is to try one that may hang. A process that
cannot reach Redis knows only its own outages (R-030), and does not ask again for a while.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from typing import NamedTuple

import redis
from django.conf import settings

log = logging.getLogger(__name__)

TIMEOUT = 0.25  # Seconds; an answer that is late is none.
ASK_EVERY = 1.0  # Seconds between two questions about one destination.
BREAK_SECONDS = 5.0  # After an error of Redis.
_MAX_ASKED = 10_000
TURN_SECONDS = 16.0  # A call may take 15; the turn of a process that died ends by itself.
TURN_LOOKS = 3  # A destination that is well is free again in a moment.
LOOK_SECONDS = 0.1
_TURN_MS = int(TURN_SECONDS * 1000)
FAILED_SECONDS, UNANSWERED_SECONDS = 60, 120  # So long failures are counted together.

# Only whoever has the turn may give it back.
_GIVE_BACK = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"


class InARow(NamedTuple):
    """Attempts of all processes since the last answer that any of them liked."""

    failed: int
    unanswered: int


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

    def ask(self, destination: str) -> float:
        """The same, asked anew."""
        self._asked.pop(destination, None)
        return self.wait(destination)

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

    def begin(self, destination: str) -> str | None:
        """Take the turn to try a destination that may hang: its token, to be given to `finish`.

        None when another process has it; empty when Redis does not say, and everybody may try.
        """
        token = secrets.token_hex(8)
        key = _key(destination, "turn")
        for look in range(TURN_LOOKS):
            if look:
                time.sleep(LOOK_SECONDS)
            taken = self._try(lambda client: int(bool(client.set(key, token, nx=True, px=_TURN_MS))))
            if taken is None:
                return ""
            if taken:
                return token
        return None

    def finish(self, destination: str, token: str) -> None:
        """Give the turn back."""
        if token:
            self._try(lambda client: client.eval(_GIVE_BACK, 1, _key(destination, "turn"), token))

    def failed(self, destination: str, *, unanswered: bool) -> InARow:
        """Count a failure of this process with those of the others; zeros when Redis does not say."""
        counts = InARow(0, 0)

        def ask(client: redis.Redis) -> object:
            nonlocal counts
            failures, silences = _key(destination, "failed"), _key(destination, "unanswered")
            pipe = client.pipeline(transaction=False)
            pipe.incr(failures)
            pipe.expire(failures, FAILED_SECONDS)
            if unanswered:
                pipe.incr(silences)
                pipe.expire(silences, UNANSWERED_SECONDS)
            else:
                pipe.delete(silences)
            found = pipe.execute()
            counts = InARow(int(found[0]), int(found[2]) if unanswered else 0)
            return None

        self._try(ask)
        return counts

    def answered(self, destination: str) -> None:
        """What was counted by `failed` is over."""
        self._try(lambda client: client.delete(_key(destination, "failed"), _key(destination, "unanswered")))

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


def _key(destination: str, what: str = "outage") -> str:
    return f"{settings.REDIS_PREFIX}{what}:{destination}"
