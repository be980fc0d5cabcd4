"""Everything that is stored about a person, as JSON: exactly the tables that an erasure walks."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any, Final

from django.db import connection, transaction

from automation import audit
from automation.privacy import tombstone
from automation.privacy.holdings import HOLDINGS
from automation.privacy.person import Person, Who, find
from automation.privacy.traces import traces

if TYPE_CHECKING:
    from django.http import HttpRequest

FORMAT: Final = "beckon.person/1"
IN_MEMORY: Final = 4 * 1024 * 1024  # A larger document is put together in a file.
_ROWS: Final = 500


def export(
    who: Who, *, by: str, now: datetime, actor_id: int | None = None, request: HttpRequest | None = None
) -> dict[str, Any]:
    """The document: `format`, `exported_at`, `outcome` (found, erased or unknown), `tables`.

    `tables` maps each table that has rows of the person to these rows, column by column. Recorded in the audit log.
    """
    with exported(who, by=by, now=now, actor_id=actor_id, request=request) as file:
        document: dict[str, Any] = json.load(file)
        return document


@contextlib.contextmanager
def exported(
    who: Who, *, by: str, now: datetime, actor_id: int | None = None, request: HttpRequest | None = None
) -> Iterator[IO[bytes]]:
    """The same as an open file at its beginning, for documents that need not fit into memory."""
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as file:
        profile_ids = write(file, who, now)
        audit.record(
            "customer.exported",
            actor=by,
            actor_id=actor_id,
            target=" ".join(["profiles.profile", *map(str, profile_ids[:1])]),
            details={"profiles": len(profile_ids), "bytes": file.tell()},
            request=request,
        )
        file.seek(0)
        yield file  # type: ignore[misc]  # A spooled file is one in all but name.


def write(file: Any, who: Who, now: datetime) -> tuple[int, ...]:
    """Write the document, all of it as of one moment; returns whose profiles it is about."""
    is_outermost = not connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        if is_outermost:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        person = find(who)
        head = {"format": FORMAT, "exported_at": now.isoformat(), "outcome": outcome(person)}
        file.write(f'{json.dumps(head)[:-1]}, "tables": {{'.encode())
        separator = ""
        for table, rows in _tables(person, now):
            first = next(rows, None)
            if first is None:
                continue
            file.write(f'{separator}\n"{table}": [\n{first}'.encode())
            for row in rows:
                file.write(f",\n{row}".encode())
            file.write(b"\n]")
            separator = ","
        file.write(b"\n}}\n")
    return person.profile_ids


def preview(who: Who, now: datetime) -> dict[str, int]:
    """How many rows an export or an erasure would find in each table."""
    values = traces(find(who), now)
    counts = {}
    with connection.cursor() as cursor:
        for holding in HOLDINGS:
            cursor.execute(f"SELECT count(*) FROM {holding.table} WHERE {holding.whose}", values)
            counts[holding.table] = cursor.fetchone()[0]
    return {table: count for table, count in counts.items() if count}


def outcome(person: Person) -> str:
    """Whether there is anything to tell."""
    if person.profile_ids and not person.is_erased:
        return "found"
    return "erased" if person.is_erased or tombstone.is_buried(person.names) else "unknown"


def _tables(person: Person, now: datetime) -> Iterator[tuple[str, Iterator[str]]]:
    values = traces(person, now)
    for holding in HOLDINGS:
        yield (
            holding.table,
            _rows(f"SELECT * FROM {holding.table} WHERE {holding.whose} ORDER BY 1, 2, 3", values),
        )


def _rows(query: str, values: Any) -> Iterator[str]:
    """Rows as JSON text, fetched a few at a time."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(f"SELECT row_to_json(found)::text FROM ({query}) found", values)
        while rows := cursor.fetchmany(_ROWS):
            for (row,) in rows:
                yield row
