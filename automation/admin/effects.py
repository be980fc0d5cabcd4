"""What going live would change: in words, for the customers of the last 14 days, and for what waits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from automation import wording
from automation.engine.definition import TriggerDefinition
from automation.engine.rules import entry_names
from automation.engine.types import Mode
from automation.engine.validate import validate_definition
from automation.models import Trigger, TriggerVersion
from automation.pipeline import calling_off, index

_REMOVED = "action removed: "


class Kept(NamedTuple):
    """What waits and keeps the version it was decided with."""

    number: int  # Of the version.
    decisions: int
    deliveries: int


@dataclass(frozen=True, slots=True)
class Effects:
    """Everything that the page of confirmation says."""

    is_new: bool  # It was never published.
    changes: list[str]  # Against the newest version, a line each.
    removed: list[str]  # Actions of the newest version that the new one lacks.
    listeners: list[Trigger]  # Other live triggers that hear one of its events.
    kept: list[Kept]


def of(trigger: Trigger, *, now: datetime) -> Effects:
    """For the stored document of `trigger`, against what the engine has."""
    version, document = trigger.current_version, trigger.document()
    lines = wording.changes(version.definition, document).splitlines() if version else []
    definition, _problems = validate_definition(document)
    return Effects(
        is_new=version is None,
        changes=lines,
        removed=[line.removeprefix(_REMOVED) for line in lines if line.startswith(_REMOVED)],
        listeners=_listeners(trigger, definition) if definition else [],
        kept=_kept(trigger),
    )


def _listeners(trigger: Trigger, definition: TriggerDefinition) -> list[Trigger]:
    names = entry_names(definition.conditions)
    ids = [
        other.trigger_id
        for other in index.current(max_age=index.WEB_SECONDS).by_id.values()
        if other.mode is Mode.LIVE and other.trigger_id != trigger.pk and _overlap(names, other.event_names)
    ]
    return list(Trigger.objects.filter(pk__in=ids).order_by("name"))


def _overlap(some: frozenset[str], others: frozenset[str]) -> bool:
    return bool(some & others) or (bool(some and others) and "*" in some | others)


def _kept(trigger: Trigger) -> list[Kept]:
    waiting = calling_off.waiting(trigger.pk)
    numbers = dict(
        TriggerVersion.objects.filter(pk__in=[one.version_id for one in waiting]).values_list("pk", "number")
    )
    return [Kept(numbers[one.version_id], one.decisions, one.deliveries) for one in waiting]
