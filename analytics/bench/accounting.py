"""Whether every event is accounted for exactly once. Without that no speed is printed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from analytics.bench.errors import AccountError
from analytics.bench.reference import Reference
from analytics.bench.workload import Item, Moments

Sent = tuple[Sequence[Item], Moments]
SCOPE = "bench"  # WriteKey.source: the scope of the message ids.
_STORED = """
SELECT count(*), count(e.id), count(DISTINCT e.id) FROM automation_messagekey k
LEFT JOIN automation_event e ON e.id = k.event_id AND e.message_id = k.message_id AND e.occurred_at >= %s
WHERE k.source = %s AND k.message_id = ANY(%s)
"""
_FIRED = """
SELECT t.key, e.message_id FROM automation_execution x JOIN automation_trigger t ON t.id = x.trigger_id
JOIN automation_event e ON e.id = x.event_id AND e.occurred_at = x.event_at
WHERE x.status <> 'suppressed' AND x.event_at BETWEEN %s AND %s
"""
_HELD = """
SELECT t.key, sum(x.held_count)::bigint FROM automation_execution x JOIN automation_trigger t ON t.id = x.trigger_id
WHERE x.status = 'suppressed' GROUP BY t.key
"""


def waiting(cursor: Any) -> bool:
    """Whether the queue still holds an event."""
    cursor.execute("SELECT EXISTS (SELECT FROM automation_queuedevent)")
    return bool(cursor.fetchone()[0])


def stored(cursor: Any, items: Sequence[Item], when: Moments) -> None:
    """Each event that was answered for is in the table once, under its own key. Raises AccountError."""
    ids = [when.message_id(item.number) for item in items]
    cursor.execute(_STORED, [when.first, SCOPE, ids])
    keys, rows, distinct = cursor.fetchone()
    if not keys == rows == distinct == len(items):
        raise AccountError(f"{len(items)} events sent: {keys} keys, {rows} rows, {distinct} distinct rows")


def settle(cursor: Any, sent: Sequence[Sent], reference: Reference) -> None:
    """Each event was decided once and what fired is what the reference says. Raises AccountError.

    `sent` are the events since the last time, in order; `reference` has followed this database from its first
    event on.
    """
    expected: set[tuple[str, str]] = set()
    for items, when in sent:
        stored(cursor, items, when)
        expected |= reference.decide(items, when)
    numbers = {
        "left in the queue": ("SELECT count(*) FROM automation_queuedevent", 0),
        "in quarantine": ("SELECT count(*) FROM automation_quarantinedevent", 0),
        "decided": (
            "SELECT coalesce(sum(count), 0) FROM automation_tally WHERE kind = 'events'",
            reference.events,
        ),
        "in the outbox": ("SELECT count(DISTINCT execution_id) FROM automation_delivery", reference.fired),
        "outbox rows": ("SELECT count(*) FROM automation_delivery", reference.fired),
    }
    for what, (query, number) in numbers.items():
        cursor.execute(query)
        found = int(cursor.fetchone()[0])
        if found != number:
            raise AccountError(f"{found} {what}, expected {number}")
    moments_sent = [when.at(items[place].number) for items, when in sent for place in (0, -1)]
    cursor.execute(_FIRED, [min(moments_sent), max(moments_sent)])
    rows = cursor.fetchall()
    if Counter(rows) != Counter(expected):
        raise AccountError(_difference("fired", set(rows), expected, len(rows)))
    cursor.execute(_HELD)
    held = Counter({key: int(count) for key, count in cursor.fetchall()})
    if held != reference.held:
        raise AccountError(f"held back {dict(held)}, expected {dict(reference.held)}")


def _difference(what: str, found: set[tuple[str, str]], expected: set[tuple[str, str]], rows: int) -> str:
    more, less = sorted(found - expected)[:3], sorted(expected - found)[:3]
    return f"{what}: {rows} rows, expected {len(expected)}; not expected {more}, missing {less}"
