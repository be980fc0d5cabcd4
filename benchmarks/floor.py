"""The floor: bare SQL that writes the rows which must be on disk in the end, on one connection, without any logic.

The rows are copied from a database in which the product has just decided a stream, so that the floor writes
the same columns with the same values: message keys, events, the profiles as they became, executions with their keys,
suppression states, outbox and reservations. A batch is one transaction; each table gets one statement with one
JSON parameter, encoded beforehand. What the product writes besides (queue, counters, samples) is left out.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

# Tables of a batch: name, how its rows are found from the batch's events (%s: ids), conflict clause.
_EVENTS = "automation_event"
_OF_EVENTS = "SELECT x.id FROM automation_execution x WHERE x.event_id = ANY(%(ids)s)"
_SOURCES: tuple[tuple[str, str], ...] = (
    ("automation_messagekey", "SELECT * FROM automation_messagekey WHERE event_id = ANY(%(ids)s)"),
    (_EVENTS, "SELECT * FROM automation_event WHERE id = ANY(%(ids)s)"),
    ("automation_execution", "SELECT * FROM automation_execution WHERE event_id = ANY(%(ids)s)"),
    (
        "automation_executionkey",
        f"SELECT * FROM automation_executionkey WHERE execution_id IN ({_OF_EVENTS})",
    ),
    (
        "automation_triggerstate",
        "SELECT s.* FROM automation_triggerstate s JOIN (SELECT DISTINCT profile_id, trigger_id FROM"
        " automation_execution WHERE event_id = ANY(%(ids)s)) x USING (profile_id, trigger_id)",
    ),
    ("automation_delivery", f"SELECT * FROM automation_delivery WHERE execution_id IN ({_OF_EVENTS})"),
    (
        "automation_sendreservation",
        f"SELECT * FROM automation_sendreservation WHERE execution_id IN ({_OF_EVENTS})",
    ),
)
_PROFILES = (
    "SELECT * FROM profiles_profile WHERE id IN"
    " (SELECT profile_id FROM automation_event WHERE id = ANY(%(ids)s))"
)
# Written by the pipeline; names, consent and the like are not.
_PROFILE_COLUMNS = (
    "email, phone, first_name, last_name, locale, time_zone, time_zone_source, last_activity, first_seen,"
    " engagement_value, engagement_at, lifetime_value, orders_count, behavior_segment, traits, trait_stamps,"
    " behavioral_patterns, updated_at"
).split(", ")
_UPDATE = (
    "UPDATE profiles_profile p SET {sets} FROM json_populate_recordset(NULL::profiles_profile, %s::json) AS r"
    " WHERE p.id = r.id"
).format(sets=", ".join(f"{column} = r.{column}" for column in _PROFILE_COLUMNS))
_STATES = (
    " ON CONFLICT (profile_id, trigger_id) DO UPDATE SET last_at = excluded.last_at, count = excluded.count,"
    " recent = excluded.recent, by_key = excluded.by_key, hold_reason = excluded.hold_reason,"
    " hold_execution_id = excluded.hold_execution_id, hold_decided_at = excluded.hold_decided_at"
)


class Write(NamedTuple):
    """One statement and its JSON parameter."""

    statement: str
    rows: str


class Batch(NamedTuple):
    """What one transaction writes."""

    events: int
    writes: Sequence[Write]


def record(cursor: Any, size: int) -> list[Batch]:
    """Copy, out of a decided database, what batches of `size` events have to write."""
    cursor.execute("SELECT array_agg(id ORDER BY id) FROM automation_event")
    ids: list[int] = cursor.fetchone()[0] or []
    statements = {table: _insert(cursor, table) for table, _ in _SOURCES}
    return [_batch(cursor, ids[start : start + size], statements) for start in range(0, len(ids), size)]


def replay(connection: Any, batches: Sequence[Batch]) -> float:
    """Write the batches, each in a transaction of its own; returns the seconds. The connection is not autocommit."""
    started = time.perf_counter()
    for batch in batches:
        with connection.cursor() as cursor:
            for statement, rows in batch.writes:
                cursor.execute(statement, [rows])
        connection.commit()
    return time.perf_counter() - started


def _insert(cursor: Any, table: str) -> str:
    cursor.execute(
        "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''"
        " AND attidentity <> 'a'",
        [table],
    )
    columns = cursor.fetchone()[0]
    conflict = _STATES if table == "automation_triggerstate" else ""
    return (
        f"INSERT INTO {table} ({columns}) SELECT {columns}"
        f" FROM json_populate_recordset(NULL::{table}, %s::json){conflict}"
    )


def _batch(cursor: Any, ids: Sequence[int], statements: dict[str, str]) -> Batch:
    writes = []
    for table, source in _SOURCES:
        if rows := _rows(cursor, source, ids):
            writes.append(Write(statements[table], rows))
        if table == _EVENTS and (profiles := _rows(cursor, _PROFILES, ids)):
            writes.append(Write(_UPDATE, profiles))
    return Batch(len(ids), writes)


def _rows(cursor: Any, source: str, ids: Sequence[int]) -> str:
    cursor.execute(f"SELECT json_agg(r)::text FROM ({source}) r", {"ids": list(ids)})
    rows: str | None = cursor.fetchone()[0]
    return rows or ""
