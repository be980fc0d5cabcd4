"""CSV that a spreadsheet opens without carrying it out, made row by row (R-053)."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from django.db.models import QuerySet

BATCH = 1_000  # Rows of one query and of one piece of the answer.

# A spreadsheet takes a cell for a formula by its first character, some after having dropped quotes, blanks, or
# invisible characters before it; East Asian ones read the full-width forms alike.
_FORMULA = re.compile(
    "[\\s\"'`\u00b4\u2018\u2019\u201c\u201d\u200b-\u200f\u2060\ufeff\x00-\x1f]*[=+\\-@＝＋－＠]"
)
_BREAKS = ("\t", "\r", "\n")


class Shows(Enum):
    """What of a column somebody without `view_pii` gets."""

    ALL = "the value"
    ADDRESS = "an e-mail address or a telephone number, masked"
    NAME = "a name's first letter"
    CUSTOMER = "a customer id, masked where it is an address"
    NOTHING = "nothing: text or a document that may say anything of a person"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of an export."""

    heading: str
    path: str  # As `values_list` takes it.
    shows: Shows = Shows.ALL


@dataclass(slots=True)
class Progress:
    """How far an export has come."""

    rows: int = 0
    outcome: str = "broken off"  # complete | cut | broken off


def cell(value: Any) -> str | int | float | Decimal:
    """What is written for `value`.

    Numbers stay numbers, also negative ones: their type says that nobody could have typed a formula. Every text
    that could start a formula gets a `'` before it, also a telephone number (+49…) or "-5".
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int(value)
    if isinstance(value, Decimal):
        return value if value.is_finite() else guarded(str(value))
    if isinstance(value, float):
        return value if math.isfinite(value) else guarded(str(value))
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping | list | tuple):
        return guarded(json.dumps(value, ensure_ascii=False, sort_keys=True, default=str))
    return guarded(str(value))


def guarded(text: str) -> str:
    """`text` with a `'` before it when a spreadsheet could take it for a formula."""
    return f"'{text}" if text.startswith(_BREAKS) or _FORMULA.match(text) else text


def line(cells: Sequence[Any]) -> str:
    """One line; text is quoted, so that a reader with another separator does not split it."""
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_NONNUMERIC).writerow([cell(value) for value in cells])
    return out.getvalue()


def lines(
    queryset: QuerySet[Any],
    columns: Sequence[Column],
    *,
    limit: int,
    show: Callable[[Shows, Any], Any],
    ended: Callable[[Progress], None],
) -> Generator[str, None, None]:
    """The whole CSV in pieces: its heading at once, then BATCH rows each, newest first, at most `limit` rows.

    Each piece is a query of its own below the key of the last row, so however slowly somebody reads, no
    transaction stays open and no more than one piece is in memory. `ended` hears how far it came, also when the
    reader went away.
    """
    progress = Progress()
    rows = queryset.order_by("-pk").values_list("pk", *(column.path for column in columns))
    rest = rows
    try:
        yield line([column.heading for column in columns])
        while True:
            batch = list(rest[: min(BATCH, limit - progress.rows)])
            if batch:
                progress.rows += len(batch)
                rest = rows.filter(pk__lt=batch[-1][0])
                yield "".join(line(_shown(values, columns, show)) for _, *values in batch)
            if progress.rows >= limit:
                progress.outcome = "cut" if rest.exists() else "complete"
                if progress.outcome == "cut":
                    yield line(
                        [f"Cut after {limit} rows. Narrow the list with its filters and export again."]
                    )
                return
            if len(batch) < BATCH:
                progress.outcome = "complete"
                return
    finally:
        ended(progress)


def _shown(values: Sequence[Any], columns: Sequence[Column], show: Callable[[Shows, Any], Any]) -> list[Any]:
    return [show(column.shows, value) for column, value in zip(columns, values, strict=True)]
