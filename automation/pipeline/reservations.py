"""Places under the caps: one row for each message that left, or is to leave (R-016).

A message takes its place when it is decided, under the customer's lock. Here places are given back by
messages that certainly do not go out, and taken anew by those that leave much later than they were decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from automation.engine.types import Sent
from automation.selectors import MAX_SENDS

LATE = timedelta(minutes=15)  # A message that leaves so long after it took its place is asked again.

# Which of several places of one execution is given up makes no difference to the caps but for its time: the
# messages of an execution leave one after the other, so the newest belong to those that have not left yet.
_FREE = """
DELETE FROM automation_sendreservation WHERE id IN (
  SELECT r.id FROM (
    SELECT id, channel, row_number() OVER (PARTITION BY channel ORDER BY reserved_at DESC, id DESC) AS place
    FROM automation_sendreservation WHERE execution_id = %s) r
  JOIN (SELECT channel, count(*) AS n FROM unnest(%s::text[]) AS c(channel) GROUP BY channel) w
    ON w.channel = r.channel AND r.place <= w.n)
"""


def free(execution_id: int, channels: Sequence[str]) -> None:
    """Give back a place for each message in `channels`: none of them goes out."""
    if channels:
        with connection.cursor() as cursor:
            cursor.execute(_FREE, [execution_id, list(channels)])


class Message(NamedTuple):
    """What a place belongs to."""

    profile_id: int
    channel: str
    message_class: str
    trigger_id: int
    execution_id: int


class Others(NamedTuple):
    """What stands against a message of an execution, beside that execution itself."""

    now: datetime  # By PostgreSQL's clock.
    waiting: int  # Messages of the execution on the channel that have not left, this one included.
    missing: int  # Of them, those without a place.
    sends: tuple[Sent, ...]  # The customer's other reservations.
    cancelled_by: str | None  # A named event that came after the one that was decided.


_OTHERS = """
SELECT now(), m.waiting,
  greatest(0, m.alive - (SELECT count(*) FROM automation_sendreservation r
   WHERE r.execution_id = %(execution)s AND r.channel = %(channel)s)),
  o.times, o.channels, o.classes,
  (SELECT e.name FROM automation_event e WHERE %(names)s::text[] <> '{}' AND e.profile_id = %(profile)s
   AND e.name = ANY(%(names)s::text[]) AND e.occurred_at > %(event_at)s AND e.occurred_at <= now() LIMIT 1)
FROM (SELECT array_agg(reserved_at) AS times, array_agg(channel::text) AS channels,
    array_agg(message_class::text) AS classes
  FROM (SELECT * FROM automation_sendreservation
    WHERE profile_id = %(profile)s AND execution_id <> %(execution)s
    ORDER BY reserved_at DESC LIMIT %(limit)s) r) o,
  (SELECT count(*) FILTER (WHERE status IN ('pending', 'sending')) AS waiting,
    count(*) FILTER (WHERE status NOT IN ('failed', 'cancelled')) AS alive
  FROM automation_delivery WHERE execution_id = %(execution)s AND channel = %(channel)s) m
"""


def others(message: Message, *, event_at: datetime, cancel_names: Sequence[str]) -> Others:
    """One query for all that decides whether a late message may still leave. Needs the profile lock."""
    values: dict[str, Any] = {
        "execution": message.execution_id,
        "channel": message.channel,
        "profile": message.profile_id,
        "names": list(cancel_names),
        "event_at": event_at,
        "limit": MAX_SENDS,
    }
    with connection.cursor() as cursor:
        cursor.execute(_OTHERS, values)
        now, waiting, missing, times, channels, classes, event = cursor.fetchone()
    found = zip(times or (), channels or (), classes or (), strict=True)
    sends = tuple(Sent(at, channel, message_class, "") for at, channel, message_class in found)
    return Others(now, waiting, missing, sends, event)


_RENEW = """
WITH moved AS (
  UPDATE automation_sendreservation SET reserved_at = now() WHERE id IN (
    SELECT id FROM automation_sendreservation WHERE execution_id = %(execution)s AND channel = %(channel)s
    ORDER BY reserved_at DESC, id DESC LIMIT %(held)s))
INSERT INTO automation_sendreservation
  (profile_id, channel, message_class, trigger_id, execution_id, reserved_at)
SELECT %(profile)s, %(channel)s, %(class)s, %(trigger)s, %(execution)s, now()
FROM generate_series(1, %(missing)s)
"""


def renew(message: Message, found: Others) -> None:
    """The places of the messages that have not left are of now; missing ones are made. Needs the profile lock."""
    values: dict[str, Any] = {
        "execution": message.execution_id,
        "channel": message.channel,
        "profile": message.profile_id,
        "class": message.message_class,
        "trigger": message.trigger_id,
        "held": max(0, found.waiting - found.missing),
        "missing": found.missing,
    }
    with connection.cursor() as cursor:
        cursor.execute(_RENEW, values)


class Reopened(NamedTuple):
    """A delivery that a person wants tried again."""

    message: Message
    topic: str
    action_type: str
    event_at: datetime


def reopened(delivery_id: UUID) -> Reopened | None:
    """Whose message a delivery is; None when there is no such delivery."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT profile_id, channel, message_class, trigger_id, execution_id, topic, action_type, event_at"
            " FROM automation_delivery WHERE id = %s",
            [delivery_id],
        )
        row = cursor.fetchone()
    return Reopened(Message(*row[:5]), *row[5:]) if row else None
