"""What is wrong with a trigger that a person should look into: one query more than the facts of a list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from automation.admin.trigger_facts import Fortnight, fortnights
from automation.engine.types import Mode
from automation.models import Trigger

UNSEEN = timedelta(days=7)
MIN_BROKEN = 5  # So few events that could not be checked are no problem yet.
BROKEN_SHARE = 0.01  # Of what was decided or could not be.
MIN_FAILED = 5
FAILED_SHARE = 0.05  # Of the actions that ended.


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
