"""What triggers did lately, read from the tallies, and what is wrong with them: two queries for a whole list."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Sum
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from automation.engine.types import Mode
from automation.models import Tally, Trigger

DAYS = 14
UNSEEN = timedelta(days=7)
MIN_BROKEN = 5  # So few events that could not be checked are no problem yet.
BROKEN_SHARE = 0.01  # Of what was decided or could not be.
MIN_FAILED = 5
FAILED_SHARE = 0.05  # Of the actions that ended.
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


@dataclass(frozen=True, slots=True)
class Known:
    """What the problems of triggers are measured by."""

    templates: Mapping[str, bool]  # Key -> whether it is published.
    seen: Mapping[str, datetime]  # Event name -> when the last one was decided.


def known() -> Known:
    """Every template and every event name; one query, both are short lists."""
    templates, seen = {}, {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 'template', key, is_published, NULL FROM automation_template"
            " UNION ALL SELECT 'event', name, true, last_seen FROM automation_catalogueentry"
        )
        for kind, name, is_published, last_seen in cursor.fetchall():
            if kind == "template":
                templates[name] = is_published
            else:
                seen[name] = last_seen
    return Known(templates, seen)


def problems(trigger: Trigger, facts: Fortnight, about: Known, now: datetime) -> list[str]:
    """What a person should look into, a sentence each; none for what is a draft, paused by hand or archived."""
    said = []
    if (
        trigger.mode == Mode.PAUSED
        and trigger.pause_reason
        and not trigger.pause_reason.startswith("Paused by")
    ):
        said.append(_("Paused: %(reason)s") % {"reason": trigger.pause_reason})
    if trigger.mode not in (Mode.LIVE, Mode.SHADOW):
        return said
    for key in templates_of(trigger.actions):
        if not about.templates.get(key):
            said.append(_("The template “%(key)s” is missing or not published.") % {"key": key})
    for name in events_of(trigger.conditions):
        at = about.seen.get(name)
        if at is None or now - at > UNSEEN:
            said.append(_("No event “%(name)s” for 7 days.") % {"name": name})
    judged = sum(facts.fired) + facts.held + facts.broken
    if facts.broken >= MIN_BROKEN and facts.broken > judged * BROKEN_SHARE:
        said.append(
            ngettext("%(n)s event could not be checked.", "%(n)s events could not be checked.", facts.broken)
            % {"n": f"{facts.broken:,}"}
        )
    if facts.failed >= MIN_FAILED and facts.failed > facts.ended * FAILED_SHARE:
        said.append(
            _("%(failed)s of %(ended)s actions failed.")
            % {"failed": f"{facts.failed:,}", "ended": f"{facts.ended:,}"}
        )
    return said


def events_of(conditions: Any) -> list[str]:
    """Names of the events that the stored conditions wait for at their top level."""
    listed = conditions if isinstance(conditions, list) else []
    names = [
        node.get("event_type")
        for node in listed
        if isinstance(node, dict) and node.get("type") == "event_match"
    ]
    return list(dict.fromkeys(name for name in names if isinstance(name, str) and name))


def templates_of(actions: Any) -> list[str]:
    """Keys of the templates that the stored actions name."""
    listed = actions if isinstance(actions, list) else []
    keys = [action.get("template_id") for action in listed if isinstance(action, dict)]
    return list(dict.fromkeys(key for key in keys if isinstance(key, str) and key))


def problematic(triggers: Iterable[Trigger], now: datetime) -> list[int]:
    """Ids of those with a problem; two queries."""
    about, facts = known(), fortnights(None, now)
    return [
        trigger.pk
        for trigger in triggers
        if problems(trigger, facts.get(trigger.pk) or Fortnight(), about, now)
    ]


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
