"""What a trigger did lately, read from the tallies: one query for a list, two for a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import timedelta
from typing import NamedTuple

from django.db.models import Sum
from django.utils import timezone

from automation.models import Tally


class Done(NamedTuple):
    """Decisions of one trigger in a span of time."""

    fired: int
    held: int
    by_reason: Counter[str]  # status or status:reason -> count


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
