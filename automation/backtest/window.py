"""The stored events that a backtest asks about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from django.db import connection

from automation.engine.types import Event
from automation.selectors import EVENT_COLUMNS, decoded

HISTORY_ROWS = 200_000  # Read at once for a group of customers.


class Entry(NamedTuple):
    """One event that the trigger listens to."""

    event: Event
    is_late: bool


_context = lru_cache(maxsize=5000)(decoded)  # One browser sends the same context with all its events.


def _event(row: tuple[Any, ...]) -> Event:
    data, context = decoded(row[6]), _context(row[7])
    return Event(row[0], row[1], row[2], row[3], row[4], row[5], data, context, row[8], row[9])


def _bare_event(row: tuple[Any, ...]) -> Event:
    return Event(row[0], row[1], row[2], row[3], row[4], row[5], decoded(row[6]))


def entries(names: Collection[str], since: datetime, until: datetime, limit: int | None) -> list[Entry]:
    """The newest `limit` events of these names ({"*"}: of all) in [since, until], ascending; imports fire nothing."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {EVENT_COLUMNS}, e.is_late FROM automation_event e"
            " WHERE e.occurred_at BETWEEN %(since)s AND %(until)s AND NOT e.is_import"
            + ("" if "*" in names else " AND e.name = ANY(%(names)s)")
            + " ORDER BY e.occurred_at DESC"
            + ("" if limit is None else " LIMIT %(limit)s"),
            {"since": since, "until": until, "names": sorted(names), "limit": limit},
        )
        found = [Entry(_event(row), row[-1]) for row in cursor.fetchall()]
    found.sort(key=lambda entry: (entry.event.occurred_at, entry.event.message_id, entry.event.id))
    return found


def entry(event_id: int, first: datetime, last: datetime) -> Entry | None:
    """One event by its id; `first` and `last` bound its time."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {EVENT_COLUMNS}, e.is_late FROM automation_event e"
            " WHERE e.id = %s AND e.occurred_at BETWEEN %s AND %s",
            [event_id, first, last],
        )
        row = cursor.fetchone()
    return Entry(_event(row), row[-1]) if row else None


def histories(
    profile_ids: Collection[int],
    names: Collection[str] | None,
    since: datetime,
    until: datetime,
    *,
    has_context: bool = True,
) -> dict[int, list[Event]]:
    """For each profile its stored events of `names` (None: of all) in [since, until], ascending.

    At most HISTORY_ROWS altogether, the newest: what is older is then not known. Without `has_context` they come
    without context and session.
    """
    event_of = _event if has_context else _bare_event
    found: dict[int, list[Event]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {EVENT_COLUMNS} FROM automation_event e WHERE e.profile_id = ANY(%(ids)s)"
            " AND e.occurred_at BETWEEN %(since)s AND %(until)s"
            # Not a bare `e.name`: PostgreSQL would rather read the events of that name of all customers.
            + ("" if names is None else " AND (e.name || '') = ANY(%(names)s)")
            + " ORDER BY e.occurred_at DESC LIMIT %(limit)s",
            {
                "ids": list(profile_ids),
                "names": sorted(names or ()),
                "since": since,
                "until": until,
                "limit": HISTORY_ROWS,
            },
        )
        for row in cursor.fetchall():
            found[row[3]].append(event_of(row))
    for history in found.values():
        history.sort(key=lambda event: event.order)
    return found
