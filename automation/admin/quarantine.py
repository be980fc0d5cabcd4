"""Events that could not be decided: what went wrong in plain words, alike ones together, replay and discard."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db import connection, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from automation.admin import links
from automation.models import Event, QuarantinedEvent
from automation.pipeline import quarantine
from profiles.admin.lists import KeysetAdmin, KnownValuesFilter, ReadOnly, recent
from profiles.admin.parts import pretty, verbatim
from profiles.clock import when
from profiles.masking import without_personal

LOOKED_AT: Final = 1000  # Newest held events that are sorted into groups.
AT_ONCE: Final = 200  # Events of one group that one press settles.
WORDS: Final[Mapping[str, Any]] = {
    "WorkerLost": gettext_lazy("The process that decided it died, more than once."),
    "KeyError": gettext_lazy("Something that is expected in it is not there."),
    "AttributeError": gettext_lazy("A value in it is of another kind than expected."),
    "TypeError": gettext_lazy("A value in it is of another kind than expected."),
    "ValueError": gettext_lazy("A value in it cannot be read."),
    "DataError": gettext_lazy("The database refuses a value in it."),
    "IntegrityError": gettext_lazy("The database refuses it: it contradicts what is stored."),
    "OverflowError": gettext_lazy("A number or a time in it is too large to calculate with."),
    "ZeroDivisionError": gettext_lazy("A calculation divided by zero."),
    "RecursionError": gettext_lazy("It is nested too deeply."),
    "MemoryError": gettext_lazy("Deciding it needs more memory than there is."),
}


def words(error_class: str) -> str:
    """What went wrong, for people; an error that is not known by name is said as such."""
    known = WORDS.get(error_class)
    return str(known) if known else _("It met an error that Beckon does not know.")


@dataclass(frozen=True, slots=True)
class Group:
    """Held events that failed alike: with the same error at the same place of the code."""

    error_class: str
    said: str
    place: str  # File, line and function.
    count: int
    first: datetime
    last: datetime
    ids: list[int]  # Rows that one press settles, the oldest first.

    @property
    def between(self) -> str:
        """When they failed."""
        return f"{links.clock(self.first)} – {links.clock(self.last)}"


# Greedy: the last frame, which is where it happened.
_GROUPS = r"""
SELECT error_class, coalesce(m[1] || ':' || m[2] || ' ' || m[3], ''), count(*), min(created_at), max(created_at),
 (array_agg(id ORDER BY id))[:%s]
