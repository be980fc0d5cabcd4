"""Accept events: raw rows and their queue rows in one transaction, then ring the bells.

An answer may be given only after `ingest` returned: then PostgreSQL has committed (R-001).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, TypeVar

import msgspec
from django.db import OperationalError, connection, transaction
from psycopg2.errors import DeadlockDetected

from automation import queues
from automation.engine.types import Priority
from automation.faults import fault
from automation.ids import uuid7
from automation.models.events import SHARDS
from automation.pipeline import forgotten, index, merge
from automation.pipeline.consent import STATE_EVENTS
from profiles import services
from profiles.prepared import Prepared

log = logging.getLogger(__name__)

ALIAS = "alias"  # `previous_id` in its context is the same person as `customer_id`.
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Incoming:
    """One event as parsed from the wire, inside the limits of R-005."""

    message_id: str  # Empty: the server makes one.
    customer_id: str | None
    anonymous_id: str | None  # At least one of the two ids is given.
    name: str  # Canonical snake_case.
    original_name: str
    data: bytes | msgspec.Raw  # A JSON object.
    context: Mapping[str, Any]  # device, location, page, utm, metadata …
    session_id: str
    source: str
    occurred_at: datetime
    received_at: datetime
    sent_at: datetime | None
    client_ts: str
    is_late: bool
    is_import: bool
    is_skewed: bool
    body_hash: bytes  # 16 bytes; the same id with another hash is a conflict.


class Accepted(NamedTuple):
    """What became of one item."""

    event_id: int
    message_id: str
    is_duplicate: bool
    is_conflict: bool


# One statement. Event ids are drawn in the sender's order; the keys are inserted in sorted order, so that two
# requests with the same message ids in different order cannot deadlock. ON CONFLICT makes repeats no-ops.
_INSERT = Prepared(
    "ingest_events",
    ("json", "text"),
    f"""
