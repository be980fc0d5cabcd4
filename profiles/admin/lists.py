"""Lists over tables that grow without end: paged by key, never counted, never a query per row."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters, ShowFacets
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import Promise, cached_property
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy

BEFORE = "before"  # Query parameter: the list continues below this key.
COUNT_LIMIT = 1000  # Nothing counts further than this.


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts no further than COUNT_LIMIT rows; enough for a picker's *more results*."""

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        if isinstance(rows, QuerySet):
            return int(rows[:COUNT_LIMIT].count())
        return len(rows)


class Titled(ChangeList):
    """Named after what it lists instead of "Select … to change"."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name = getattr(self.model_admin, "list_title", "") or str(self.opts.verbose_name_plural)
        self.title = capfirst(name)

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.model_admin.show_full_result_count:
            self.full_result_count = self.result_count  # Else it offers to show all of an unknown number.


class KeysetChangeList(Titled):
    """One page of rows below a key, newest first; `older` leads to the next page when there is one."""

    older: str | None = None

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        # Django would take the parameter for a filter of a field.
        query = request.GET.copy()
        self.before = (query.pop(BEFORE, None) or [""])[0]
        request.GET = query  # type: ignore[assignment]
        super().__init__(request, *args, **kwargs)

    def get_ordering(self, request: HttpRequest, queryset: Any) -> Any:
        return ["-pk"]

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> Any:
        queryset = super().get_queryset(request, exclude_parameters)
        if self.before:
            try:
                queryset = queryset.filter(pk__lt=self.lookup_opts.pk.to_python(self.before))  # type: ignore[union-attr]
            except ValidationError as error:
                raise IncorrectLookupParameters from error
        return queryset

    def get_results(self, request: HttpRequest) -> None:
        """The rows of this page, and one more to know whether there is a next one."""
        rows = list(self.queryset[: self.list_per_page + 1])
        self.result_list = rows[: self.list_per_page]  # type: ignore[assignment]
        if len(rows) > self.list_per_page:
            self.older = self.get_query_string({BEFORE: str(self.result_list[-1].pk)})
        self.result_count = self.full_result_count = len(self.result_list)
        self.show_full_result_count = False
        self.show_admin_actions = bool(rows)
        self.can_show_all, self.multi_page = True, False
        self.paginator = self.model_admin.get_paginator(request, self.result_list, self.list_per_page)


class KeysetAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Base of the admin of a big table."""

    list_title: str | Promise = ""  # Heading of the list; empty: the model's plural.

    change_list_template = "admin/beckon/keyset_list.html"
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_per_page = 50
    ordering = ("-pk",)
    sortable_by = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetChangeList


class ReadOnly:
    """Mixed in before ModelAdmin: rows that the pipeline alone writes; not even a superuser edits them."""

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class RecentFilter(admin.SimpleListFilter):
    """Rows of the last hour, day, week or month by one time field."""

    field: ClassVar[str]
    title = gettext_lazy("time")
    parameter_name = "last"
    spans: ClassVar[dict[str, tuple[str | Promise, timedelta]]] = {
        "hour": (gettext_lazy("Last hour"), timedelta(hours=1)),
        "day": (gettext_lazy("Last 24 hours"), timedelta(hours=24)),
        "week": (gettext_lazy("Last 7 days"), timedelta(days=7)),
        "month": (gettext_lazy("Last 30 days"), timedelta(days=30)),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(key, str(label)) for key, (label, _span) in self.spans.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        span = self.spans.get(self.value() or "")
        return queryset.filter(**{f"{self.field}__gte": timezone.now() - span[1]}) if span else queryset


def recent(field: str) -> type[RecentFilter]:
    """A RecentFilter over `field`."""
    return type("RecentFilter", (RecentFilter,), {"field": field})


class KnownValuesFilter(admin.SimpleListFilter):
    """Choices from a list that we know, instead of a DISTINCT over a big table."""

    field: ClassVar[str]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{self.field: self.value()}) if self.value() else queryset


def by_customer(queryset: QuerySet[Any], term: str, profile_ids: list[int], **also: Any) -> QuerySet[Any]:
    """Rows of these profiles, or rows that match one of `also`; a number is tried as the row's own id too."""
    wanted = models.Q(profile_id__in=profile_ids)
    for lookup, value in also.items():
        wanted |= models.Q(**{lookup: value})
    if term.isdecimal() and len(term) <= 18:
        wanted |= models.Q(pk=int(term))
    return queryset.filter(wanted)
