"""The system strip: each lane against its deadline, workers, the last beat, what is stuck."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection
from redis.exceptions import RedisError

from automation.engine.types import Priority
from automation.metrics import Latency, lane_latency
from automation.outages import Outages
from automation.pipeline import lookout

COUNTED = 1000  # Nothing is counted further than this.
NAMED = 5  # Destinations that are named.

_STUCK = """
SELECT
  (SELECT count(*) FROM (SELECT FROM automation_quarantinedevent WHERE state = 'held' LIMIT %(limit)s) q),
  (SELECT count(*) FROM (SELECT FROM automation_delivery WHERE status = 'uncertain' LIMIT %(limit)s) d),
  (SELECT max(last_run_at) FROM django_celery_beat_periodictask WHERE enabled),
  (SELECT count(*) > 0 FROM automation_heartbeat AS h JOIN pg_stat_activity AS a ON a.pid = h.backend_pid
   WHERE a.backend_start < now() - interval '2 minutes')
"""
# The index of the queue begins with the lane, so the count is bounded; the oldest is the oldest of those counted.
_LANES = """
SELECT l, (SELECT count(*) FROM (SELECT FROM automation_queuedevent WHERE lane = l LIMIT %s) q),
  (SELECT extract(epoch FROM now() - min(accepted_at))::float8 FROM (
    SELECT accepted_at FROM automation_queuedevent WHERE lane = l LIMIT %s) q)
FROM unnest(%s::smallint[]) AS l
"""


class Lane(NamedTuple):
    """One lane's queue."""

    name: str
    waiting: int
    age: timedelta  # Of the oldest event that waits.
    deadline: timedelta
    p95_ms: float | None  # From accept to decision in the last hours; None: nothing was decided.

    @property
    def is_late(self) -> bool:
        """Whether its oldest event has waited longer than it may; a critical one has five seconds."""
        return self.age > max(self.deadline, timedelta(seconds=5))


class System(NamedTuple):
    """How the machinery is."""

    lanes: tuple[Lane, ...]
    workers: int
    beat_at: datetime | None
    quarantined: int
    uncertain: int
    open: tuple[str, ...]  # Destinations that are left alone because they do not answer.
    is_redis_up: bool
    is_starting: bool  # No worker has been there for two minutes: beat need not have run yet.


def system(now: datetime) -> System:
    """Four queries, each bounded, and one look at Redis."""
    latency: dict[str, Latency] = lane_latency(now - timedelta(hours=1))
    with connection.cursor() as cursor:
        cursor.execute(_STUCK, {"limit": COUNTED})
        quarantined, uncertain, beat_at, is_settled = cursor.fetchone()
        cursor.execute(_LANES, [COUNTED, COUNTED, [int(priority) for priority in Priority]])
        found = {lane: (count, age or 0.0) for lane, count, age in cursor.fetchall()}
    lanes = tuple(
        Lane(
            priority.lane,
            found[int(priority)][0],
            timedelta(seconds=round(max(found[int(priority)][1], 0))),
            priority.deadline,
            latency[priority.lane]["p95_ms"] if priority.lane in latency else None,
        )
        for priority in Priority
    )
    try:
        destinations, is_up = tuple(Outages().known(NAMED)), True
    except RedisError:
        destinations, is_up = (), False
    return System(
        lanes, lookout.health().watches, beat_at, quarantined, uncertain, destinations, is_up, not is_settled
    )