WITH item AS MATERIALIZED (
  SELECT nextval('automation_event_id_seq') AS id, r.* FROM json_to_recordset($1) AS r(
    message_id text, profile_id bigint, name text, original_name text, data jsonb, context jsonb,
    session_id text, source text, occurred_at timestamptz, received_at timestamptz, sent_at timestamptz,
    client_ts text, is_late boolean, is_import boolean, is_skewed boolean, body_hash text, lane smallint,
    is_state boolean)
), key AS (
  INSERT INTO automation_messagekey (source, message_id, event_id, body_hash)
  SELECT $2, message_id, id, decode(body_hash, 'hex') FROM item ORDER BY message_id
  ON CONFLICT DO NOTHING RETURNING event_id
), event AS (
  INSERT INTO automation_event (id, message_id, profile_id, name, original_name, data, context, session_id,
    source, occurred_at, received_at, sent_at, client_ts, is_late, is_import, is_skewed)
  SELECT i.id, i.message_id, i.profile_id, i.name, i.original_name, i.data, i.context, i.session_id,
    i.source, i.occurred_at, i.received_at, i.sent_at, i.client_ts, i.is_late, i.is_import, i.is_skewed
  FROM item i JOIN key k ON k.event_id = i.id
), queued AS (
  INSERT INTO automation_queuedevent (event_id, profile_id, lane, shard, occurred_at, is_state)
  SELECT i.id, i.profile_id, i.lane, i.profile_id % {SHARDS}, i.occurred_at, i.is_state
  FROM item i JOIN key k ON k.event_id = i.id
)
SELECT i.message_id, i.id FROM item i JOIN key k ON k.event_id = i.id
""",
)
_KNOWN = "SELECT message_id, event_id, body_hash FROM automation_messagekey WHERE source = %s AND message_id = ANY(%s)"


def ingest(items: Sequence[Incoming], *, source: str) -> list[Accepted]:
    """Store `items` and answer for each, in order; all new ones share one commit.

    `source` is the scope of message ids (WriteKey.source). A repeated id is a duplicate, or a conflict when
    its body differs, also within `items`.

    Names are tied before the keys are known, so an item refused as a conflict may have tied its anonymous id to
    its customer: that joins no two customers. What an alias asks for is done only when the alias was accepted.
    An event of an erased person is answered like any other and stored nowhere (R-052).
    A deadlock outside any transaction of the caller's is tried once more.
    """
    if not items:
        return []
    ids = [item.message_id or str(uuid7()) for item in items]
    lanes = index.lanes({item.name for item in items})
    subjects = [_subject(item) for item in items]
    owners = _twice(partial(services.resolve, subjects, join=merge.join))
    buried = _buried(items, owners)
    first = {ids[i]: i for i in reversed(range(len(items))) if i not in buried}
    rows = [
        _row(items[i], ids[i], owner, lanes[items[i].name])
        for i in sorted(first.values())
        if (owner := owners[i]) is not None
    ]
    is_any_repeated = len(rows) + len(buried) < len(items)
    new, known = _twice(partial(_insert, rows, source, is_any_repeated=is_any_repeated)) if rows else ({}, {})
    fault("ingest_after_commit")
    answers = [
        buried[i]._replace(message_id=message_id)
        if i in buried
        else Accepted(new[message_id], message_id, False, False)
        if message_id in new and first[message_id] == i
        else _repeated(message_id, item.body_hash, *known[message_id])
        for i, (item, message_id) in enumerate(zip(items, ids, strict=True))
    ]
    # Also for duplicates: the sender repeats what was stored when the answer, or this very step, was lost.
    for i, (item, answer) in enumerate(zip(items, answers, strict=True)):
        if (former := _former_id(item)) and item.customer_id and not answer.is_conflict and i not in buried:
            _twice(partial(_join_former, former, item.customer_id))
    return answers


def _buried(items: Sequence[Incoming], owners: Sequence[int | None]) -> dict[int, Accepted]:
    """Which items speak of erased persons -> an answer that reveals nothing; they are counted, and no more.

    An alias speaks of the customer and of who they were before: both must be there to be told apart.
    """
    former = {i: name for i, item in enumerate(items) if (name := _former_id(item))}
    kinds = (services.CUSTOMER, services.ANONYMOUS)
    erased = (
        services.erased([(kind, name) for name in set(former.values()) for kind in kinds]) if former else ()
    )
    names = {value for _, value in erased}
    buried = [i for i, owner in enumerate(owners) if owner is None or former.get(i) in names]
    if not buried:
        return {}
    forgotten.count(len(buried))
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('automation_event_id_seq') FROM generate_series(1, %s)", [len(buried)])
        return {
            i: Accepted(event_id, "", False, False)
            for i, (event_id,) in zip(buried, cursor.fetchall(), strict=True)
        }


def _twice(step: Callable[[], T]) -> T:
    """Do `step`, and once more when it met a deadlock; its transactions are then undone, so nothing is done twice."""
    try:
        return step()
    except OperationalError as error:
        if connection.in_atomic_block or not isinstance(error.__cause__, DeadlockDetected):
            raise
        log.warning("a deadlock; tried once more", extra={"step": getattr(step, "func", step).__name__})
        return step()


def _insert(
    rows: Sequence[Mapping[str, Any]], scope: str, *, is_any_repeated: bool
) -> tuple[dict[str, int], dict[str, tuple[int, bytes]]]:
    """Store the rows whose message id is new: message id -> event id. For repeats, also what is known of all ids."""
    new: dict[str, int] = {}
    known: dict[str, tuple[int, bytes]] = {}
    with transaction.atomic(), connection.cursor() as cursor:
        _INSERT.execute(cursor, [msgspec.json.encode(rows).decode(), scope])
        new.update(cursor.fetchall())
        if is_any_repeated or len(new) < len(rows):
            cursor.execute(_KNOWN, [scope, [row["message_id"] for row in rows]])
            known = {
                message_id: (event_id, bytes(digest)) for message_id, event_id, digest in cursor.fetchall()
            }
        for lane in {Priority(row["lane"]) for row in rows}:
            queues.ring(lane.lane)
        fault("ingest_before_commit")
    return new, known


def _subject(item: Incoming) -> services.Subject:
    """Whom the event is about. An alias ties no names here: it may yet be refused."""
    if item.name == ALIAS:
        if item.customer_id:
            return services.Subject(item.customer_id, None)
        return services.Subject(None, _former_id(item) or item.anonymous_id)
    return services.Subject(item.customer_id, item.anonymous_id)


def _former_id(item: Incoming) -> str:
    """The id that an alias says was the customer's before; empty when there is nothing to join."""
    former = str(item.context.get("previous_id") or "") if item.name == ALIAS else ""
    return "" if former == item.customer_id else former


def _join_former(former: str, customer_id: str) -> None:
    """Let `former` lead to the customer, whether it was an anonymous id or a customer's; twice is once."""
    services.resolve([services.Subject(customer_id, former)], join=merge.join)
    merge.alias(former, customer_id)


def _repeated(message_id: str, body_hash: bytes, event_id: int, known_hash: bytes) -> Accepted:
    is_same = body_hash == known_hash
    return Accepted(event_id, message_id, is_same, not is_same)


def _row(item: Incoming, message_id: str, profile_id: int, lane: Priority) -> dict[str, Any]:
    return {
        "message_id": message_id,
        "profile_id": profile_id,
        "name": item.name,
        "original_name": item.original_name,
        "data": msgspec.Raw(item.data),
        "context": item.context,
        "session_id": item.session_id,
        "source": item.source,
        "occurred_at": item.occurred_at,
        "received_at": item.received_at,
        "sent_at": item.sent_at,
        "client_ts": item.client_ts,
        "is_late": item.is_late,
        "is_import": item.is_import,
        "is_skewed": item.is_skewed,
        "body_hash": item.body_hash.hex(),
        "lane": int(Priority.LOW if item.is_import else lane),
        # Imports wait in the low lane for as long as it takes: what happens now must not wait for them.
        "is_state": item.name in STATE_EVENTS and not item.is_import,
    }
