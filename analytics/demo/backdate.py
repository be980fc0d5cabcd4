"""Move what the replay decided to the moments of its events, as if Beckon had run for those two weeks.

Only what is over is moved; what still waits keeps its moment. How long each step took stays as it was measured.
"""

from __future__ import annotations

from typing import Final

from django.db import connection, transaction

_OVER: Final = """
CREATE TEMPORARY TABLE demo_moved ON COMMIT DROP AS
SELECT id, decided_at, accepted_at - event_at AS by FROM automation_execution
WHERE status IN ('triggered', 'suppressed', 'failed') AND accepted_at - event_at > interval '1 minute'
"""
_MOVES: Final = (
    # A hold that was repeated was last repeated by a later event.
    """
    UPDATE automation_execution x SET decided_at = x.decided_at - m.by, accepted_at = x.accepted_at - m.by,
      due_at = x.due_at - m.by, started_at = x.started_at - m.by, processed_at = x.processed_at - m.by,
      last_held_at = coalesce((SELECT e.occurred_at FROM automation_event e WHERE e.id = x.last_event_id),
        x.last_held_at)
    FROM demo_moved m WHERE x.id = m.id AND x.decided_at = m.decided_at
    """,
    """
    UPDATE automation_executionkey k SET decided_at = k.decided_at - m.by
    FROM demo_moved m WHERE k.execution_id = m.id
    """,
    """
    UPDATE automation_delivery d SET execution_decided_at = d.execution_decided_at - m.by,
      created_at = d.created_at - m.by, due_at = d.due_at - m.by, sending_at = d.sending_at - m.by,
      finished_at = d.finished_at - m.by
    FROM demo_moved m WHERE d.execution_id = m.id
    """,
    """
    UPDATE automation_sendreservation r SET reserved_at = r.reserved_at - m.by
    FROM demo_moved m WHERE r.execution_id = m.id
    """,
    """
    UPDATE automation_triggerstate s SET hold_decided_at = s.hold_decided_at - m.by
    FROM demo_moved m WHERE s.hold_execution_id = m.id
    """,
    """
    UPDATE automation_event SET received_at = occurred_at + least(received_at - occurred_at, interval '1 second')
    WHERE received_at > occurred_at
    """,
    # The recipes were there before their first event, and whoever is known was known from their first.
    """
    UPDATE automation_triggerversion SET published_at = (SELECT min(occurred_at) FROM automation_event)
    WHERE published_at > (SELECT min(occurred_at) FROM automation_event)
    """,
    """
    UPDATE profiles_identity i SET created_at = p.first_seen FROM profiles_profile p
    WHERE p.id = i.profile_id AND p.first_seen < i.created_at
    """,
    # Counted anew, by the hours in which it happened now.
    "DELETE FROM automation_tally WHERE kind IN ('executions', 'deliveries')",
    """
    INSERT INTO automation_tally (hour, kind, lane, trigger_id, label, count)
    SELECT date_trunc('hour', decided_at, 'UTC'), 'executions', lane, trigger_id,
      CASE WHEN status = 'suppressed' THEN 'suppressed:' || reason
        WHEN waiting <> '' AND status = 'pending' THEN 'waiting:' || waiting ELSE 'fired' END,
      sum(CASE WHEN status = 'suppressed' THEN held_count ELSE 1 END)
    FROM automation_execution GROUP BY 1, 2, 3, 4, 5
    """,
    """
    INSERT INTO automation_tally (hour, kind, lane, trigger_id, label, count)
    SELECT date_trunc('hour', finished_at, 'UTC'), 'deliveries', lane, trigger_id, status, count(*)
    FROM automation_delivery WHERE finished_at IS NOT NULL GROUP BY 1, 2, 3, 4, 5
    """,
)


def backdate() -> int:
    """How many decisions were moved. For a database that holds nothing but the demo, and is at rest."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_OVER)
        moved = cursor.rowcount
        for statement in _MOVES:
            cursor.execute(statement)
    return moved
