"""What going live would change: in words, for the customers of the last 14 days, and for what waits."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import OperationalError
from django.utils import timezone
from django.utils.formats import date_format

from automation import backtest, reasons, wording
from automation.backtest import Backtest, Difference
from automation.engine.definition import TriggerDefinition
from automation.engine.rules import entry_names
from automation.engine.types import Mode, Reason
from automation.engine.validate import validate_definition
from automation.models import Trigger, TriggerVersion
from automation.pipeline import calling_off, index
from profiles.masking import hidden
from profiles.models import Profile

log = logging.getLogger(__name__)

DAYS = 14
SECONDS = 1.2  # For each look back, so that the page answers within three.
_REMOVED = "action removed: "
_LACKING = (Reason.NO_CONSENT, Reason.UNSUBSCRIBED)


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
    backtest: Backtest | None  # What it would have done in the last 14 days; None when it cannot be read.
    is_slow: bool  # There is no `backtest`, because PostgreSQL gave up on it.
    bars: list[tuple[str, int]]  # A day and how often it would have fired.
    lacking: int  # Of `backtest`: held back because the customer does not agree, or does not any more.
    held: list[tuple[str, int]]  # Of `backtest`: every reason in words.
    difference: (
        Difference | None
    )  # Against the version that acts now; None when none does, or nothing changed.
    won: list[tuple[int, str]]  # Some customers of `difference`, each with a name that shows no address.
    lost: list[tuple[int, str]]


def of(trigger: Trigger, *, now: datetime) -> Effects:
    """For the stored document of `trigger`, against what the engine has."""
    version, document = trigger.current_version, trigger.document()
    lines = wording.changes(version.definition, document).splitlines() if version else []
    definition, _problems = validate_definition(document)
    found, difference, is_slow = None, None, False
    if definition:
        try:
            found, difference = _looked_back(trigger, definition, now)
        except OperationalError:  # It must not stand in the way of going live.
            log.warning("the look back of trigger %s was too slow", trigger.pk, exc_info=True)
            is_slow = True
    return Effects(
        is_new=version is None,
        changes=lines,
        removed=[line.removeprefix(_REMOVED) for line in lines if line.startswith(_REMOVED)],
        listeners=_listeners(trigger, definition) if definition else [],
        kept=_kept(trigger),
        backtest=found,
        is_slow=is_slow,
        bars=_bars(found) if found else [],
        lacking=sum(found.held_back.get(reason, 0) for reason in _LACKING) if found else 0,
        held=[(_words(code), n) for code, n in found.held_back.items()] if found else [],
        difference=difference,
        won=_named(difference.won_examples) if difference else [],
        lost=_named(difference.lost_examples) if difference else [],
    )


def _named(ids: Iterable[int]) -> list[tuple[int, str]]:
    return [(one.pk, hidden(str(one))) for one in Profile.objects.filter(pk__in=list(ids)).order_by("pk")]


def _looked_back(
    trigger: Trigger, definition: TriggerDefinition, now: datetime
) -> tuple[Backtest, Difference | None]:
    """Of a live trigger whose document changed, both documents over the same days."""
    version = trigger.current_version
    if trigger.mode == Mode.LIVE and version is not None and version.definition != trigger.document():
        acting, _problems = validate_definition(version.definition)
        if acting is not None:
            found = backtest.differ(
                acting, definition, now=now, trigger_id=trigger.pk, max_seconds=SECONDS, days=DAYS
            )
            return found.after, found
    return backtest.run(definition, now=now, trigger_id=trigger.pk, max_seconds=SECONDS, days=DAYS), None


def _bars(found: Backtest) -> list[tuple[str, int]]:
    first = timezone.localtime(found.until) - timedelta(days=len(found.days) - 1)
    return [(date_format(first + timedelta(days=index), "j M"), n) for index, n in enumerate(found.days)]


def _words(code: str) -> str:
    words = reasons.WORDS.get(code)
    return str(words.text) if words else code


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
    waiting = calling_off.waiting([trigger.pk]).get(trigger.pk, [])
    numbers = dict(
        TriggerVersion.objects.filter(pk__in=[one.version_id for one in waiting]).values_list("pk", "number")
    )
    return [Kept(numbers[one.version_id], one.decisions, one.deliveries) for one in waiting]
