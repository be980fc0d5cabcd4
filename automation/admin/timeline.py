"""What happened to one customer, newest first: events, decisions, messages and changes in one list.

Each kind is asked once and for no more than a page; the place of a page is the time, kind and key of the last
entry of the page before, so that two things of one moment are neither lost nor shown twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any, Final, NamedTuple

from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from automation import reasons, traces
from automation.admin import links, trace
from automation.admin.executions import STATUSES
from automation.engine.types import ExecutionStatus
from automation.models import Delivery, Event, Execution
from profiles.masking import hidden, without_personal
from profiles.models import Consent, Identity, Membership, Profile

SHOWN = 30  # Entries of one page.
FACTS = 3  # Fields of an event's data that are told.
CHANGES = 200  # The newest changes of a kind; nobody has more.
_FACT_LENGTH = 40

KINDS: Final[Mapping[str, str | Promise]] = {
    "events": gettext_lazy("Events"),
    "decisions": gettext_lazy("Decisions"),
    "messages": gettext_lazy("Messages"),
    "changes": gettext_lazy("Changes"),
}
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_NO_KEY: Final = re.compile(r"(?!)")
_KEYS: Final = {  # What a key of each kind looks like in an address.
    "events": _NUMBER,
    "decisions": _NUMBER,
    "messages": re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "changes": re.compile(r"[a-z]+-[0-9]{1,18}"),
}
_RANK: Final = {kind: rank for rank, kind in enumerate(KINDS)}
# What a message came to, in order; each stage includes those before it.
_STAGES: Final = (
    (Delivery.Status.SENT, gettext_lazy("Sent")),
    (Delivery.Status.DELIVERED, gettext_lazy("Delivered")),
    (Delivery.Status.OPENED, gettext_lazy("Opened")),
    (Delivery.Status.CLICKED, gettext_lazy("Clicked")),
)
_REACHED: Final = {
    **{status.value: number for number, (status, _name) in enumerate(_STAGES)},
    Delivery.Status.BOUNCED.value: 0,
    Delivery.Status.COMPLAINED.value: 1,
}


class Stage(NamedTuple):
    """One stage of a message."""

    name: str
    is_reached: bool


class Entry(NamedTuple):
    """One thing that happened."""

    at: datetime
    kind: str
    key: str  # Orders the entries of one moment and kind.
    title: str
    url: str = ""
    note: str = ""
    tone: str = ""  # ok, held or failed.
    lines: tuple[traces.Line, ...] = ()
    guards: tuple[trace.Rail, ...] = ()
    stages: tuple[Stage, ...] = ()

    def masked(self) -> Entry:
        """The same for those who may not see addresses."""
        return self._replace(
            title=hidden(self.title),
            note=hidden(self.note),
            lines=tuple(line.masked() for line in self.lines),
            guards=tuple(guard._replace(details=hidden(guard.details)) for guard in self.guards),
        )


class Place(NamedTuple):
    """Where a page ended."""

    at: datetime
    kind: str
    key: str

    def __str__(self) -> str:
        return f"{self.at.isoformat()},{self.kind},{self.key}"


class Timeline(NamedTuple):
    """One page, by day, and where the next one begins."""

    days: list[tuple[str, list[Entry]]]
    older: str  # Empty: this was all.


def place(text: str) -> Place | None:
    """A place as a page's address has it; None for anything else."""
    moment, _comma, rest = text.partition(",")
    kind, _comma, key = rest.partition(",")
    try:
        at = parse_datetime(moment)
    except ValueError:
        return None
    is_key = _KEYS.get(kind, _NO_KEY).fullmatch(key)
    return Place(at, kind, key) if at and timezone.is_aware(at) and is_key else None


