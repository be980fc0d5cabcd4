"""What still waits of a trigger, and calling it off when somebody stops the trigger.

Without this, what waits stays: it goes out when the trigger is live again by then, and is held back as
`trigger_paused`, in shadow as `shadow`, when its moment comes earlier (see `recheck` and `due`).
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection
from datetime import UTC, datetime
from typing import NamedTuple

from django.db import connection, transaction

from automation.engine.suppression import Held
from automation.engine.types import Reason
from automation.pipeline import endings, record, reservations, tally
from automation.pipeline.endings import Sibling

AT_ONCE = 500
COUNTED = 10_000  # No trigger's waiting rows are counted further.


class Waiting(NamedTuple):
    """Rows of one version that have not come to anything yet."""

    version_id: int
    decisions: int  # Wait for their own moment: a delay, quiet hours, a lost slot.
    deliveries: int  # Decided; the action waits for its turn.


class CalledOff(NamedTuple):
    """How much was called off."""

    decisions: int
    deliveries: int


_WAITING = """
SELECT t.id, w.kind, w.version_id, count(*) FROM unnest(%(triggers)s::bigint[]) AS t(id) CROSS JOIN LATERAL (
  (SELECT 'd' AS kind, version_id FROM automation_execution
   WHERE trigger_id = t.id AND status = 'pending' AND due_at IS NOT NULL LIMIT %(limit)s)
  UNION ALL
  (SELECT 'm', version_id FROM automation_delivery
   WHERE trigger_id = t.id AND status = 'pending' LIMIT %(limit)s)) w GROUP BY 1, 2, 3
"""


def waiting(trigger_ids: Collection[int]) -> dict[int, list[Waiting]]:
    """What waits of each, by version, oldest first; nothing of those for whom nothing waits.

    One query; each kind is counted up to COUNTED rows of a trigger.
    """
    found: dict[int, dict[int, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, {"triggers": list(trigger_ids), "limit": COUNTED})
        for trigger_id, kind, version_id, n in cursor.fetchall():
            found[trigger_id][version_id][kind] += n
    return {
        trigger_id: [Waiting(version_id, n["d"], n["m"]) for version_id, n in sorted(versions.items())]
        for trigger_id, versions in found.items()
    }


def call_off(trigger_id: int) -> CalledOff:
    """Call off what waits by now of a trigger that does not act; nothing when it is live.

    In transactions of AT_ONCE rows, so that no worker waits long for a customer. A row that a worker holds at
    this moment is left to that worker, who finds the trigger paused.
    """
    decisions = deliveries = 0
    until = datetime.now(UTC)  # In shadow new ones come.
    while found := _decisions(trigger_id, until):
        decisions += found
    after = 0
    while True:
        found, last = _deliveries(trigger_id, after)
        deliveries += found
        if last is None:
            return CalledOff(decisions, deliveries)
        after = last


_DECISIONS = """
WITH chosen AS (
  SELECT x.id, x.decided_at FROM automation_execution x
  JOIN automation_trigger t ON t.id = x.trigger_id AND t.mode <> 'live'
  WHERE x.trigger_id = %s AND x.status = 'pending' AND x.due_at IS NOT NULL AND x.decided_at <= %s
  ORDER BY x.id LIMIT %s FOR NO KEY UPDATE OF x SKIP LOCKED)
UPDATE automation_execution x SET status = 'suppressed', reason = %s, reasons = %s::jsonb, waiting = '', due_at = NULL
FROM chosen c WHERE x.id = c.id AND x.decided_at = c.decided_at RETURNING x.lane
"""


@transaction.atomic
def _decisions(trigger_id: int, until: datetime) -> int:
    held = record.reason_row(Held(Reason.TRIGGER_PAUSED))
    with connection.cursor() as cursor:
        cursor.execute(_DECISIONS, [trigger_id, until, AT_ONCE, Reason.TRIGGER_PAUSED, json.dumps([held])])
        lanes = Counter(lane for (lane,) in cursor.fetchall())
    label = f"suppressed:{Reason.TRIGGER_PAUSED}"
    tally.add(("executions", lane, trigger_id, label, n) for lane, n in lanes.items())
    return lanes.total()


# Executions are locked before their deliveries, as everywhere.
_LOCKED = """
SELECT x.id FROM automation_execution x
JOIN unnest(%s::bigint[], %s::timestamptz[]) AS c(id, at) ON x.id = c.id AND x.decided_at = c.at
JOIN automation_trigger t ON t.id = x.trigger_id AND t.mode <> 'live'
ORDER BY x.id FOR NO KEY UPDATE OF x SKIP LOCKED
"""
_CANCEL = """
UPDATE automation_delivery SET status = 'cancelled', reason = %s, finished_at = now(), lease_until = NULL, worker = ''
WHERE id IN (SELECT id FROM automation_delivery WHERE execution_id = ANY(%s) AND status = 'pending'
  FOR UPDATE SKIP LOCKED)
RETURNING execution_id, channel, lane
"""


@transaction.atomic
def _deliveries(trigger_id: int, after: int) -> tuple[int, int | None]:
    """How many were called off, and the execution after which to go on; None at the end."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT execution_id, execution_decided_at FROM automation_delivery WHERE trigger_id = %s"
            " AND status = 'pending' AND execution_id > %s ORDER BY execution_id LIMIT %s",
            [trigger_id, after, AT_ONCE],
        )
        chosen = cursor.fetchall()
        if not chosen:
            return 0, None
        cursor.execute(_LOCKED, [list(column) for column in zip(*chosen, strict=True)])
        locked = [row[0] for row in cursor.fetchall()]
        cursor.execute(_CANCEL, [Reason.TRIGGER_PAUSED, locked])
        cancelled = cursor.fetchall()
    channels: dict[int, list[str]] = defaultdict(list)
    for execution_id, channel, _lane in cancelled:
        channels[execution_id].append(channel)
    for execution_id, freed in channels.items():
        reservations.free(execution_id, freed)
    _end(channels)
    lanes = Counter(lane for _execution, _channel, lane in cancelled)
    tally.add(("deliveries", lane, trigger_id, endings.CANCELLED, n) for lane, n in lanes.items())
    return len(cancelled), chosen[-1][0]


def _end(execution_ids: Collection[int]) -> None:
    """End the executions of which nothing is on its way any more, as what their other actions came to says."""
    if not execution_ids:
        return
    siblings: dict[int, list[Sibling]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT execution_id, action_index, status, reason, error FROM automation_delivery"
            " WHERE execution_id = ANY(%s) ORDER BY action_index",
            [list(execution_ids)],
        )
        for execution_id, *row in cursor.fetchall():
            siblings[execution_id].append(Sibling(*row))
        rows = [
            (execution_id, end.status, end.reason, end.error)
            for execution_id, found in siblings.items()
            if (end := endings.progress(found, found[-1].index, stop=False)).status is not None
        ]
        if rows:
            cursor.execute(
                "UPDATE automation_execution x SET status = r.status, reason = r.reason, error = r.error,"
                " processed_at = now() FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[])"
                " AS r(id, status, reason, error) WHERE x.id = r.id",
                [list(column) for column in zip(*rows, strict=True)],
            )
