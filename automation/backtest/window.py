"""The stored events that a backtest asks about."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from automation.engine.types import Event
from automation.selectors import EVENT_COLUMNS, event_of


class Entry(NamedTuple):
    """One event that the trigger listens to."""

    event: Event
    is_late: bool


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
        found = [Entry(event_of(row), row[-1]) for row in cursor.fetchall()]
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
    return Entry(event_of(row), row[-1]) if row else None
