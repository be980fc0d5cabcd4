"""Indexes of partitioned tables: built partition by partition, and again after an interruption."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection
from django.db.migrations.state import ProjectState
from django.test.utils import CaptureQueriesContext

from automation.models.partitioned import AddPartitionedIndex

TABLE, NAME = "automation_execution", "execution_reason"
_PARTS = """
SELECT count(*), count(part.inhparent), bool_and(i.indisvalid) FROM pg_inherits p
JOIN pg_class c ON c.oid = p.inhrelid
LEFT JOIN pg_index i ON i.indrelid = c.oid AND EXISTS (
  SELECT FROM pg_inherits q WHERE q.inhrelid = i.indexrelid AND q.inhparent = to_regclass(%s))
LEFT JOIN pg_inherits part ON part.inhrelid = i.indexrelid
WHERE p.inhparent = %s::regclass
"""


def parts() -> tuple[int, int, bool]:
    """How many partitions there are, how many have their part of the index, and whether all are valid."""
    with connection.cursor() as cursor:
        cursor.execute(_PARTS, [NAME, TABLE])
        total, indexed, is_valid = cursor.fetchone()
        return total, indexed, is_valid


@pytest.mark.django_db(transaction=True)
def test_an_index_is_built_without_stopping_writers_and_goes_on_where_it_was_interrupted() -> None:
    """No statement builds on the whole table; a half-built part is built anew; then the parent is valid."""
    operations = import_module("automation.migrations.0009_execution_lists").Migration.operations
    (operation,) = [one for one in operations if one.index.name == NAME]
    assert isinstance(operation, AddPartitionedIndex)
    total, indexed, is_valid = parts()
    assert (indexed, is_valid) == (total, True)
    state = ProjectState.from_apps(apps)
    with connection.schema_editor(atomic=False) as editor:
        operation.database_backwards("automation", editor, state, state)
    assert parts()[1] == 0
    with connection.cursor() as cursor:  # What an interruption leaves.
        cursor.execute(
            f'CREATE INDEX "{NAME}" ON ONLY "{TABLE}" (reason, id DESC) WHERE NOT (reason = %s)', [""]
        )
        cursor.execute(f'CREATE INDEX "{TABLE}_rest_{NAME}" ON "{TABLE}_rest" (id)')
        cursor.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", [f"{TABLE}_rest_{NAME}"]
        )
    with CaptureQueriesContext(connection) as queries, connection.schema_editor(atomic=False) as editor:
        operation.database_forwards("automation", editor, state, state)
    assert parts() == (total, total, True)
    built = [one["sql"] for one in queries if one["sql"].startswith("CREATE INDEX")]
    assert len(built) == total + 1
    assert all("CONCURRENTLY" in sql or "ON ONLY" in sql for sql in built)
    with connection.cursor() as cursor:
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = %s::regclass", [NAME])
        assert cursor.fetchone() == (True,)
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("30s",)
