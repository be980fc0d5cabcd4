"""What the list of triggers can be narrowed down to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from automation.admin import modes, trigger_problems
from automation.engine.types import Mode
from automation.models import Trigger


class ModeFilter(admin.SimpleListFilter):
    """By mode; archived triggers are hidden unless asked for."""

    title = gettext_lazy("mode")
    parameter_name = "mode"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(mode, str(word)) for mode, word in modes.WORDS.items()]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        first, *rest = super().choices(changelist)
        yield {**first, "display": _("All but archived")}
        yield from rest

    def queryset(self, request: HttpRequest, queryset: QuerySet[Trigger]) -> QuerySet[Trigger]:
        if self.value() in modes.WORDS:
            return queryset.filter(mode=self.value())
        return queryset.exclude(mode=Mode.ARCHIVED)


class EventFilter(admin.SimpleListFilter):
    """By an event that a trigger waits for."""

    title = gettext_lazy("event")
    parameter_name = "event"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        stored = Trigger.objects.exclude(mode=Mode.ARCHIVED).values_list("conditions", flat=True)
        names = {name for conditions in stored for name in trigger_problems.events_of(conditions)}
        return [(name, name.replace("_", " ")) for name in sorted(names)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Trigger]) -> QuerySet[Trigger]:
        if not self.value():
            return queryset
        node = {"type": "event_match", "event_type": self.value()}
        return queryset.filter(conditions__contains=[node])


class ProblemFilter(admin.SimpleListFilter):
    """Those that somebody should look into."""

    title = gettext_lazy("problem")
    parameter_name = "problem"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", _("With a problem")), ("no", _("Without one"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Trigger]) -> QuerySet[Trigger]:
        if self.value() not in ("yes", "no"):
            return queryset
        ids = trigger_problems.problematic(Trigger.objects.exclude(mode=Mode.ARCHIVED), timezone.now())
        return queryset.filter(pk__in=ids) if self.value() == "yes" else queryset.exclude(pk__in=ids)


class AskedFilter(admin.SimpleListFilter):
    """Triggers that wait for a second person."""

    title = gettext_lazy("approval")
    parameter_name = "asked"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", _("Waits for a second person")), ("declined", _("Declined"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Trigger]) -> QuerySet[Trigger]:
        if self.value() == "yes":
            return queryset.filter(asked_at__isnull=False)
        if self.value() == "declined":
            return queryset.filter(declined_at__isnull=False)
        return queryset
