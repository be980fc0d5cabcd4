"""Events of people who were erased: counted, kept nowhere (R-052).

Ingestion does not lock profiles, so an event may be stored behind the erasure of its customer. Each has a row in
the queue, and the worker that takes it holds the profile's lock and sees that the customer is erased.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection

from automation.engine.types import Event
from automation.pipeline import tally

COUNTED = "events_of_erased"

# Finds the message keys of `events`, a query of (id, message_id). Their primary key begins with the source of the
# write key, which no event knows; there are few sources, and each next one is found in the index.
KEYS_OF = """
(source, message_id, event_id) IN (
  WITH RECURSIVE scope(source) AS (
    (SELECT source FROM automation_messagekey ORDER BY source LIMIT 1)
    UNION ALL
    SELECT (SELECT k.source FROM automation_messagekey k WHERE k.source > s.source ORDER BY k.source LIMIT 1)
    FROM scope s WHERE s.source IS NOT NULL
  )
  SELECT s.source, e.message_id, e.id FROM scope s, ({events}) e WHERE s.source IS NOT NULL)
"""
_DELETE_KEYS = "DELETE FROM automation_messagekey WHERE " + KEYS_OF.format(
    events="SELECT * FROM unnest(%s::bigint[], %s::text[]) AS g(id, message_id)"
)
_DELETE_EVENTS = """
DELETE FROM automation_event e USING unnest(%s::bigint[], %s::timestamptz[]) AS g(id, at)
WHERE e.id = g.id AND e.occurred_at = g.at
"""


def drop(events: Sequence[Event]) -> None:
    """Delete what was stored of taken events whose customer is erased. Needs their profile locks."""
    if not events:
        return
    ids = [event.id for event in events]
    with connection.cursor() as cursor:
        cursor.execute(_DELETE_KEYS, [ids, [event.message_id for event in events]])
        cursor.execute(_DELETE_EVENTS, [ids, [event.occurred_at for event in events]])
    count(len(events))


def count(number: int) -> None:
    """So many events of erased persons came."""
    tally.add([(COUNTED, None, None, "", number)])
