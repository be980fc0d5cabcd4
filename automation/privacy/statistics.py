"""PostgreSQL's own notes: ANALYZE keeps samples of columns, whole values among them, until it runs again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from django.db import connection

from automation.privacy.holdings import HOLDINGS

CAN_CLEAR: Final = 180_000  # PostgreSQL's version from which on notes can be taken out.


class Noted(NamedTuple):
    """A column with samples, of a table or of one partition."""

    schema: str
    table: str
    column: str
    is_inherited: bool


# Columns that can hold words of a customer, by the table that the application knows.
_COLUMNS = """
SELECT coalesce(pg_partition_root(c.oid), c.oid)::regclass::text, s.attname::text, array_agg(s.tablename::text)
FROM pg_stats s
JOIN pg_class c ON c.relname = s.tablename AND c.relnamespace = s.schemaname::regnamespace AND c.relkind IN ('r', 'p')
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = s.attname
WHERE s.schemaname = current_schema() AND a.atttypid IN ('text'::regtype, 'varchar'::regtype, 'jsonb'::regtype)
GROUP BY 1, 2
"""
_NAMING = """
WITH mine AS MATERIALIZED (SELECT DISTINCT {column}::text AS value FROM {table} WHERE {whose}),
noted AS (
  SELECT schemaname::text, tablename::text, attname::text, inherited,
    unnest(coalesce(most_common_vals::text::text[], '{{}}')
      || coalesce(histogram_bounds::text::text[], '{{}}')) AS value
  FROM pg_stats WHERE schemaname = current_schema() AND attname = %(attname)s AND tablename = ANY(%(tablenames)s))
SELECT DISTINCT schemaname, tablename, attname, inherited FROM noted JOIN mine USING (value) WHERE value <> ''
"""

_SINCE = """
SELECT s.schemaname::text, s.tablename::text, s.attname::text, s.inherited
FROM pg_stats s JOIN pg_stat_user_tables u ON u.schemaname = s.schemaname AND u.relname = s.tablename
JOIN pg_attribute a ON a.attrelid = u.relid AND a.attname = s.attname
WHERE s.schemaname = current_schema() AND a.atttypid IN ('text'::regtype, 'varchar'::regtype, 'jsonb'::regtype)
  AND coalesce(pg_partition_root(u.relid), u.relid)::regclass::text = ANY(%(tables)s)
  AND greatest(u.last_analyze, u.last_autoanalyze) >= %(moment)s
"""


def naming(values: Mapping[str, Any]) -> list[Noted]:
    """The columns whose samples hold a value of the person's rows. Ask before these are gone."""
    noted: list[Noted] = []
    columns = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(_COLUMNS)
        for table, column, partitions in cursor.fetchall():
            columns[table].append((column, partitions))
        for holding in HOLDINGS:
            for column, partitions in columns[holding.table]:
                if column not in holding.kept:
                    query = _NAMING.format(
                        column=connection.ops.quote_name(column), table=holding.table, whose=holding.whose
                    )
                    cursor.execute(query, {**values, "attname": column, "tablenames": partitions})
                    noted += map(Noted._make, cursor.fetchall())
    return noted


def since(moment: datetime) -> list[Noted]:
    """The columns of which samples were taken after `moment`: perhaps of rows that were just being erased."""
    tables = [holding.table for holding in HOLDINGS]
    with connection.cursor() as cursor:
        cursor.execute(_SINCE, {"tables": tables, "moment": moment})
        return [Noted._make(row) for row in cursor.fetchall()]


def resample(noted: Iterable[Noted]) -> None:
    """Take new samples of these columns; the person's rows are gone.

    ANALYZE leaves the notes of a table as they are when it finds it empty, so they are taken out before, where
    PostgreSQL can do that.
    """
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        for one in noted:
            if connection.connection.server_version >= CAN_CLEAR:
                cursor.execute("SELECT pg_clear_attribute_stats(%s, %s, %s, %s)", one)
            cursor.execute(f"ANALYZE {quote(one.schema)}.{quote(one.table)} ({quote(one.column)})")
