"""Workers that died while they tried events: what they had in hand takes the blame (R-020)."""

from __future__ import annotations

from django.conf import settings
from django.db import connection

from automation.pipeline import quarantine, tally
from profiles import services


def count_deaths() -> None:
    """Workers whose database session ended in the middle of a batch: each of its events takes a blame.

    An event blamed WORKER_DEATH_BUDGET times goes to quarantine. The batch itself was rolled back. When
    PostgreSQL itself was restarted, every session ended, and no worker is to blame. Several deaths of one event
    between two counts are one blame: workers that are killed from outside may all have had it in their batches.
    Needs a transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM automation_heartbeat h WHERE NOT EXISTS ("
            " SELECT FROM pg_stat_activity a WHERE a.pid = h.backend_pid AND a.datname = current_database())"
            " RETURNING event_ids::text::json, at < pg_postmaster_start_time()"
        )
        batches = [event_ids for event_ids, was_restart in cursor.fetchall() if not was_restart]
        blamed = [event_id for batch in batches for event_id in batch]
        if blamed:
            cursor.execute(
                "UPDATE automation_queuedevent SET worker_deaths = worker_deaths + 1 WHERE event_id = ANY(%s)",
                [blamed],
            )
            cursor.execute(
                "SELECT event_id, profile_id FROM automation_queuedevent"
                " WHERE event_id = ANY(%s) AND worker_deaths >= %s",
                [blamed, settings.WORKER_DEATH_BUDGET],
            )
            held = cursor.fetchall()
            services.lock(profile_id for _, profile_id in held)  # All at once and in order.
            for event_id, _ in held:
                quarantine.hold(
                    event_id, "WorkerLost", "The worker was killed each time it tried this event."
                )
    tally.add([("worker_deaths", None, None, "", sum(1 for batch in batches if batch))])
