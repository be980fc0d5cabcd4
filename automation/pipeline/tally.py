"""Count what happened: one append a batch, compacted later, so that no two workers wait for one row."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import connection

Count = tuple[str, int | None, int | None, str, int]  # kind, lane, trigger id, label, count


def add(counts: Iterable[Count]) -> None:
    """Append counts of the present hour, in the caller's transaction: counted exactly when it commits."""
    rows = [count for count in counts if count[4]]
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO automation_tally (hour, kind, lane, trigger_id, label, count)"
            " SELECT date_trunc('hour', now(), 'UTC'), * FROM unnest("
            "%s::text[], %s::smallint[], %s::bigint[], %s::text[], %s::bigint[])",
            [list(column) for column in zip(*rows, strict=True)],
        )


def compact(before: datetime) -> int:
    """Sum up the rows of ended hours; returns how many rows that saved."""
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH gone AS (DELETE FROM automation_tally WHERE hour < %s RETURNING *), summed AS ("
            " INSERT INTO automation_tally (hour, kind, lane, trigger_id, label, count)"
            " SELECT hour, kind, lane, trigger_id, label, sum(count) FROM gone GROUP BY 1, 2, 3, 4, 5 RETURNING 1)"
            " SELECT (SELECT count(*) FROM gone) - (SELECT count(*) FROM summed)",
            [before],
        )
        return int(cursor.fetchone()[0])
