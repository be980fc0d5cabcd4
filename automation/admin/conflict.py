"""Two people edit one trigger: what the second one is told, in words (ux.md section 3.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.utils.dateparse import parse_datetime

from automation import wording
from automation.admin import links
from automation.models import Trigger

MAX_SAVES = 10


@dataclass(frozen=True, slots=True)
class Save:
    """One save that came in between."""

    who: str
    at: str
    lines: tuple[str, ...]  # What it changed, in words.


@dataclass(frozen=True, slots=True)
class Conflict:
    """What others saved since the page was opened, and what saving mine would change of it."""

    saves: tuple[Save, ...]
    mine: tuple[str, ...]


def conflict(trigger: Trigger, form: Any) -> Conflict:
    """`form` was refused; `trigger` may carry its values already, so the stored row is read again."""
    stored = Trigger.objects.select_related("updated_by").get(pk=trigger.pk)
    since = parse_datetime(form.conflicts_with.partition("/")[0])
    entries = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(Trigger), object_id=str(trigger.pk)
    )
    if since is not None:
        entries = entries.filter(action_time__gt=since)
    saves = tuple(
        Save(entry.user.get_username(), links.clock(entry.action_time), _lines(entry))
        for entry in entries.select_related("user").order_by("-action_time")[:MAX_SAVES]
    )
    if not saves:  # The engine itself, or a command: nobody's name stands in the history.
        who = stored.updated_by.get_username() if stored.updated_by else "Beckon"
        why = stored.pause_reason or f"mode: {stored.mode}"
        saves = (Save(who, links.clock(stored.updated_at), (why,)),)
    mine = wording.changes(stored.document(), form.instance.document()).splitlines()
    if stored.mode != form.instance.mode:
        mine.append(f"mode: {stored.mode} → {form.instance.mode}")
    return Conflict(saves, tuple(mine))


def _lines(entry: LogEntry) -> tuple[str, ...]:
    return tuple(part for part in entry.get_change_message().split("; ") if part)