def timeline(profile: Profile, *, only: str = "", before: Place | None = None, may_see: bool) -> Timeline:
    """One page of `only` this kind, or of all."""
    found: list[Entry] = []
    for kind, load in _LOADERS.items():
        if only in ("", kind):
            found.extend(load(profile, before, may_see))
    found.sort(key=lambda entry: (entry.at, -_RANK[entry.kind], _sortable(entry.key)), reverse=True)
    page = [entry if may_see else entry.masked() for entry in found[:SHOWN]]
    last = page[-1] if len(found) > SHOWN else None
    days = [
        (date_format(timezone.localtime(entries[0].at), "l j F Y"), entries)
        for entries in (list(group) for _day, group in groupby(page, key=lambda one: _day(one.at)))
    ]
    return Timeline(days, str(Place(last.at, last.kind, last.key)) if last else "")


def _day(at: datetime) -> str:
    return timezone.localtime(at).date().isoformat()


def _sortable(key: str) -> tuple[int, str]:
    return (len(key), key) if key.isdecimal() else (0, key)


def _below(rows: QuerySet[Any], field: str, kind: str, before: Place | None) -> QuerySet[Any]:
    """Rows after `before` in the order of the list, one more than a page."""
    if before is not None:
        at = before.at
        if kind == before.kind:
            rows = rows.filter(Q(**{f"{field}__lt": at}) | Q(**{field: at, "pk__lt": before.key}))
        else:
            later = "lte" if _RANK[kind] > _RANK[before.kind] else "lt"
            rows = rows.filter(**{f"{field}__{later}": at})
    return rows.order_by(f"-{field}", "-pk")[: SHOWN + 1]


def _events(profile: Profile, before: Place | None, may_see: bool) -> Iterable[Entry]:
    rows = Event.objects.filter(profile=profile).defer("context")
    for event in _below(rows, "occurred_at", "events", before):
        data = event.data if may_see else without_personal(event.data)
        yield Entry(
            event.occurred_at,
            "events",
            str(event.pk),
            event.name.replace("_", " ").capitalize(),
            links.page("automation.event", event.pk),
            facts(data),
        )


def facts(data: Any) -> str:
    """The first few plain fields of an event's data: `total value 73.91 · currency EUR`."""
    if not isinstance(data, Mapping):
        return ""
    plain = [
        f"{str(name).replace('_', ' ')} {traces.seen(value)[:_FACT_LENGTH]}"
        for name, value in data.items()
        if isinstance(value, str | int | float) and value != ""
    ]
    return " · ".join(plain[:FACTS])


def _decisions(profile: Profile, before: Place | None, may_see: bool) -> Iterable[Entry]:
    rows = Execution.objects.filter(profile=profile).select_related("trigger", "version")
    for execution in _below(rows, "decided_at", "decisions", before):
        outcome = STATUSES[ExecutionStatus(execution.status)].lower()
        note = [_("version %(number)s") % {"number": execution.version.number}]
        if execution.reason:
            note.insert(0, reasons.label(execution.reason))
        drawn = trace.of_execution(execution)
        yield Entry(
            execution.decided_at,
            "decisions",
            str(execution.pk),
            _("“%(trigger)s” %(outcome)s") % {"trigger": execution.trigger.name, "outcome": outcome},
            links.page("automation.execution", execution.pk),
            " · ".join(note),
            trace.tone(execution.status),
            tuple(drawn.conditions),
            tuple(drawn.guards),
        )


def _messages(profile: Profile, before: Place | None, may_see: bool) -> Iterable[Entry]:
    rows = (
        Delivery.objects.filter(profile=profile)
        .exclude(channel="internal")
        .annotate(trigger_name=F("trigger__name"))
        .defer("result")
    )
    for sent in _below(rows, "created_at", "messages", before):
        reached = _REACHED.get(sent.status, -1)
        stages = [Stage(str(name), number <= reached) for number, (_status, name) in enumerate(_STAGES)]
        is_mail = sent.channel != "webhook"
        status = sent.get_status_display().lower()
        note = [sent.trigger_name, reasons.label(sent.reason) if sent.reason else status]
        yield Entry(
            sent.created_at,
            "messages",
            str(sent.pk),
            _("%(channel)s: %(status)s")
            % {"channel": sent.channel.replace("_", " ").capitalize(), "status": status},
            links.page("automation.delivery", sent.pk),
            " · ".join(filter(None, note if sent.reason else note[:1])),
            trace.tone(sent.status),
            stages=tuple(stages) if is_mail and reached >= 0 else (),
        )


