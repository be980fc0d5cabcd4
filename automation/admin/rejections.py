"""Requests of shops that were not accepted: what was wrong, where, and how often."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from automation.models import RejectedRequest
from automation.models.keys import PREFIX
from profiles.admin.lists import KeysetAdmin, KnownValuesFilter, ReadOnly
from profiles.clock import when


class KindFilter(KnownValuesFilter):
    """By what was wrong."""

    title = _("what was wrong")
    parameter_name = field = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, str(label)) for value, label in RejectedRequest.Kind.choices]


@admin.register(RejectedRequest)
class RejectedRequestAdmin(ReadOnly, KeysetAdmin):
    """A sample with a count; nothing of what was sent is kept but the place of the mistake."""

    list_title, page_title = _("Rejected requests"), _("Rejected request")
    list_display = ("last", "status", "message", "pointer", "count", "route", "key")
    list_display_links = ("last", "message")
    list_filter = (KindFilter,)
    search_fields = ("public_id",)
    search_help_text = _("The eight characters after bk_live_ of the key.")
    fields = (
        ("status", "kind"),
        "message",
        "hint",
        "pointer",
        ("count", "first", "last"),
        ("route", "key"),
    )
    readonly_fields = ("first", "last", "key")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[RejectedRequest], search_term: str
    ) -> tuple[QuerySet[RejectedRequest], bool]:
        term = search_term.strip()
        return (queryset.filter(public_id=term[:8]) if term else queryset), False

    @admin.display(description=_("last time"))
    def last(self, row: RejectedRequest) -> str | SafeString:
        return when(row.last_at)

    @admin.display(description=_("first time"))
    def first(self, row: RejectedRequest) -> str | SafeString:
        return when(row.first_at)

    @admin.display(description=_("key"))
    def key(self, row: RejectedRequest) -> str:
        return f"{PREFIX}{row.public_id}_…" if row.public_id else "–"
