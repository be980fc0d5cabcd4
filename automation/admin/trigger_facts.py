"""What triggers did lately, read from the tallies: one query, whatever their number."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection
from django.db.models import Sum
from django.utils import timezone

from automation.models import Tally

DAYS = 14
_ENDED = ("sent", "uncertain", "failed")


class Done(NamedTuple):
    """Decisions of one trigger in a span of time."""

    fired: int
    held: int
    by_reason: Counter[str]  # status or status:reason -> count


@dataclass(slots=True)
class Fortnight:
    """One trigger over the last DAYS days of the viewer's calendar, today last."""

    fired: list[int] = field(default_factory=lambda: [0] * DAYS)
    held: int = 0
    broken: int = 0  # Events that could not be checked.
    failed: int = 0  # Actions given up.
    ended: int = 0  # Actions that came to an end by themselves.
    last_at: datetime | None = None  # Start of the last hour in which it fired.


def fortnights(trigger_ids: Collection[int] | None, now: datetime) -> dict[int, Fortnight]:
    """By trigger (None: all of them); one query over the hourly tallies."""
    zone = timezone.get_current_timezone()
    today = now.astimezone(zone).date()
    first = datetime.combine(today - timedelta(days=DAYS - 1), datetime.min.time(), zone)
    found: dict[int, Fortnight] = defaultdict(Fortnight)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT trigger_id, kind, CASE kind WHEN 'broken' THEN '' ELSE split_part(label, ':', 1) END AS what,"
            " (hour AT TIME ZONE %s)::date, sum(count), max(hour)"
            " FROM automation_tally WHERE kind IN ('executions', 'broken', 'deliveries') AND hour >= %s"
            " AND trigger_id IS NOT NULL AND (%s::bigint[] IS NULL OR trigger_id = ANY(%s::bigint[]))"
            " GROUP BY 1, 2, 3, 4",
            [str(zone), first, *[None if trigger_ids is None else list(trigger_ids)] * 2],
        )
        for trigger_id, kind, what, day, total, hour in cursor.fetchall():
            _add(found[trigger_id], kind, what, (today - day).days, int(total), hour)
    return found


def _add(facts: Fortnight, kind: str, what: str, ago: int, total: int, hour: datetime) -> None:
    if kind == "broken":
        facts.broken += total
    elif kind == "deliveries":
        facts.failed += total * (what == "failed")
        facts.ended += total * (what in _ENDED)
    elif what == "fired":
        facts.fired[DAYS - 1 - max(0, min(ago, DAYS - 1))] += total
        facts.last_at = max(facts.last_at or hour, hour)
    elif what == "suppressed":
        facts.held += total


def lately(trigger_ids: Collection[int], span: timedelta = timedelta(hours=24)) -> dict[int, Done]:
    """Decisions by trigger since `span` ago, by whole hours; one query."""
    rows = (
        Tally.objects.filter(kind="executions", hour__gt=timezone.now() - span, trigger_id__in=trigger_ids)
        .values_list("trigger_id", "label")
        .annotate(total=Sum("count"))
    )
    found = {trigger_id: Done(0, 0, Counter()) for trigger_id in trigger_ids}
    for trigger_id, label, total in rows:
        done = found[trigger_id]
        done.by_reason[label] += total
        found[trigger_id] = Done(
            done.fired + total * (label == "fired"),
            done.held + total * label.startswith("suppressed"),
            done.by_reason,
        )
    return found


def missed(trigger_id: int, span: timedelta = timedelta(hours=24)) -> Counter[tuple[str, str]]:
    """How often it did not match, by (missed or broken, pointer of the first failing condition)."""
    rows = (
        Tally.objects.filter(
            kind__in=["missed", "broken"], hour__gt=timezone.now() - span, trigger_id=trigger_id
        )
        .values_list("kind", "label")
        .annotate(total=Sum("count"))
    )
    first_failing = Counter[tuple[str, str]]()
    for kind, label, total in rows:
        first_failing[kind, label] += total
    return first_failing
