"""Pause triggers whose conditions cannot be checked: broken configuration must not pass for `no match`."""

from __future__ import annotations

import logging

from django.conf import settings
from django.db import connection, transaction

from automation import audit

log = logging.getLogger(__name__)


@transaction.atomic
def pause_broken() -> list[int]:
    """Pause the live and shadow triggers that met BROKEN_LIMIT uncheckable events this hour; returns their ids.

    The reason names the condition, so that a person can mend and publish it again.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE automation_trigger t SET mode = 'paused', pause_reason = b.total || ' events of this hour could"
            " not be checked at ' || b.pointer || '. Open a recent decision to see why, mend it, publish again.'"
            " FROM (SELECT trigger_id, sum(count) AS total, (array_agg(label ORDER BY count DESC))[1] AS pointer"
            "  FROM automation_tally WHERE kind = 'broken' AND hour = date_trunc('hour', now(), 'UTC')"
            "  GROUP BY trigger_id HAVING sum(count) >= %s) b"
            " WHERE t.id = b.trigger_id AND t.mode IN ('live', 'shadow')"
            # A version published after the trouble is not blamed for its predecessor.
            " AND (SELECT coalesce(sum(held_count), 0) FROM automation_execution x WHERE x.status = 'suppressed'"
            "  AND x.reason = 'broken_condition' AND x.version_id = t.current_version_id"
            "  AND x.decided_at > now() - interval '25 hours') >= %s RETURNING t.id",
            [settings.BROKEN_LIMIT, settings.BROKEN_LIMIT],
        )
        paused = [row[0] for row in cursor.fetchall()]
    for trigger_id in paused:
        log.error("trigger paused: its conditions cannot be checked", extra={"trigger_id": trigger_id})
        audit.record(
            "trigger.pause",
            actor="Beckon",
            target=f"automation.trigger {trigger_id}",
            details={"changes": "paused: its conditions could not be checked"},
        )
    return paused
