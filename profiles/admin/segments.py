"""Segments and who is in them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from profiles.admin.customers import profile_ids
from profiles.admin.lists import KeysetAdmin, Titled
from profiles.models import Membership, Segment


@admin.register(Segment)
class SegmentAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_title = gettext_lazy("Segments")
    list_display = ("name", "key", "description", "created_at")
    search_fields = ("name", "key")
    prepopulated_fields = {"key": ("name",)}
    show_full_result_count = False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return Titled

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("key", "created_at") if obj else ("created_at",)  # Triggers refer to a segment by its key.

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return {} if obj else self.prepopulated_fields


@admin.register(Membership)
class MembershipAdmin(KeysetAdmin):
    list_display = ("profile", "segment", "since", "source")
    list_filter = ("segment",)
    list_select_related = ("profile", "segment")
    autocomplete_fields = ("profile", "segment")
    readonly_fields = ("since",)
    search_fields = ("profile__customer_id",)
    search_help_text = gettext_lazy("The exact customer id.")

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip()
        return (queryset.filter(profile_id__in=profile_ids(term)) if term else queryset), False
