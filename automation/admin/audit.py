"""The audit log, for reading: who did what, when and from where, and whether the chain is whole."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from automation import audit
from automation.admin import links
from automation.models import AuditCheck, AuditEntry, AuditPersonal
from profiles.admin.lists import KeysetAdmin, KnownValuesFilter, ReadOnly
from profiles.admin.parts import pretty
from profiles.clock import when
from profiles.masking import may_see

SHOWN = 120  # Characters of the details in the list.
CHOICES = 100  # Values a filter offers.
DAYS = 31

# Hops along the index from one value to the next, instead of a DISTINCT over the whole log.
_VALUES = """
WITH RECURSIVE one AS (
  (SELECT {column} AS v FROM automation_auditentry ORDER BY {column} LIMIT 1)
  UNION ALL
  SELECT (SELECT {column} FROM automation_auditentry WHERE {column} > v ORDER BY {column} LIMIT 1) FROM one
  WHERE v IS NOT NULL
)
SELECT v FROM one WHERE v IS NOT NULL LIMIT %s
"""


class _ValuesFilter(KnownValuesFilter):
    """By a value that occurs in the log."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        with connection.cursor() as cursor:
            cursor.execute(_VALUES.format(column=self.field), [CHOICES])
            return [(value, value) for (value,) in cursor.fetchall()]


class ActionFilter(_ValuesFilter):
    """By what was done."""

    title = gettext_lazy("action")
    parameter_name = field = "action"


class ActorFilter(_ValuesFilter):
    """By who did it."""

    title = gettext_lazy("who")
    parameter_name = field = "actor"


class DayFilter(admin.SimpleListFilter):
    """By day, in the site's zone."""

    title = gettext_lazy("day")
    parameter_name = "day"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        today = timezone.localdate()
        days = [today - timedelta(days=back) for back in range(DAYS)]
        return [(day.isoformat(), date_format(day, "D j M")) for day in days]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        try:
            day = date.fromisoformat(self.value() or "")
        except ValueError:
            return queryset
        start = datetime.combine(day, time.min, tzinfo=timezone.get_current_timezone())
        return queryset.filter(at__gte=start, at__lt=start + timedelta(days=1))


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly, KeysetAdmin):
    list_title = gettext_lazy("Audit log")
    change_list_template = "admin/beckon/audit_list.html"
    list_display = ("when", "actor", "action", "shown_target", "short", "ip")
    list_display_links = ("when",)
    list_filter = (ActionFilter, ActorFilter, DayFilter)
    search_fields = ("target",)
    search_help_text = gettext_lazy("The exact target, such as automation.trigger 5, or the entry's number.")
    fields = (
        ("id", "when"),
        ("actor", "actor_id"),
        ("action", "shown_target"),
        "shown_details",
        "shown_personal",
        ("ip", "request_id"),
        "personal_digest",
        "previous_hash",
        "entry_hash",
    )
    readonly_fields = ("when", "shown_target", "shown_details")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        wanted = Q(target=term)
        if term.isdecimal() and len(term) <= 18:
            wanted |= Q(pk=int(term))
        return queryset.filter(wanted), False

    def get_readonly_fields(self, request: HttpRequest, obj: AuditEntry | None = None) -> tuple[str, ...]:
        return (*self.readonly_fields, "shown_personal")

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        entry = super().get_object(request, object_id, from_field)
        if entry is not None:
            entry.personal_seen = may_see(request.user)
        return entry

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        said, is_bad = chain_state()
        more = {"chain_said": said, "chain_problem": is_bad, **(extra_context or {})}
        return super().changelist_view(request, more)

    @admin.display(description=gettext_lazy("when"))
    def when(self, entry: AuditEntry) -> str | SafeString:
        return when(entry.at)

    @admin.display(description=gettext_lazy("what it was done to"))
    def shown_target(self, entry: AuditEntry) -> str | SafeString:
        label, _, pk = entry.target.partition(" ")
        try:
            apps.get_model(label)
            return links.anchor(label, pk, entry.target) if pk else entry.target
        except (LookupError, ValueError, NoReverseMatch):  # Not a record that has a page.
            return entry.target or "–"

    @admin.display(description=gettext_lazy("details"))
    def short(self, entry: AuditEntry) -> str:
        words = entry.details.get("changes")
        name = entry.details.get("name", "")
        text = f"{name}: {words}" if words else name or json.dumps(entry.details, ensure_ascii=False)
        text = "" if text == "{}" else text
        return f"{text[:SHOWN]}…" if len(text) > SHOWN else text

    @admin.display(description=gettext_lazy("details"))
    def shown_details(self, entry: AuditEntry) -> SafeString:
        return pretty(entry.details)

    @admin.display(description=gettext_lazy("personal values"))
    def shown_personal(self, entry: AuditEntry) -> str | SafeString:
        if not entry.personal_digest:
            return "–"
        side = AuditPersonal.objects.filter(pk=entry.pk).first()
        if side is None:
            return _("Erased; the chain keeps only a digest whose salt is gone.")
        if not getattr(entry, "personal_seen", False):
            return _("Only for those who may see personal data.")
        return pretty(side.values)


@admin.register(AuditPersonal)
class AuditPersonalAdmin(ReadOnly, KeysetAdmin):
    """Only for those who see personal data; deleted by erasure, not here."""

    list_display = ("entry_id", "profile_id")
    fields = ("entry", "profile_id", "shown_values")
    readonly_fields = ("entry", "profile_id", "shown_values")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request, obj) and may_see(request.user)

    @admin.display(description=gettext_lazy("values"))
    def shown_values(self, side: AuditPersonal) -> SafeString:
        return pretty(side.values)


@admin.register(AuditCheck)
class AuditCheckAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("__str__", "complete_at", "checked_at", "walked_id", "problem")


def chain_state() -> tuple[str, bool]:
    """What the last check found and which head to note outside, in words; and whether something is wrong."""
    head_id, head_hash = audit.head()
    check = AuditCheck.objects.first()
    if check is not None and check.problem:
        return _("This log was tampered with: %(problem)s. Run manage.py verify_audit.") % {
            "problem": check.problem
        }, True
    newest = (
        _("Newest entry: %(entry)s (note it outside this database).") % {"entry": f"{head_id}:{head_hash}"}
        if head_id
        else ""
    )
    if check is None or check.complete_at is None:
        return " ".join((_("Not verified yet: the periodic check has not run."), newest)), False
    at = links.clock(check.complete_at)
    verified = _("Verified up to entry %(entry)s on %(moment)s.") % {
        "entry": f"{check.head_id}:{check.head_hash}",
        "moment": at,
    }
    return " ".join((verified, newest)), False
