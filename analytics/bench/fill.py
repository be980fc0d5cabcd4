"""Fill a database, server-side: customers who agreed to marketing, and events of the past."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg2.errors

from analytics.bench.workload import Stream, moments
from automation.engine.types import Event
from automation.models.partitioned import month_start
from profiles.behavior import EMPTY, apply

PAST_DAYS = 30
# Nothing that a condition looks back for: the past is to be read, and to decide nothing.
PAST_NAMES = ["page_view", "add_to_cart", "checkout_started", "wishlist_added", "review_posted"]
PAST_EVENTS = 25  # Of each customer; they make its patterns as large as those of a regular one.
# What one repetition writes; customers are written anew, so that each repetition begins alike.
WRITTEN = (
    "automation_event, automation_messagekey, automation_queuedevent, automation_quarantinedevent,"
    " automation_execution, automation_executionkey, automation_triggerstate, automation_sendreservation,"
    " automation_delivery, automation_tally, automation_misssample, automation_catalogueentry,"
    " automation_heartbeat"
)
_CUSTOMERS = """
WITH p AS (
  INSERT INTO profiles_profile (customer_id, email, first_name, behavioral_patterns, first_seen, last_activity,
    engagement_value, engagement_at, behavior_segment)
  SELECT 'customer_' || lpad(n::text, 7, '0'), 'customer_' || n || '@example.com', 'Ada', %(patterns)s,
    %(seen)s, %(seen)s, 0.5, %(seen)s, 'active'
  FROM generate_series(%(first)s, %(last)s) AS n ORDER BY n RETURNING id, customer_id
), i AS (
  INSERT INTO profiles_identity (kind, value, profile_id) SELECT 'customer', customer_id, id FROM p
)
INSERT INTO profiles_consent (profile_id, topic, channel, is_granted, source, recorded_at)
SELECT id, 'marketing', 'email', true, 'bench', %(seen)s FROM p
"""
_PAST = """
INSERT INTO {table} (id, message_id, profile_id, name, original_name, data, context, session_id, source, occurred_at,
  received_at, client_ts, is_late, is_import, is_skewed)
SELECT nextval('automation_event_id_seq'), 'past-' || n, 1 + n %% %(customers)s,
  (%(names)s::text[])[1 + n %% cardinality(%(names)s::text[])], '', %(data)s::jsonb, %(context)s::jsonb,
  'session_' || n %% 9973, 'website', %(end)s - n * %(step)s, %(end)s - n * %(step)s, '', false, false, false
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
"""
_PAST_KEYS = """
INSERT INTO automation_messagekey (source, message_id, event_id, body_hash, created_at)
SELECT 'bench', message_id, id, decode(md5(message_id), 'hex'), received_at FROM automation_event
"""
_CONTEXT = b'{"device":{"type":"desktop","os":"Windows","browser":"Chrome"},"page_url":"https://example.com/checkout"}'


def customers(cursor: Any, count: int, *, first: int = 0) -> None:
    """`count` customers from number `first` on, each with an address, a word on marketing and some past."""
    cursor.execute(
        _CUSTOMERS,
        {
            "first": first,
            "last": first + count - 1,
            "patterns": typical_patterns().decode(),
            "seen": datetime.now(UTC) - timedelta(days=20),
        },
    )


def reset(cursor: Any, count: int) -> None:
    """Back to `count` customers and nothing that ever happened.

    A sweep that is under way may hold one of the tables and wait for another; then it is tried again.
    """
    for tries_left in (2, 1, 0):
        try:
            cursor.execute(f"TRUNCATE {WRITTEN}, profiles_profile RESTART IDENTITY CASCADE")
            break
        except psycopg2.errors.DeadlockDetected:
            if not tries_left:
                raise
    customers(cursor, count)
    cursor.execute("ANALYZE profiles_profile, profiles_identity, profiles_consent")


def forget_events(cursor: Any) -> None:
    """Back to nothing that ever happened, for a database in which nothing was decided."""
    cursor.execute(f"TRUNCATE {WRITTEN} RESTART IDENTITY CASCADE")


def typical_patterns() -> bytes:
    """The patterns of a customer who has done PAST_EVENTS things, as JSON."""
    stream = Stream(PAST_EVENTS, 1)
    when = moments("past", stream.count, datetime.now(UTC) - timedelta(days=20))
    state: Any = EMPTY
    for item in stream.items():
        at = when.at(item.number)
        event = Event(
            item.number, when.message_id(item.number), item.name, 1, at, at, item.data, session_id="s"
        )
        state = apply(state, event)
    return msgspec.json.encode(state["patterns"])


def past_events(cursor: Any, count: int, customers_count: int) -> None:
    """`count` events spread over the last 30 days and all customers, as if they had come one by one.

    Each month's rows go into a table of its own that then takes the partition's place: indexes are built once.
    """
    now = datetime.now(UTC)
    end = now - timedelta(minutes=10)
    step = timedelta(days=PAST_DAYS) / count
    item = Stream(1, 1).items()[0]
    values = {
        "customers": customers_count,
        "names": PAST_NAMES,
        "data": msgspec.json.encode(item.data).decode(),
        "context": _CONTEXT.decode(),
        "end": end,
        "step": step,
    }
    cursor.execute("SET maintenance_work_mem = '512MB'")
    start, until = month_start(now), 0
    while until < count:
        last = min(count - 1, int((end - start) / step)) if start <= end else -1
        if last >= until:
            _past_month(cursor, start, {**values, "first": until, "last": last})
            until = last + 1
        start = month_start(start, -1)
    _past_keys(cursor)
    cursor.execute("ANALYZE automation_event")


def _past_keys(cursor: Any) -> None:
    """The message keys of the past, with their unique index built once."""
    cursor.execute(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = 'automation_messagekey'::regclass AND contype = 'p'"
    )
    name, definition = cursor.fetchone()
    cursor.execute(f"ALTER TABLE automation_messagekey DROP CONSTRAINT {name}")
    cursor.execute(_PAST_KEYS)
    cursor.execute(f"ALTER TABLE automation_messagekey ADD CONSTRAINT {name} {definition}")
    cursor.execute("VACUUM (ANALYZE) automation_messagekey")


def _past_month(cursor: Any, start: datetime, values: dict[str, Any]) -> None:
    partition = f"automation_event_{start:%Y_%m}"
    cursor.execute("CREATE TABLE bench_past (LIKE automation_event INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
    cursor.execute(_PAST.format(table="bench_past"), values)
    cursor.execute(f"DROP TABLE {partition}")
    cursor.execute(f"ALTER TABLE bench_past RENAME TO {partition}")
    cursor.execute(
        f"ALTER TABLE automation_event ATTACH PARTITION {partition} FOR VALUES FROM (%s) TO (%s)",
        [start, month_start(start, 1)],
    )
    # A table that grew row by row has been vacuumed and has its hint bits: so shall this one.
    cursor.execute(f"VACUUM (ANALYZE) {partition}")
