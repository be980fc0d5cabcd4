"""Take events out of the queue: a batch of one lane, in order for each customer, safe against crashes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection, transaction

from automation.engine.types import Event, Priority
from automation.models.events import SHARDS
from automation.pipeline.consent import STATE_EVENTS
from automation.selectors import EVENT_COLUMNS, event_of
from profiles.prepared import Prepared

_LOCK = 7_100_000  # Advisory lock space of (lane, shard).

# Waiting shards in rotating order; this worker takes its share of the free ones, each gives its oldest rows.
# Nothing overtakes an older event of the same customer that says who they are or what they agreed to,
# whatever the lanes: its row is there until the transaction that applies it has committed. One that failed twice does
# not hold the others up.
# Rows that failed before are suspects: they come one at a time, so that they take nobody down with them.
_PEEK = Prepared(
    "peek_events",
    ("int", "int", "int", "int"),
    f"""
WITH candidate AS MATERIALIZED (
  SELECT s FROM generate_series(0, {SHARDS - 1}) AS s
  WHERE EXISTS (SELECT FROM automation_queuedevent WHERE lane = $1 AND shard = s)
  ORDER BY (s + $4) % {SHARDS}
), shard AS MATERIALIZED (
  SELECT s FROM candidate WHERE pg_try_advisory_xact_lock({_LOCK} + $1, s)
  LIMIT (SELECT 1 + (count(*) - 1) / $3 FROM candidate)
)
SELECT q.ctid::text, q.event_id, q.shard, q.is_suspect FROM shard CROSS JOIN LATERAL (
  SELECT ctid, event_id, shard, occurred_at, worker_deaths > 0 OR data_failures > 0 AS is_suspect
  FROM automation_queuedevent w
  WHERE lane = $1 AND shard = shard.s AND due_at <= now() AND (is_state OR NOT EXISTS (
    SELECT FROM automation_queuedevent f
    WHERE f.is_state AND f.data_failures < 2 AND f.profile_id = w.profile_id AND f.occurred_at <= w.occurred_at))
  ORDER BY occurred_at, event_id
  LIMIT greatest(1, $2 / (SELECT count(*) FROM shard))
) q
""",
)
# Also says whether some other worker died with a batch in its hands.
_BEAT = """
INSERT INTO automation_heartbeat AS h (worker, lane, event_ids, backend_pid, at)
VALUES (%s, %s, %s::jsonb, pg_backend_pid(), now())
ON CONFLICT (worker) DO UPDATE SET lane = excluded.lane, event_ids = excluded.event_ids,
  backend_pid = excluded.backend_pid, at = excluded.at
RETURNING EXISTS (SELECT FROM automation_heartbeat o WHERE o.event_ids <> '[]' AND o.worker <> h.worker
  AND NOT EXISTS (SELECT FROM pg_stat_get_activity(o.backend_pid)))
"""
# The rows are deleted in the transaction that decides them; a crash brings them back.
_TAKE = Prepared(
    "take_events",
    ("int[]", "int", "tid[]", "bigint[]"),
    f"""
WITH shard AS MATERIALIZED (
  SELECT s FROM unnest($1) AS s WHERE pg_try_advisory_xact_lock({_LOCK} + $2, s)
), taken AS (
  DELETE FROM automation_queuedevent WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM automation_queuedevent WHERE ctid = ANY($3) AND event_id = ANY($4)
      AND shard IN (SELECT s FROM shard) FOR UPDATE SKIP LOCKED))
  RETURNING event_id, profile_id, occurred_at
)
SELECT {EVENT_COLUMNS}, t.profile_id, e.is_late, e.is_import
FROM taken t LEFT JOIN automation_event e ON e.id = t.event_id AND e.occurred_at = t.occurred_at
""",
)


class Batch(NamedTuple):
    """Queue rows that a worker is about to decide."""

    lane: Priority
    places: Sequence[str]  # ctids
    ids: Sequence[int]
    shards: Sequence[int]
    is_after_death: bool = False  # A worker died, and nobody has counted that yet: perhaps of one of these.

    def half(self, which: slice) -> Batch:
        return Batch(self.lane, self.places[which], self.ids[which], self.shards[which])


class Claimed(NamedTuple):
    """One event out of the queue."""

    event: Event
    profile_id: int  # Of the queue row; the profile may have been joined to another since.
    is_late: bool
    is_import: bool


def peek(lane: Priority, *, limit: int, worker: str) -> Batch | None:
    """Choose the next batch of a lane and commit, in a heartbeat, what this worker is about to try.

    The heartbeat need not be on disk: it only has to outlive this process, so its commit does not wait.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")
        _PEEK.execute(cursor, [int(lane), limit, settings.LANE_SHARERS, random.randrange(SHARDS)])
        rows = cursor.fetchall()
        suspects = [row for row in rows if row[3]]
        rows = suspects[:1] if suspects else rows
        if not rows:
            return None
        places, ids, shards, _ = zip(*rows, strict=True)
        cursor.execute(_BEAT, [worker, int(lane), f"[{','.join(map(str, ids))}]"])
        (is_after_death,) = cursor.fetchone()
    return Batch(lane, places, ids, shards, is_after_death)


def take(batch: Batch) -> list[Claimed]:
    """Remove the rows of `batch` from the queue, in this transaction; those that others took are left out."""
    with connection.cursor() as cursor:
        places, ids = list(batch.places), list(batch.ids)
        _TAKE.execute(cursor, [sorted(set(batch.shards)), int(batch.lane), places, ids])
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return [Claimed(event_of(row), row[-3], row[-2], row[-1]) for row in rows if row[0] is not None]


def moment() -> datetime:
    """PostgreSQL's clock at this very moment: decisions never read this machine's (R-023)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
        return now


def finish(worker: str) -> None:
    """In the deciding transaction: this worker tries nothing any more."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE automation_heartbeat SET event_ids = '[]', at = now() WHERE worker = %s", [worker]
        )


def put_back(moved: Sequence[tuple[int, int, datetime]], lane: Priority) -> None:
    """Return events (id, profile that owns them now, occurred_at) to the queue, in this transaction."""
    if not moved:
        return
    ids, profiles, times = (list(column) for column in zip(*moved, strict=True))
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH moved AS (SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[]) AS m(id, owner, at)),"
            " event AS (UPDATE automation_event e SET profile_id = m.owner FROM moved m"
            "  WHERE e.id = m.id AND e.occurred_at = m.at)"
            " INSERT INTO automation_queuedevent (event_id, profile_id, lane, shard, occurred_at, is_state,"
            " accepted_at)"
            f" SELECT m.id, owner, %s, owner %% {SHARDS}, m.at, e.name = ANY(%s) AND NOT e.is_import, e.received_at"
            " FROM moved m JOIN automation_event e ON e.id = m.id AND e.occurred_at = m.at",
            [ids, profiles, times, int(lane), sorted(STATE_EVENTS)],
        )
