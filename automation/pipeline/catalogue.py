"""The catalogue of event names and properties seen: for the editor's choices and for schema warnings.

Counted in memory and written every few seconds, apart from the decisions: names are hot rows, and a crash may
cost a few counts here. Never stores a value.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction

from automation.engine.types import Event

FLUSH_SECONDS = 5.0
SAMPLED = 5  # Events of a name whose properties are looked at, per batch.
MAX_PATHS = 200  # Property paths kept of one event name.

_lock = threading.Lock()
_volume: dict[str, int] = defaultdict(int)
_types: dict[str, dict[str, dict[str, int]]] = defaultdict(dict)
_flushed_at = time.monotonic()


def note(events: Iterable[Event]) -> None:
    """Count events that were decided; write the counts now and then."""
    sampled: dict[str, int] = defaultdict(int)
    with _lock:
        for event in events:
            _volume[event.name] += 1
            if sampled[event.name] < SAMPLED:
                sampled[event.name] += 1
                _note_properties(_types[event.name], event.data, "")
        is_due = time.monotonic() - _flushed_at >= FLUSH_SECONDS
    if is_due:
        flush()


def flush() -> None:
    """Write what was counted since the last time."""
    global _flushed_at
    with _lock:
        counted = [(name, n, _types.get(name, {})) for name, n in sorted(_volume.items())]
        _volume.clear()
        _types.clear()
        _flushed_at = time.monotonic()
    if not counted:
        return
    now = datetime.now(UTC)
    from automation.models import (
        CatalogueEntry,
    )  # Not on the hot path; the model is not needed elsewhere here.

    with transaction.atomic(), connection.cursor() as cursor:
        for name, volume, types in counted:
            cursor.execute(
                "INSERT INTO automation_catalogueentry (name, original_name, properties, volume, first_seen, last_seen)"
                " VALUES (%s, '', '{}', 0, %s, %s) ON CONFLICT DO NOTHING",
                [name, now, now],
            )
            entry = CatalogueEntry.objects.select_for_update().get(name=name)
            entry.volume += volume
            entry.last_seen = now
            _add(entry.properties, types)
            entry.save(update_fields=["volume", "last_seen", "properties"])


def _note_properties(
    types: dict[str, dict[str, int]], data: Mapping[str, Any], prefix: str, depth: int = 0
) -> None:
    for key, value in data.items():
        if "@" in key:
            continue  # Somebody's address, used as a key: the catalogue keeps no values.
        path = f"{prefix}{key}"
        if path not in types and len(types) >= MAX_PATHS:
            continue
        counts = types.setdefault(path, {})
        kind = _kind(value)
        counts[kind] = counts.get(kind, 0) + 1
        if depth < 3:
            if isinstance(value, dict):
                _note_properties(types, value, f"{path}.", depth + 1)
            elif isinstance(value, list) and value and isinstance(value[0], dict):
                _note_properties(types, value[0], f"{path}[].", depth + 1)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "text"
    return "list" if isinstance(value, list) else "object"


def _add(known: dict[str, dict[str, int]], new: Mapping[str, Mapping[str, int]]) -> None:
    for path, counts in new.items():
        if path not in known and len(known) >= MAX_PATHS:
            continue
        mine = known.setdefault(path, {})
        for kind, n in counts.items():
            mine[kind] = mine.get(kind, 0) + n
