"""What a worker's watch asks the database: who swept last, what waits too long, whose clock is wrong.

The rows are heartbeats without events. Each belongs to a database session, so those of the dead disappear with
the next sweep.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from automation.engine.types import Priority
from automation.pipeline.delivery_rows import DEATHS

SWEEP = "sweep"  # Names of heartbeats that no worker has.
WATCH = "watch "
SKEW = "clock "
NO_LANE = 0


class Seen(NamedTuple):
    """One look."""

    at: datetime  # By PostgreSQL's clock.
    sweep_age: float | None  # Seconds since the last whole sweep; None when none is known.
    events: tuple[str, ...]  # Lanes whose due events, or waiting executions, are overdue.
    deliveries: tuple[str, ...]  # Lanes whose due deliveries are.
    calling: tuple[str, ...]  # Processes of one pool that are in the middle of a call, by name.


class Health(NamedTuple):
    """What the rows of all watches say."""

    watches: int  # Workers whose watch looked lately.
    skewed: tuple[str, ...]  # Those whose machine has another time than PostgreSQL.
    swept_at: datetime | None
    sweep_age: float | None


_HEALTH = """
SELECT count(*) FILTER (WHERE starts_with(worker, %(watch)s) AND at > now() - %(fresh)s * interval '1 second'),
  coalesce(array_agg(substr(worker, length(%(skew)s) + 1) ORDER BY worker) FILTER (
    WHERE starts_with(worker, %(skew)s) AND at > now() - %(fresh)s * interval '1 second'), '{}'),
  max(at) FILTER (WHERE worker = %(sweep)s),
  extract(epoch FROM now() - max(at) FILTER (WHERE worker = %(sweep)s))::float8
FROM automation_heartbeat
"""
_NOTE = """
INSERT INTO automation_heartbeat (worker, lane, event_ids, backend_pid, at)
VALUES (%s, 0, '[]', pg_backend_pid(), now())
ON CONFLICT (worker) DO UPDATE SET backend_pid = excluded.backend_pid, at = excluded.at
"""
_LOOK = """
SELECT clock_timestamp(),
  (SELECT extract(epoch FROM now() - at)::float8 FROM automation_heartbeat WHERE worker = %(sweep)s),
  ARRAY(SELECT l FROM unnest(%(lanes)s::smallint[]) AS l WHERE
    EXISTS (SELECT FROM automation_queuedevent WHERE lane = l AND due_at <= now() - %(age)s * interval '1 second')
    OR EXISTS (SELECT FROM automation_execution WHERE lane = l AND status = 'pending'
      AND due_at <= now() - %(age)s * interval '1 second')),
  ARRAY(SELECT l FROM unnest(%(lanes)s::smallint[]) AS l WHERE
    EXISTS (SELECT FROM automation_delivery WHERE lane = l AND status = 'pending'
      AND due_at <= now() - %(age)s * interval '1 second' AND (lease_until IS NULL OR lease_until < now()))),
  ARRAY(SELECT DISTINCT worker FROM automation_delivery
    WHERE status = 'sending' AND starts_with(worker, %(pool)s))
"""


def note(name: str) -> None:
    """It lives, by PostgreSQL's clock. Need not be on disk, so nobody waits for that."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")
        cursor.execute(_NOTE, [name[:100]])


def forget(name: str) -> None:
    """It does not hold any more."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM automation_heartbeat WHERE worker = %s", [name[:100]])


def look(lanes: Sequence[Priority], *, age: float, pool: str) -> Seen:
    """What has been due for more than `age` seconds on these lanes, and who of `pool` (`host:pid/`) is calling."""
    values: dict[str, Any] = {
        "sweep": SWEEP,
        "lanes": [int(lane) for lane in lanes],
        "age": age,
        "pool": pool,
    }
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, values)
        at, sweep_age, events, deliveries, calling = cursor.fetchone()
    return Seen(at, sweep_age, _names(events), _names(deliveries), tuple(calling))


def _names(lanes: Sequence[int]) -> tuple[str, ...]:
    return tuple(Priority(lane).lane for lane in sorted(lanes))


def health() -> Health:
    """For metrics and health pages; a watch is fresh for three of its intervals."""
    values = {"watch": WATCH, "skew": SKEW, "sweep": SWEEP, "fresh": 3 * settings.SWEEP_SECONDS}
    with connection.cursor() as cursor:
        cursor.execute(_HEALTH, values)
        watches, skewed, swept_at, age = cursor.fetchone()
    return Health(watches, tuple(skewed), swept_at, age)


def blame(workers: Sequence[str]) -> list[UUID]:
    """These processes died: each takes with it the call it was making. Their leases end now.

    For processes whose parent lives, so that nothing is blamed for the end of a whole worker; returns the
    deliveries that were blamed.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE automation_delivery SET lease_until = now() - interval '1 second', result = jsonb_set(result,"
            f" '{{worker_deaths}}', to_jsonb({DEATHS} + 1))"
            # Once for each death: a lease that has ended waits for the sweep and is not blamed again.
            " WHERE status = 'sending' AND worker = ANY(%s) AND lease_until > now() RETURNING id",
            [list(workers)],
        )
        return [id for (id,) in cursor.fetchall()]
