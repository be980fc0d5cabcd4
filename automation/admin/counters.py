"""The narrow rows behind decisions; read-only, for developers."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from automation.admin import links
from automation.models import Epoch, MissSample, SendReservation, Tally, TriggerVersion
from automation.models.events import LANE_CHOICES
from profiles.admin.lists import KeysetAdmin, KnownValuesFilter, ReadOnly, recent
from profiles.admin.parts import pretty

KINDS = (
    "events",
    "executions",
    "deliveries",
    "evaluated",
    "missed",
    "broken",
    "latency",
    "deadline_missed",
    "duplicates",
    "lease_lost",
    "rescued",
    "sweeps",
    "worker_deaths",
    "bisected",
    "quarantined",
)


class KindFilter(KnownValuesFilter):
    """By what was counted."""

    title = gettext_lazy("what")
    parameter_name = field = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind, kind.replace("_", " ")) for kind in KINDS]


@admin.register(Tally)
class TallyAdmin(ReadOnly, KeysetAdmin):
    list_title = gettext_lazy("Counters")
    list_display = ("hour", "kind", "shown_lane", "trigger_id", "label", "count")
    list_filter = (KindFilter, recent("hour"))
    ordering = ("-pk",)

    @admin.display(description=gettext_lazy("lane"))
    def shown_lane(self, row: Tally) -> str:
        return dict(LANE_CHOICES).get(row.lane, "") if row.lane is not None else ""


@admin.register(MissSample)
class MissSampleAdmin(ReadOnly, KeysetAdmin):
    """A bounded sample of events that a trigger listened to and did not match."""

    list_title = gettext_lazy("Events that did not match")
    list_display = ("at", "trigger_id", "event", "customer", "pointer", "is_broken", "seen")
    list_filter = ("is_broken", recent("at"))
    search_fields = ("trigger_id",)
    search_help_text = gettext_lazy("The trigger's id.")

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(trigger_id=int(term) if term.isdecimal() and len(term) <= 18 else -1), False

    @admin.display(description=gettext_lazy("event"))
    def event(self, row: MissSample) -> SafeString:
        return links.anchor("automation.event", row.event_id, _("event %(id)s") % {"id": row.event_id})

    @admin.display(description=gettext_lazy("customer"))
    def customer(self, row: MissSample) -> SafeString:
        return links.anchor("profiles.profile", row.profile_id, _("customer %(id)s") % {"id": row.profile_id})


@admin.register(SendReservation)
class SendReservationAdmin(ReadOnly, KeysetAdmin):
    list_display = ("reserved_at", "channel", "message_class", "profile_id", "trigger_id", "execution_id")
    list_filter = (recent("reserved_at"),)


@admin.register(TriggerVersion)
class TriggerVersionAdmin(ReadOnly, KeysetAdmin):
    is_about_customers = False
    list_display = ("__str__", "trigger", "number", "changes", "published_at", "published_by")
    list_select_related = ("trigger", "published_by")
    fields = ("trigger", "number", "changes", ("published_at", "published_by"), "shown_definition")
    readonly_fields = ("shown_definition",)

    @admin.display(description=gettext_lazy("definition"))
    def shown_definition(self, version: TriggerVersion) -> SafeString:
        return pretty(version.definition)


@admin.register(Epoch)
class EpochAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("id", "value")
