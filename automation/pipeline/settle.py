"""What became of a message whose sending was interrupted: a person, its receiver or its use says so (R-026)."""

from __future__ import annotations

from uuid import UUID

from django.db import connection, transaction

from automation.engine.types import ExecutionStatus
from automation.pipeline import endings, reservations, tally
from automation.pipeline.endings import Sibling

NOT_ARRIVED = "A person found out that it did not arrive."
PERSON = "person"


def arrived(delivery_id: UUID, *, evidence: str = PERSON) -> bool:
    """It did go out. False when it is not uncertain (any more)."""
    return _settle(delivery_id, "delivered", "", "", evidence)


def did_not_arrive(delivery_id: UUID, *, evidence: str = PERSON, why: str = NOT_ARRIVED) -> bool:
    """It did not go out: failed, and its place under the caps is free again. Nothing is sent anew."""
    return _settle(delivery_id, endings.FAILED, "not_arrived", endings.clean(why)[:500], evidence)


@transaction.atomic
def _settle(delivery_id: UUID, status: str, error_class: str, error: str, evidence: str) -> bool:
    with connection.cursor() as cursor:
        # Locked in the order of all who do so: the execution, then its delivery.
        cursor.execute(
            "SELECT x.id, x.decided_at, x.status FROM automation_execution x WHERE (x.id, x.decided_at) = ("
            " SELECT execution_id, execution_decided_at FROM automation_delivery WHERE id = %s)"
            " FOR NO KEY UPDATE",
            [delivery_id],
        )
        execution = cursor.fetchone()
        cursor.execute(
            "UPDATE automation_delivery SET status = %s, error_class = %s, error = %s, finished_at = now(),"
            " result = result || jsonb_build_object('settled_by', %s::text)"
            " WHERE id = %s AND status = 'uncertain'"
            " RETURNING lane, trigger_id, action_index, execution_id, channel",
            [status, error_class, error, evidence, delivery_id],
        )
        settled = cursor.fetchone()
        if settled is None:
            return False
        lane, trigger_id, index, execution_id, channel = settled
        tally.add([("deliveries", lane, trigger_id, status, 1)])
        if status != endings.FAILED:
            return True
        reservations.free(execution_id, [channel])
        if execution is None or execution[2] != ExecutionStatus.TRIGGERED:
            return True
        cursor.execute(
            "SELECT action_index, status, reason, error FROM automation_delivery WHERE execution_id = %s",
            [execution_id],
        )
        progress = endings.progress([Sibling(*row) for row in cursor.fetchall()], index, stop=False)
        if progress.status is not None:
            cursor.execute(
                "UPDATE automation_execution SET status = %s, reason = %s, error = %s"
                " WHERE id = %s AND decided_at = %s",
                [progress.status, progress.reason, progress.error, *execution[:2]],
            )
    return True
