"""What customers did, as it came in, and the queue and the quarantine of events."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from automation import reasons
from automation.admin import links
from automation.admin.live import Live
from automation.admin.replay import Replays
from automation.models import CatalogueEntry, Event, Execution, Heartbeat, QuarantinedEvent, QueuedEvent
from profiles.admin.customers import profile_ids
from profiles.admin.lists import KeysetAdmin, KnownValuesFilter, ReadOnly, by_customer, recent
from profiles.admin.parts import Cell, Part, Row, WithParts, pretty
from profiles.clock import short, when

NAMES_SHOWN = 40


class EventNameFilter(KnownValuesFilter):
    """By event name: the most frequent ones of the catalogue."""

    title = gettext_lazy("event")
    parameter_name = field = "name"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = CatalogueEntry.objects.order_by("-volume").values_list("name", flat=True)[:NAMES_SHOWN]
        return [(name, name) for name in sorted(names)]


# The key begins with the source, of which there are few: hop from one to the next instead of scanning all.
_BY_MESSAGE_ID = """
WITH RECURSIVE source AS (
  (SELECT source AS s FROM automation_messagekey ORDER BY source LIMIT 1)
  UNION ALL
  SELECT (SELECT source FROM automation_messagekey WHERE source > s ORDER BY source LIMIT 1) FROM source
  WHERE s IS NOT NULL
)
SELECT event_id FROM automation_messagekey WHERE source IN (SELECT s FROM source WHERE s IS NOT NULL)
 AND message_id = %s
"""


def by_message_id(message_id: str) -> list[int]:
    """Ids of the events with this message id, of any source."""
    with connection.cursor() as cursor:
        cursor.execute(_BY_MESSAGE_ID, [message_id])
        return [row[0] for row in cursor.fetchall()]


@admin.register(Event)
class EventAdmin(Live, Replays, ReadOnly, WithParts, KeysetAdmin):
    page_title = gettext_lazy("Event")
    list_display = ("occurred", "name", "customer", "source", "flags", "id")
    list_display_links = ("occurred", "name")
    list_filter = (EventNameFilter, recent("occurred_at"), "is_late", "is_import")
    list_select_related = ("profile",)
    search_fields = ("message_id",)
    search_help_text = gettext_lazy("The exact customer id, event id or message id.")
    fields = (
        ("name", "original_name"),
        "customer",
        ("occurred_at", "received_at", "sent_at"),
        "client_ts",
        ("source", "session_id", "message_id"),
        ("is_late", "is_import", "is_skewed"),
        "shown_data",
        "shown_context",
    )
    readonly_fields = ("customer", "shown_data", "shown_context")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Event], search_term: str
    ) -> tuple[QuerySet[Event], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        return by_customer(queryset, term, profile_ids(term), pk__in=by_message_id(term)), False

    def tools(self, request: HttpRequest, obj: Event) -> list[Cell]:
        return [Cell(_("Replay in shadow"), reverse("admin:automation_event_replay", args=[obj.pk]))]

    def parts(self, request: HttpRequest, obj: Event) -> list[Part]:
        decisions = Execution.objects.filter(profile_id=obj.profile_id, event_id=obj.pk).select_related(
            "trigger"
        )
        rows = [
            Row(
                (
                    Cell(short(execution.decided_at), links.page("automation.execution", execution.pk)),
                    Cell(execution.trigger.name, links.page("automation.trigger", execution.trigger_id)),
                    Cell(execution.status),
                    Cell(reasons.label(execution.reason)),
                )
            )
            for execution in decisions.order_by("pk")[:50]
        ]
        return [
            Part(
                _("What was decided"),
                (_("Decided"), _("Trigger"), _("Status"), _("Reason")),
                rows,
                note=self._state(obj),
                empty=_("No trigger fired or was held back for this event."),
            )
        ]

    def _state(self, event: Event) -> str:
        held = QuarantinedEvent.objects.filter(event_id=event.pk, state=QuarantinedEvent.State.HELD).first()
        if held is not None:
            return _("In quarantine: %(error)s.") % {"error": held.error_class}
        if QueuedEvent.objects.filter(pk=event.pk).exists():
            return _("Waits for its decision.")
        return _("Decided.")

    @admin.display(description=gettext_lazy("customer"))
    def customer(self, event: Event) -> SafeString:
        return links.anchor("profiles.profile", event.profile_id, event.profile)

    @admin.display(description=gettext_lazy("happened"))
    def occurred(self, event: Event) -> str | SafeString:
        return when(event.occurred_at)

    @admin.display(description=gettext_lazy("notes"))
    def flags(self, event: Event) -> str:
        notes = {
            _("late"): event.is_late,
            _("imported"): event.is_import,
            _("clock was ahead"): event.is_skewed,
        }
        return ", ".join(text for text, is_so in notes.items() if is_so)

    @admin.display(description=gettext_lazy("properties"))
    def shown_data(self, event: Event) -> SafeString:
        return pretty(event.data)

    @admin.display(description=gettext_lazy("context"))
    def shown_context(self, event: Event) -> SafeString:
        return pretty(event.context)


@admin.register(QueuedEvent)
class QueuedEventAdmin(ReadOnly, KeysetAdmin):
    list_title = gettext_lazy("Queue")
    list_display = ("event", "lane", "accepted_at", "due_at", "data_failures", "worker_deaths")
    list_filter = ("lane",)
    search_fields = ("event_id",)
    search_help_text = gettext_lazy("The event's id.")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[QueuedEvent], search_term: str
    ) -> tuple[QuerySet[QueuedEvent], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(pk=int(term) if term.isdecimal() and len(term) <= 18 else -1), False

    @admin.display(description=gettext_lazy("event"))
    def event(self, row: QueuedEvent) -> str:
        return _("event %(id)s") % {"id": row.event_id}


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("worker", "lane", "at", "batch")
    list_filter = ("lane",)

    @admin.display(description=gettext_lazy("events in its hands"))
    def batch(self, row: Heartbeat) -> int:
        return len(row.event_ids)


@admin.register(CatalogueEntry)
class CatalogueEntryAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    show_full_result_count = False
    ordering = ("-volume",)
    list_display = ("name", "original_name", "volume", "first_seen", "last_seen")
    search_fields = ("name", "original_name")
    fields = ("name", "original_name", "volume", ("first_seen", "last_seen"), "shown_properties")
    readonly_fields = ("shown_properties",)

    @admin.display(description=gettext_lazy("properties and their types"))
    def shown_properties(self, row: CatalogueEntry) -> SafeString:
        return pretty(row.properties)
