"""Ring the bell of a lane. The only place that publishes to Celery.

A message carries nothing but the name of a lane: rows in PostgreSQL are the work, so a lost bell costs one
sweep interval and nothing else. Publishing happens on a background thread fed by a bounded queue, so that
no request and no decision ever waits for Redis (R-010).

A bell has no expiry: Celery would judge it by the worker's clock, and a worker whose clock runs ahead would
hear none. Bells nobody hears do not pile up all the same: one per task, lane and BELL_SECONDS, and none at
all into a queue that holds MAX_WAITING.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Sequence
from functools import partial

import redis
from celery import current_app
from django.conf import settings
from django.db import transaction

from automation.faults import fault

log = logging.getLogger(__name__)

EVENTS_TASK = "automation.tasks.drain_events"
DELIVERIES_TASK = "automation.tasks.drain_deliveries"
SWEEP_TASK = "automation.tasks.periodic_sweep"

BELL_SECONDS = 5  # A bell that was lost with its flag still up is silent for this long at most.
MAX_WAITING = 100  # Whoever comes to such a queue has been called often enough.
BREAK_SECONDS = 5.0  # After a failed publish, bells are dropped this long instead of waiting again.
TIMEOUT = 0.25

_bells: queue.Queue[tuple[str, str]] = queue.Queue(maxsize=1000)
_state = threading.local()
_lock = threading.Lock()
_publisher: tuple[int, threading.Thread] | None = None


def _forget_the_parent() -> None:
    """In a child after a fork: a lock or a queue that the parent's threads held would be held for ever."""
    global _bells, _lock, _publisher
    _bells, _lock, _publisher = queue.Queue(maxsize=1000), threading.Lock(), None
    _state.__dict__.clear()


os.register_at_fork(after_in_child=_forget_the_parent)


def ring(lane: str) -> None:
    """After this transaction commits, wake a worker for the undecided events of `lane`."""
    transaction.on_commit(partial(_enqueue, EVENTS_TASK, lane))


def ring_deliveries(lane: str) -> None:
    """After this transaction commits, wake a worker for the due deliveries of `lane`."""
    transaction.on_commit(partial(_enqueue, DELIVERIES_TASK, lane))


def sweep_now() -> None:
    """Ask for a sweep at once, without waiting for the clock."""
    _enqueue(SWEEP_TASK, "periodic")


def answer(task: str, lane: str) -> None:
    """Take the flag down: a worker has heard the bell, so the next event rings again."""
    try:
        _client().delete(_flag(task, lane))
    except redis.RedisError:
        log.warning("could not take down a bell's flag", extra={"lane": lane})


def waiting(lanes: Sequence[str]) -> int | None:
    """How many bells of these lanes no worker has heard yet; None when Redis does not answer."""
    try:
        pipe = _client().pipeline(transaction=False)
        for lane in lanes:
            pipe.llen(_queue(lane))
        return sum(pipe.execute())
    except redis.RedisError:
        return None


def _queue(lane: str) -> str:
    return f"{settings.REDIS_PREFIX}{lane}"


def _flag(task: str, lane: str) -> str:
    return f"{settings.REDIS_PREFIX}bell:{task}:{lane}"


def _enqueue(task: str, lane: str) -> None:
    if current_app.conf.task_always_eager:
        current_app.tasks[task].apply_async((lane,), queue=lane)
        return
    _ensure_publisher()
    try:
        _bells.put_nowait((task, lane))
    except queue.Full:
        log.warning("bell dropped, the sweeper will find the work", extra={"lane": lane})


def _ensure_publisher() -> None:
    """Start the publishing thread, once in each process (threads do not survive a fork)."""
    global _publisher
    if _publisher and _publisher[0] == os.getpid() and _publisher[1].is_alive():
        return
    with _lock:
        if _publisher and _publisher[0] == os.getpid() and _publisher[1].is_alive():
            return
        thread = threading.Thread(target=_publish_for_ever, name="bells", daemon=True)
        _publisher = (os.getpid(), thread)
        thread.start()


def _client() -> redis.Redis:
    client: redis.Redis | None = getattr(_state, "client", None)
    if client is None or _state.pid != os.getpid():
        client = redis.Redis.from_url(
            settings.REDIS_CLIENT_URL, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT
        )
        _state.client, _state.pid = client, os.getpid()
    return client


def _publish_for_ever() -> None:
    broken_until = 0.0
    while True:
        waiting = {_bells.get()}
        while not _bells.empty():  # Bells of one lane that came meanwhile are one bell.
            waiting.add(_bells.get())
        if time.monotonic() < broken_until:
            continue
        try:
            for task, lane in waiting:
                fault("publish")
                if not _client().set(_flag(task, lane), 1, nx=True, ex=BELL_SECONDS):
                    continue
                if int(_client().llen(_queue(lane))) < MAX_WAITING:  # type: ignore[arg-type]
                    _publish(task, lane)
        except Exception:  # Whatever Redis or kombu raise: a bell may be lost, the thread may not.
            broken_until = time.monotonic() + BREAK_SECONDS
            log.warning("Redis does not take bells, the sweeper will find the work", exc_info=True)


def _publish(task: str, lane: str) -> None:
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    if task not in app.tasks:
        app.loader.import_default_modules()  # Outside a worker nobody has imported the tasks yet.
    connection = getattr(_state, "connection", None)
    if connection is None:
        options = {
            **app.conf.broker_transport_options,
            "socket_timeout": TIMEOUT,
            "socket_connect_timeout": TIMEOUT,
        }
        connection = _state.connection = app.connection_for_write(transport_options=options)
    try:
        arguments = () if task == SWEEP_TASK else (lane,)
        app.tasks[task].apply_async(arguments, queue=lane, connection=connection, retry=False)
    except BaseException:
        connection.release()
        _state.connection = None
        raise
