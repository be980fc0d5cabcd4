"""From the database to frozen data: events, histories, and what the judge knows of a customer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from django.db import connection

from automation.engine.types import Event, Sent

decoded = msgspec.json.Decoder().decode
EVENT_COLUMNS = (
    "e.id, e.message_id, e.name, e.profile_id, e.occurred_at, e.received_at, e.data::text, e.context::text,"
    " e.session_id, e.source"
)
MAX_SENDS = 200  # Newest reservations loaded for each customer; more than any sensible cap counts.


def event_of(row: tuple[Any, ...]) -> Event:
    """The frozen event of a row of EVENT_COLUMNS."""
    return Event(
        row[0], row[1], row[2], row[3], row[4], row[5], decoded(row[6]), decoded(row[7]), row[8], row[9]
    )


def events(ids: Collection[int], first: datetime, last: datetime) -> dict[int, Event]:
    """Events by id; `first` and `last` bound their time, so that only their partitions are read."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {EVENT_COLUMNS} FROM automation_event e"
            " WHERE e.id = ANY(%s) AND e.occurred_at BETWEEN %s AND %s",
            [list(ids), first, last],
        )
        return {row[0]: event_of(row) for row in cursor.fetchall()}


def histories(
    profile_ids: Collection[int],
    names: Collection[str] | None,
    first: datetime,
    last: datetime,
    limit: int,
) -> dict[int, list[Event]]:
    """For each profile its newest `limit` events of each of `names` (None: of all) in [first, last], in order.

    One query serves every look-back of a batch. The limit is per name, so that many page views do not push
    the one purchase out of sight.
    """
    found: dict[int, list[Event]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {EVENT_COLUMNS} FROM unnest(%(ids)s::bigint[]) AS p(id)"
            + ("" if names is None else " CROSS JOIN unnest(%(names)s::text[]) AS n(name)")
            + " CROSS JOIN LATERAL (SELECT * FROM automation_event e WHERE e.profile_id = p.id"
            "  AND e.occurred_at BETWEEN %(first)s AND %(last)s"
            # Not a bare `e.name`: before a new month has statistics, PostgreSQL would read the events of that
            # name of all customers (56 µs an event instead of 2).
            + ("" if names is None else " AND (e.name || '') = n.name")
            + "  ORDER BY e.occurred_at DESC LIMIT %(limit)s) e",
            {
                "ids": list(profile_ids),
                "first": first,
                "last": last,
                "names": list(names or ()),
                "limit": limit,
            },
        )
        for row in cursor.fetchall():
            found[row[3]].append(event_of(row))
    for history in found.values():
        history.sort(key=lambda event: event.order)
    return found


class FiredRow(NamedTuple):
    """How a trigger fired for a customer so far, and the hold that repeats are collapsed into."""

    last_at: datetime | None
    times: int
    recent: list[str]
    by_key: dict[str, str]
    hold_reason: str
    hold_execution_id: int | None
    hold_decided_at: datetime | None


def fired(profile_ids: Collection[int], trigger_ids: Collection[int]) -> dict[int, dict[int, FiredRow]]:
    """For each profile: trigger id -> its state row."""
    found: dict[int, dict[int, FiredRow]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT profile_id, trigger_id, last_at, count, recent::text, by_key::text, hold_reason,"
            " hold_execution_id, hold_decided_at FROM automation_triggerstate"
            " WHERE profile_id = ANY(%s) AND trigger_id = ANY(%s)",
            [list(profile_ids), list(trigger_ids)],
        )
        for row in cursor.fetchall():
            found[row[0]][row[1]] = FiredRow(row[2], row[3], decoded(row[4]), decoded(row[5]), *row[6:])
    return found


def sends(profile_ids: Collection[int], keys: Mapping[int, str]) -> dict[int, tuple[Sent, ...]]:
    """For each profile its newest reservations, newest first; `keys` names the triggers by id."""
    found: dict[int, list[Sent]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.profile_id, r.reserved_at, r.channel, r.message_class, r.trigger_id"
            " FROM unnest(%s::bigint[]) AS p(id) CROSS JOIN LATERAL ("
            "  SELECT * FROM automation_sendreservation WHERE profile_id = p.id"
            "  ORDER BY reserved_at DESC LIMIT %s) r",
            [list(profile_ids), MAX_SENDS],
        )
        for profile_id, at, channel, message_class, trigger_id in cursor.fetchall():
            found[profile_id].append(Sent(at, channel, message_class, keys.get(trigger_id, "")))
    return {profile_id: tuple(rows) for profile_id, rows in found.items()}


def decided(keys: Iterable[tuple[int, int, str]]) -> set[tuple[int, int, str]]:
    """Those of (profile, trigger, dedupe key) that have an execution already."""
    profiles, triggers, texts = zip(*keys, strict=True) if keys else ((), (), ())
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT k.profile_id, k.trigger_id, k.dedupe_key FROM automation_executionkey k"
            " JOIN unnest(%s::bigint[], %s::bigint[], %s::text[]) AS w(profile_id, trigger_id, dedupe_key)"
            " USING (profile_id, trigger_id, dedupe_key)",
            [list(profiles), list(triggers), list(texts)],
        )
        return set(cursor.fetchall())


def fired_this_hour(trigger_ids: Collection[int], hour: datetime) -> dict[int, int]:
    """Executions that fired since `hour`, for the blast guard."""
    if not trigger_ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT trigger_id, sum(count)::bigint FROM automation_tally WHERE kind = 'executions'"
            " AND hour = %s AND label = 'fired' AND trigger_id = ANY(%s) GROUP BY trigger_id",
            [hour, list(trigger_ids)],
        )
        return dict(cursor.fetchall())