FROM (SELECT id, error_class, created_at, regexp_match(right(traceback, 4000),
  '.*File "(?:[^"]*/)?([^/"]+)", line (\d+), in (\w+)') AS m
 FROM automation_quarantinedevent WHERE state = 'held' ORDER BY id DESC LIMIT %s) q
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
"""


def groups() -> list[Group]:
    """What is held, by fingerprint, the most frequent first."""
    with connection.cursor() as cursor:
        cursor.execute(_GROUPS, [AT_ONCE, LOOKED_AT])
        return [
            Group(error, words(error), place, count, first, last, list(ids))
            for error, place, count, first, last, ids in cursor.fetchall()
        ]


class ErrorFilter(KnownValuesFilter):
    """By the kind of error."""

    title = gettext_lazy("error")
    parameter_name = field = "error_class"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in sorted({group.error_class for group in groups()})]


class NoteForm(ActionForm):
    """Actions of the quarantine take a note."""

    note = forms.CharField(
        required=False, max_length=300, label=gettext_lazy("Note:"), widget=forms.TextInput
    )


@admin.register(QuarantinedEvent)
class QuarantinedEventAdmin(ReadOnly, KeysetAdmin):
    """Events that failed too often. Actions settle them; the rows themselves are not edited."""

    list_title = gettext_lazy("Quarantine")
    change_list_template = "admin/beckon/quarantine_list.html"
    list_display = (
        "held_since",
        "event",
        "said",
        "error_class",
        "lane",
        "data_failures",
        "worker_deaths",
        "state",
        "note",
    )
    list_filter = ("state", "lane", ErrorFilter, recent("created_at"))
    search_fields = ("event_id",)
    search_help_text = gettext_lazy("The event's id.")
    action_form = NoteForm
    actions = ("replay", "discard")
    fields = (
        "said",
        "event",
        ("state", "settled_at"),
        "note",
        "lane",
        "error_class",
        ("data_failures", "worker_deaths"),
        "code_version",
        "created_at",
        "shown_payload",
        "shown_traceback",
    )
    readonly_fields = ("said", "event", "shown_payload", "shown_traceback")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {"groups": groups(), "may_settle": self.has_settle_permission(request)}
        return super().changelist_view(request, {**(extra_context or {}), **context})

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[QuarantinedEvent], search_term: str
    ) -> tuple[QuerySet[QuarantinedEvent], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(event_id=int(term) if term.isdecimal() and len(term) <= 18 else -1), False

    def has_settle_permission(self, request: HttpRequest) -> bool:
        """Whether this user may replay and discard."""
        return bool(request.user.has_perm("automation.change_quarantinedevent"))

    @admin.action(description=gettext_lazy("Replay: put them back into the queue"), permissions=["settle"])
    def replay(self, request: HttpRequest, queryset: QuerySet[QuarantinedEvent]) -> None:
        replayed = self._each(request, queryset, quarantine.replay, "Replayed.")
        self._report(request, _("%(n)s put back into the queue.") % {"n": len(replayed)})

    @admin.action(description=gettext_lazy("Discard, with a note"), permissions=["settle"])
    def discard(self, request: HttpRequest, queryset: QuerySet[QuarantinedEvent]) -> None:
        note = request.POST.get("note", "").strip()
        if not note:
            self.message_user(request, _("Write into the note why they are given up."), messages.ERROR)
            return
        discarded = self._each(
            request, queryset, lambda event_id: quarantine.discard(event_id, note), f"Discarded: {note}"
        )
        self._report(request, _("%(n)s given up.") % {"n": len(discarded)})

    def _report(self, request: HttpRequest, done: str) -> None:
        """What was done, and how much is left of it."""
        left = sum(group.count for group in groups())
        more = f"{left:,}+" if left >= LOOKED_AT else f"{left:,}"
        rest = ngettext("%(n)s event is still held.", "%(n)s events are still held.", left) % {"n": more}
        self.message_user(request, " ".join((done, rest)), messages.SUCCESS)

    def _each(
        self,
        request: HttpRequest,
        queryset: QuerySet[QuarantinedEvent],
        how: Callable[[int], bool],
        words: str,
    ) -> list[QuarantinedEvent]:
        """The rows for which `how` did something; each together with its entry in the audit log."""
        done = []
        for row in queryset:
            with transaction.atomic():
                if how(row.event_id):
                    self.log_change(request, row, words)
                    done.append(row)
        return done

    @admin.display(description=gettext_lazy("held since"))
    def held_since(self, row: QuarantinedEvent) -> str | SafeString:
        return when(row.created_at)

    @admin.display(description=gettext_lazy("what went wrong"))
    def said(self, row: QuarantinedEvent) -> str:
        return words(row.error_class)

    @admin.display(description=gettext_lazy("event"))
    def event(self, row: QuarantinedEvent) -> SafeString:
        return links.anchor("automation.event", row.event_id, _("event %(id)s") % {"id": row.event_id})

    @admin.display(description=gettext_lazy("what it holds (personal data masked)"))
    def shown_payload(self, row: QuarantinedEvent) -> SafeString:
        event = Event.objects.filter(pk=row.event_id, occurred_at=row.occurred_at).first()
        if event is None:
            return pretty(None)
        return pretty({"name": event.name, "data": without_personal(event.data)})

    @admin.display(description=gettext_lazy("traceback, for developers"))
    def shown_traceback(self, row: QuarantinedEvent) -> SafeString:
        return verbatim(row.traceback)
