"""The compiled triggers of this process, kept fresh by the epoch that any change of a trigger raises."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Iterable

from django.db import connection

from automation.engine.definition import TriggerDefinition
from automation.engine.matching import TriggerIndex
from automation.engine.rules import CompiledTrigger, compile_trigger
from automation.engine.types import Mode, Priority
from automation.pipeline.consent import STATE_EVENTS

log = logging.getLogger(__name__)

WEB_SECONDS = 1.0  # Web processes look at the epoch this often; workers before every batch.


class _Cache:
    """What this process knows; replaced as a whole, so that readers need no lock."""

    def __init__(self, epoch: int, index: TriggerIndex) -> None:
        self.epoch = epoch
        self.index = index
        self.checked_at = time.monotonic()


_cache: _Cache | None = None
_lock = threading.Lock()


def current(*, max_age: float = 0.0) -> TriggerIndex:
    """The index of live and shadow triggers, at most `max_age` seconds behind the database."""
    global _cache
    cache = _cache
    if cache and max_age and time.monotonic() - cache.checked_at < max_age:
        return cache.index
    with _lock:
        with connection.cursor() as cursor:
            cursor.execute("SELECT value FROM automation_epoch WHERE id = 1")
            row = cursor.fetchone()
        epoch = row[0] if row else 0
        cache = _cache
        if cache is None or cache.epoch != epoch:
            cache = _cache = _Cache(epoch, _refreshed(cache.index if cache else TriggerIndex(())))
            gc.freeze()  # Thousands of compiled triggers need not be walked at every collection.
        cache.checked_at = time.monotonic()
        return cache.index


def lanes(names: Iterable[str]) -> dict[str, Priority]:
    """The lane of each event name: the highest priority among the triggers that listen; with none, low."""
    index = current(max_age=WEB_SECONDS)
    floor = {name: Priority.HIGH if name in STATE_EVENTS else Priority.LOW for name in names}
    return {name: min(index.lane(name) or lowest, lowest) for name, lowest in floor.items()}


def forget() -> None:
    """Drop what this process knows, e.g. when a test rolled the database back."""
    global _cache
    _cache = None


def _refreshed(index: TriggerIndex) -> TriggerIndex:
    """`index` with only the changed triggers compiled anew."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, mode, current_version_id FROM automation_trigger"
            " WHERE mode IN ('live', 'shadow') AND current_version_id IS NOT NULL"
        )
        wanted = {trigger_id: (Mode(mode), version_id) for trigger_id, mode, version_id in cursor.fetchall()}
    known = {trigger_id: (t.mode, t.version_id) for trigger_id, t in index.by_id.items()}
    changed = {
        trigger_id: wanted[trigger_id] for trigger_id in wanted if wanted[trigger_id] != known.get(trigger_id)
    }
    removed = known.keys() - wanted.keys()
    return index.replace(_compiled(changed), removed) if changed or removed else index


def _compiled(wanted: dict[int, tuple[Mode, int]]) -> list[CompiledTrigger]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT trigger_id, definition::text FROM automation_triggerversion WHERE id = ANY(%s)",
            [[version_id for _, version_id in wanted.values()]],
        )
        definitions = dict(cursor.fetchall())
    compiled = []
    for trigger_id, (mode, version_id) in wanted.items():
        try:
            definition = TriggerDefinition.model_validate_json(definitions[trigger_id])
            compiled.append(
                compile_trigger(definition, trigger_id=trigger_id, version_id=version_id, mode=mode)
            )
        except ValueError as error:  # A version of an older release that this one refuses (S-097).
            _pause(trigger_id, f"Version {version_id} cannot be read: {str(error)[:200]}")
    return compiled


def _pause(trigger_id: int, reason: str) -> None:
    log.error("trigger paused", extra={"trigger_id": trigger_id, "reason": reason})
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE automation_trigger SET mode = 'paused', pause_reason = %s WHERE id = %s",
            [reason, trigger_id],
        )
