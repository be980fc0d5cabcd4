"""The outbox: one row for each action of a granted execution, in the transaction that granted it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from django.db import connection

from automation import queues
from automation.ids import uuid7
from automation.pipeline.decide import Decision

_INSERT = """
INSERT INTO automation_delivery (id, execution_id, execution_decided_at, trigger_id, version_id, profile_id, event_id,
  event_at, action_index, action_type, channel, message_class, topic, lane, status, reason, idempotency_key, due_at,
  finished_at)
SELECT * FROM json_to_recordset(%s::json) AS r(id uuid, execution_id bigint, execution_decided_at timestamptz,
  trigger_id bigint, version_id bigint, profile_id bigint, event_id bigint, event_at timestamptz,
  action_index smallint, action_type text, channel text, message_class text, topic text, lane smallint, status text,
  reason text, idempotency_key text, due_at timestamptz, finished_at timestamptz)
ON CONFLICT DO NOTHING
"""


def insert(
    granted: Sequence[tuple[Decision, int]], now: datetime, *, decided_at: datetime | None = None
) -> None:
    """Write the deliveries of granted (decision, execution id) and ring their lanes.

    The first action that can go is due; each further one gets its moment when the one before it ends. A message
    whose channel is closed to the customer is written as cancelled, with the reason.
    """
    rows = [
        row
        for decision, execution_id in granted
        for row in _rows(decision, execution_id, now, decided_at or now)
    ]
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [msgspec.json.encode(rows).decode()])
    for lane in {decision.plan.lane for decision, _ in granted}:
        queues.ring_deliveries(lane.lane)


def _rows(decision: Decision, execution_id: int, now: datetime, decided_at: datetime) -> list[dict[str, Any]]:
    plan, event, judgement = decision.plan, decision.event, decision.judgement
    definition = plan.trigger.definition
    open_channels = set(judgement.channels) if judgement else set()
    closed = {held.params.get("channel"): held.reason for held in judgement.blocked} if judgement else {}
    start = judgement.due_at if judgement and judgement.due_at else now
    rows = []
    is_first = True
    for action in plan.actions:
        is_closed = action.is_message and action.channel not in open_channels
        is_due = is_first and not is_closed
        rows.append(
            {
                "id": uuid7(),
                "execution_id": execution_id,
                "execution_decided_at": decided_at,
                "trigger_id": plan.trigger.trigger_id,
                "version_id": plan.trigger.version_id,
                "profile_id": event.profile_id,
                "event_id": event.id,
                "event_at": event.occurred_at,
                "action_index": action.index,
                "action_type": action.type,
                "channel": action.channel,
                "message_class": definition.message_class,
                "topic": definition.topic,
                "lane": int(plan.lane),
                "status": "cancelled" if is_closed else "pending",
                "reason": closed.get(action.channel, "") if is_closed else "",
                "idempotency_key": f"{execution_id}:{action.index}:{action.channel}",
                "due_at": start + action.delay if is_due else None,
                "finished_at": now if is_closed else None,
            }
        )
        is_first = is_first and is_closed
    return rows
