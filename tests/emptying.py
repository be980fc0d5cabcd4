"""How the tables are emptied between tests that commit.

Django truncates all of them, which makes hundreds of new files, and writes every permission anew: half a second for
each test. Here the rows go that a test wrote, and what the migrations and Django wrote of models stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.backends.postgresql.operations import DatabaseOperations

FEW = 2_000  # Rows that are quicker deleted than their table is truncated.
KEPT = frozenset({"django_content_type", "auth_permission"})  # The same after every test.
APPEND_ONLY = "automation_auditentry"  # Its rows cannot be deleted, by nobody.

_truncate_all = DatabaseOperations.sql_flush


def install() -> None:
    """For every flush of this process."""
    DatabaseOperations.sql_flush = _empty  # type: ignore[method-assign]


def _empty(
    self: DatabaseOperations,
    style: Any,
    tables: Sequence[str],
    *,
    reset_sequences: bool = False,
    allow_cascade: bool = False,
) -> list[str]:
    if reset_sequences or not tables:
        return _truncate_all(
            self, style, tables, reset_sequences=reset_sequences, allow_cascade=allow_cascade
        )
    names = [self.quote_name(table) for table in tables if table not in KEPT]
    with self.connection.cursor() as cursor:
        cursor.execute(
            " UNION ALL ".join(
                f"SELECT {number}, EXISTS (SELECT FROM {name}),"
                f" {name == self.quote_name(APPEND_ONLY)} OR EXISTS (SELECT FROM {name} OFFSET {FEW})"
                for number, name in enumerate(names)
            )
        )
        found = [
            (names[number], is_large) for number, is_written, is_large in cursor.fetchall() if is_written
        ]
    if not found:
        return []
    # In any order: foreign keys hold again once all is gone.
    return [
        "SET LOCAL session_replication_role = replica",
        *(
            f"TRUNCATE {name} CASCADE" if must_go_at_once else f"DELETE FROM {name}"
            for name, must_go_at_once in found
        ),
        "SET LOCAL session_replication_role = DEFAULT",
    ]
