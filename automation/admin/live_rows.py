"""The newest events for the live page: bounded queries along indexes, nothing counted that grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec
from django.db import connection

from automation.engine.types import Event
from automation.metrics import percentile
from automation.models import RejectedRequest
from profiles.admin.customers import profile_ids

ROWS: Final = 100  # At most in one answer.
LOOKED_AT: Final = (
    500  # Newest rows of one customer or one name, or newest decisions, among which rows are found.
)
REJECTED_SHOWN: Final = 20
RATE_SECONDS: Final = 30
SAMPLE_RATE: Final = 20.0  # Events a second above which a poll cannot show all of them.
_decode = msgspec.json.Decoder().decode
_COLUMNS: Final = (
    "id, name, original_name, profile_id, source, data::text, context::text, occurred_at, received_at, is_late,"
    " is_import, is_skewed, message_id, session_id"
)
# What a filter on the outcome means in statuses.
STATUSES: Final = {
    "fired": ("triggered", "processing", "pending"),
    "held": ("suppressed",),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the page shows; everything comes from its address."""

    show: str = "all"  # all, fired, held or rejected.
    customer: str = ""  # Exact id.
    name: str = ""  # Exact event name.
    before: int = 0  # Only older events than this id; 0: the newest.

    @classmethod
    def of(cls, query: Any) -> Wanted:
        """From a query string; what makes no sense is as if it were not there."""
        show, before = query.get("show", ""), query.get("before", "")
        return cls(
            show=show if show in ("fired", "held", "rejected") else "all",
            customer=_text(query.get("customer", ""), 200),
            name=_text(query.get("event", ""), 100),
            before=int(before) if before.isdecimal() and len(before) <= 18 else 0,
        )


def _text(typed: str, most: int) -> str:
    """Without NUL, which PostgreSQL refuses in any text."""
    return typed.replace("\0", "").strip()[:most]


class Row(NamedTuple):
    """One event as the page needs it."""

    id: int
    name: str
    original_name: str
    profile_id: int
    source: str
    data: Any
    context: Any
    occurred_at: datetime
    received_at: datetime
    is_late: bool
    is_import: bool
    is_skewed: bool
    message_id: str
    session_id: str

    @property
    def event(self) -> Event:
        """As the engine takes it."""
        return Event(
            self.id, self.message_id, self.name, self.profile_id, self.occurred_at, self.received_at,
            self.data, self.context, self.session_id, self.source,
        )  # fmt: skip


class Pulse(NamedTuple):
    """How busy it is."""

    per_second: float  # Over the last half minute.
    latency_ms: (
        float | None
    )  # Half of the newest events were decided within this time; None: nothing was decided.

    @property
    def is_sample(self) -> bool:
        """Whether more comes in than a poll shows."""
        return self.per_second > SAMPLE_RATE


def events(wanted: Wanted, *, after: int = 0, limit: int = ROWS) -> list[Row]:
    """Events above the id `after`, newest first."""
    if wanted.show == "rejected":
        return []
    conditions: list[str] = ["id > %s"]
    values: list[Any] = [after]
    if wanted.before:
        conditions.append("id < %s")
        values.append(wanted.before)
    where, narrowed = _narrowed(wanted)
    if where is None:
        return []
    statuses = list(STATUSES.get(wanted.show, ()))
    if not where:
        return (
            _decided(statuses, conditions, values, limit) if statuses else _newest(conditions, values, limit)
        )
    outcome = ""
    if statuses:
        outcome = (
            " WHERE EXISTS (SELECT FROM automation_execution x WHERE x.profile_id = found.profile_id"
            " AND x.event_id = found.id AND x.status = ANY(%s))"
        )
    # By time, along the index of the customer or the name: by id, a rare one would read the whole table.
    return _read(
        f"WITH found AS MATERIALIZED (SELECT * FROM automation_event WHERE {' AND '.join([*where, *conditions])}"
        f" ORDER BY occurred_at DESC LIMIT {LOOKED_AT})"
        f" SELECT {_COLUMNS} FROM found{outcome} ORDER BY id DESC LIMIT %s",
        [*narrowed, *values, *([statuses] if statuses else []), limit],
    )


