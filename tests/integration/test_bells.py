"""Bells in Redis: they do not depend on a worker's clock, and those nobody hears do not pile up."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import redis
import time_machine
from django.conf import settings

from automation import queues

LANE = "medium"


@pytest.fixture
def line(transactional_db: None) -> Iterator[redis.Redis]:
    """The Redis of this run, without bells of this lane."""
    client = redis.Redis.from_url(settings.REDIS_CLIENT_URL)
    flag = queues._flag(queues.EVENTS_TASK, LANE)
    client.delete(queues._queue(LANE), flag)
    yield client
    client.delete(queues._queue(LANE), flag)
    client.close()


def settled(client: redis.Redis, wanted: int) -> int:
    """How many bells wait, once the publisher has had its turn."""
    deadline = time.monotonic() + 5
    while client.llen(queues._queue(LANE)) != wanted and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    return int(client.llen(queues._queue(LANE)))  # type: ignore[arg-type]


def ring(client: redis.Redis) -> None:
    """As when the flag of the bell before has run out."""
    client.delete(queues._flag(queues.EVENTS_TASK, LANE))
    queues._enqueue(queues.EVENTS_TASK, LANE)


@pytest.mark.usefixtures("servers")
def test_a_bell_has_no_expiry_whatever_the_clock_of_its_ringer(line: redis.Redis) -> None:
    """R-011, R-023: a worker whose clock runs ahead would drop bells that expire."""
    with time_machine.travel(datetime.now(UTC) - timedelta(hours=1), tick=True):
        ring(line)
        assert settled(line, 1) == 1
    (raw,) = line.lrange(queues._queue(LANE), 0, -1)
    headers = json.loads(raw)["headers"]
    assert (headers["task"], headers["expires"], headers["eta"]) == (queues.EVENTS_TASK, None, None)


@pytest.mark.usefixtures("servers")
def test_bells_that_nobody_hears_do_not_pile_up(line: redis.Redis) -> None:
    """R-011: a queue of MAX_WAITING takes no more; one that is heard again does."""
    for _ in range(queues.MAX_WAITING):
        line.lpush(queues._queue(LANE), "{}")
    for _ in range(3):
        ring(line)
        assert settled(line, queues.MAX_WAITING) == queues.MAX_WAITING
    assert queues.waiting([LANE, "no such lane"]) == queues.MAX_WAITING
    line.rpop(queues._queue(LANE))
    ring(line)
    assert settled(line, queues.MAX_WAITING) == queues.MAX_WAITING
    newest = json.loads(line.lindex(queues._queue(LANE), 0) or "{}")  # type: ignore[arg-type]
    assert newest["headers"]["task"] == queues.EVENTS_TASK


def test_without_redis_nobody_knows_what_waits(settings: object) -> None:
    settings.REDIS_CLIENT_URL = "redis://127.0.0.1:1/0"  # type: ignore[attr-defined]
    queues._state.__dict__.clear()
    try:
        assert queues.waiting([LANE]) is None
    finally:
        queues._state.__dict__.clear()