def _changes(profile: Profile, before: Place | None, may_see: bool) -> Iterable[Entry]:
    """Words on consent, segments, names and traits: few rows of one customer, cut here."""
    found = [*_consents(profile), *_segments(profile), *_names(profile), *_traits(profile, may_see)]
    if before is not None:
        rank = _RANK["changes"]
        found = [
            one
            for one in found
            if (one.at, -rank, _sortable(one.key)) < (before.at, -_RANK[before.kind], _sortable(before.key))
        ]
    found.sort(key=lambda one: (one.at, _sortable(one.key)), reverse=True)
    return found[: SHOWN + 1]


def _consents(profile: Profile) -> Iterable[Entry]:
    for word in Consent.objects.filter(profile=profile).order_by("-recorded_at")[:CHANGES]:
        said = (
            _("Agreed to %(topic)s by %(channel)s")
            if word.is_granted
            else _("Refused %(topic)s by %(channel)s")
        )
        yield Entry(
            word.recorded_at,
            "changes",
            f"consent-{word.pk}",
            said % {"topic": word.topic, "channel": word.channel.replace("_", " ")},
            note=word.source,
            tone="ok" if word.is_granted else "failed",
        )


def _segments(profile: Profile) -> Iterable[Entry]:
    members = Membership.objects.filter(profile=profile).select_related("segment").order_by("-since")
    for member in members[:CHANGES]:
        title = _("Joined the segment “%(name)s”") % {"name": member.segment.name}
        yield Entry(member.since, "changes", f"segment-{member.pk}", title, note=member.source)


def _names(profile: Profile) -> Iterable[Entry]:
    for name in Identity.objects.filter(profile=profile).order_by("-created_at")[:CHANGES]:
        title = _("Became known as %(kind)s") % {"kind": name.get_kind_display().lower()}
        yield Entry(name.created_at, "changes", f"name-{name.pk}", title, note=name.value)


def _traits(profile: Profile, may_see: bool) -> Iterable[Entry]:
    """One entry for the traits that one event said."""
    said: dict[datetime, list[str]] = {}
    sources: dict[datetime, str] = {}
    for name, stamp in (profile.trait_stamps or {}).items():
        at = stamp_time(stamp)
        if at is not None:
            said.setdefault(at, []).append(str(name))
            sources[at] = str(stamp[1]) if len(stamp) > 1 else ""
    by_trigger = _of_triggers(profile, sources.values())
    for at, names in sorted(said.items(), reverse=True)[:CHANGES]:
        listed = ", ".join(name.replace("_", " ") for name in sorted(names)[:5])
        is_ours = sources[at] in by_trigger
        title = _("Changed: %(names)s") if is_ours else _("Said about themselves: %(names)s")
        note = _("by a trigger") if is_ours else ""
        key = f"traits-{int(at.timestamp())}"
        yield Entry(at, "changes", key, title % {"names": listed}, note=note)


def _of_triggers(profile: Profile, sources: Iterable[str]) -> set[str]:
    """Which of these sources of traits are actions of triggers; the others are events."""
    ids = [one for one in sources if _KEYS["messages"].fullmatch(one)]
    found = Delivery.objects.filter(pk__in=ids, profile=profile) if ids else Delivery.objects.none()
    return {str(pk) for pk in found.values_list("pk", flat=True)}


def stamp_time(stamp: Any) -> datetime | None:
    """When a trait was said: stamps are [moment, message id]."""
    moment = stamp[0] if isinstance(stamp, list | tuple) and stamp else None
    return parse_datetime(moment) if isinstance(moment, str) else None


_LOADERS: Final[Mapping[str, Callable[[Profile, Place | None, bool], Iterable[Entry]]]] = {
    "events": _events,
    "decisions": _decisions,
    "messages": _messages,
    "changes": _changes,
}
