"""Decisions: what each trigger did for each event, and why."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from automation import traces
from automation.admin import links, trace
from automation.engine.types import ExecutionStatus, Reason
from automation.models import Delivery, Execution
from profiles.admin.customers import profile_ids
from profiles.admin.lists import KeysetAdmin, KnownValuesFilter, ReadOnly, by_customer, recent
from profiles.admin.parts import Part, WithParts

STATUSES = {
    ExecutionStatus.PENDING: "Waits",
    ExecutionStatus.PROCESSING: "Being carried out",
    ExecutionStatus.TRIGGERED: "Fired",
    ExecutionStatus.SUPPRESSED: "Held back",
    ExecutionStatus.FAILED: "Failed",
}


class StatusFilter(KnownValuesFilter):
    """By outcome."""

    title = "outcome"
    parameter_name = field = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(status.value, text) for status, text in STATUSES.items()]


class ReasonFilter(KnownValuesFilter):
    """By primary reason."""

    title = "reason"
    parameter_name = field = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(reason.value, reason.value.replace("_", " ")) for reason in Reason]


@admin.register(Execution)
class ExecutionAdmin(ReadOnly, WithParts, KeysetAdmin):
    list_display = (
        "decided_at",
        "outcome",
        "shown_reason",
        "trigger",
        "customer",
        "event_name",
        "times",
        "id",
    )
    list_display_links = ("decided_at", "outcome")
    list_filter = (StatusFilter, ReasonFilter, recent("decided_at"), "trigger")
    list_select_related = ("trigger", "profile")
    search_fields = ("id",)
    search_help_text = "The exact customer id or the decision's id."
    fields = (
        ("outcome", "shown_reason"),
        ("trigger", "version"),
        "customer",
        "event",
        ("event_at", "accepted_at"),
        ("decided_at", "due_at", "waiting"),
        ("started_at", "processed_at"),
        ("times", "last_held_at"),
        "dedupe_key",
        "error",
    )
    readonly_fields = ("outcome", "shown_reason", "customer", "event", "times")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Execution], search_term: str
    ) -> tuple[QuerySet[Execution], bool]:
        term = search_term.strip()
        return (by_customer(queryset, term, profile_ids(term)) if term else queryset), False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Execution]:
        return super().get_queryset(request).defer("trace")

    def parts(self, request: HttpRequest, obj: Execution) -> list[Part]:
        rows = Delivery.objects.filter(execution_id=obj.pk).order_by("action_index", "channel")
        return [trace.conditions(obj), trace.guard_rails(obj), trace.deliveries(rows)]

    @admin.display(description="outcome")
    def outcome(self, execution: Execution) -> SafeString:
        word = STATUSES.get(ExecutionStatus(execution.status), execution.status)
        if execution.reason == Reason.SHADOW:
            word = "Would have fired"
        return format_html(
            '<span class="sign-{}" title="{}">{}</span>', trace.tone(execution.status), execution.status, word
        )

    @admin.display(description="reason")
    def shown_reason(self, execution: Execution) -> SafeString:
        text = execution.reason.replace("_", " ") or "–"
        return format_html('<span title="{}">{}</span>', traces.REASONS.get(execution.reason, ""), text)

    @admin.display(description="customer")
    def customer(self, execution: Execution) -> SafeString:
        return links.anchor("profiles.profile", execution.profile_id, execution.profile)

    @admin.display(description="event")
    def event(self, execution: Execution) -> SafeString:
        return links.anchor(
            "automation.event", execution.event_id, f"{execution.event_name} {execution.event_id}"
        )

    @admin.display(description="times")
    def times(self, execution: Execution) -> str:
        return f"{execution.held_count:,}"