def _newest(conditions: Sequence[str], values: Sequence[Any], limit: int) -> list[Row]:
    return _read(
        f"SELECT {_COLUMNS} FROM automation_event WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT %s",
        [*values, limit],
    )


def _narrowed(wanted: Wanted) -> tuple[list[str] | None, list[Any]]:
    """Conditions on customer and name; None when there is no such customer."""
    where: list[str] = []
    values: list[Any] = []
    if wanted.customer:
        ids = profile_ids(wanted.customer)
        if not ids:
            return None, []
        where.append("profile_id = ANY(%s)")
        values.append(ids)
    if wanted.name:
        where.append("name = %s")
        values.append(wanted.name)
    return where, values


def _decided(
    statuses: Sequence[str], conditions: Sequence[str], values: Sequence[Any], limit: int
) -> list[Row]:
    """Events of the newest decisions with these statuses: one branch for each, along its index."""
    branches = " UNION ALL ".join(
        "(SELECT event_id, event_at FROM automation_execution WHERE status = %s"
        f" ORDER BY decided_at DESC LIMIT {LOOKED_AT})"
        for _status in statuses
    )
    with connection.cursor() as cursor:
        cursor.execute(branches, statuses)
        found = cursor.fetchall()
    if not found:
        return []
    times = [at for _event_id, at in found]
    return _read(
        f"SELECT {_COLUMNS} FROM automation_event WHERE id = ANY(%s) AND occurred_at BETWEEN %s AND %s"
        f" AND {' AND '.join(conditions)} ORDER BY id DESC LIMIT %s",
        [[event_id for event_id, _at in found], min(times), max(times), *values, limit],
    )


def _read(sql: str, values: Sequence[Any]) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return [
            Row._make((*row[:5], _decode(row[5]), _decode(row[6]), *row[7:])) for row in cursor.fetchall()
        ]


def rejected(wanted: Wanted, after: datetime | None = None) -> list[RejectedRequest]:
    """Refused requests, newest first; only where no filter asks for events of a customer or a name."""
    if wanted.show not in ("all", "rejected") or wanted.customer or wanted.name or wanted.before:
        return []
    found = RejectedRequest.objects.order_by("-last_at")
    if after is not None:
        found = found.filter(last_at__gt=after)
    return list(found[: ROWS if wanted.show == "rejected" else REJECTED_SHOWN])


_NEWEST = "SELECT received_at FROM automation_event ORDER BY id DESC LIMIT %s"
# Newest counts of this hour: what came in lately, however many batches that were.
_LATENCY = (
    "SELECT label::int, sum(count)::bigint FROM (SELECT kind, label, count, hour FROM automation_tally"
    " ORDER BY id DESC LIMIT 2000) t WHERE kind = 'latency' AND hour > now() - interval '2 hours' GROUP BY 1"
)


def pulse(now: datetime | None = None) -> Pulse:
    """Rate and latency from a bounded number of the newest rows."""
    now = now or datetime.now(UTC)
    with connection.cursor() as cursor:
        cursor.execute(_NEWEST, [int(RATE_SECONDS * SAMPLE_RATE) + 1])
        times = [at for (at,) in cursor.fetchall() if at > now - timedelta(seconds=RATE_SECONDS)]
        cursor.execute(_LATENCY)
        buckets = dict(cursor.fetchall())
    seconds = RATE_SECONDS
    if (
        len(times) > RATE_SECONDS * SAMPLE_RATE
    ):  # All that was looked at came in this time: count over its span.
        seconds = max((now - min(times)).total_seconds(), 0.1)
    return Pulse(round(len(times) / seconds, 1), percentile(buckets, 0.5) if buckets else None)
