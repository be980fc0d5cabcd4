"""Refuse events rather than take what could not be served in time (R-009)."""

from __future__ import annotations

import time

from django.conf import settings
from django.db import connection

from automation.api.problems import unavailable
from automation.engine.types import Priority

SECONDS = 1.0  # How long one look at the queue is believed.
CRITICAL_SECONDS = 30
_LOOKED_AT = 1_000  # Critical rows looked at; a backlog of more is old or being worked on anyway.

# The statistics of the table cost nothing to read and lag by about a second.
_ESTIMATE = "SELECT pg_stat_get_live_tuples('automation_queuedevent'::regclass)"
_COUNT = "SELECT count(*) FROM (SELECT 1 FROM automation_queuedevent LIMIT %s) AS looked_at"
# Rows that the claim passes over, because something older of the same customer comes first, say nothing of
# the workers: one customer's stuck event must not close the door on everybody.
_OLDEST = (
    "SELECT max(now() - greatest(accepted_at, due_at)) > make_interval(secs => %s)"
    " FROM (SELECT * FROM automation_queuedevent WHERE lane = %s LIMIT %s) AS w"
    " WHERE is_state OR NOT EXISTS (SELECT FROM automation_queuedevent f"
    "  WHERE f.is_state AND f.profile_id = w.profile_id AND f.occurred_at <= w.occurred_at)"
)

_checked_at = -SECONDS
_refusal = ""


def forget() -> None:
    """Look again at the next request."""
    global _checked_at
    _checked_at = -SECONDS


def check() -> None:
    """Raise 503 with Retry-After while too many events wait, or critical ones wait too long."""
    global _checked_at, _refusal
    now = time.monotonic()
    if now - _checked_at >= SECONDS:
        _checked_at = now  # First, so that of several threads one looks.
        _refusal = _look()
    if _refusal:
        raise unavailable(_refusal)


def _look() -> str:
    with connection.cursor() as cursor:
        cursor.execute(_ESTIMATE)
        row = cursor.fetchone()
        if row and row[0] > settings.PENDING_LIMIT:
            # Statistics can be wrong for long, after a crash for example: count before refusing anyone.
            cursor.execute(_COUNT, [settings.PENDING_LIMIT + 1])
            if cursor.fetchone()[0] > settings.PENDING_LIMIT:
                return "Too many events wait to be decided."
        cursor.execute(_OLDEST, [CRITICAL_SECONDS, int(Priority.CRITICAL), _LOOKED_AT])
        if cursor.fetchone()[0]:
            return "Urgent events wait too long."
    return ""
