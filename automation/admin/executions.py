"""Decisions: what each trigger did for each event, and why."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from automation import reasons
from automation.admin import attempts, histogram, kinds, links, trace
from automation.engine.types import ExecutionStatus, Reason
from automation.models import Execution
from profiles.admin.customers import profile_ids
from profiles.admin.lists import KeysetAdmin, KnownValuesFilter, ReadOnly, by_customer, recent
from profiles.admin.parts import Part, WithParts
from profiles.clock import when
from profiles.masking import may_see

STATUSES = {
    ExecutionStatus.PENDING: gettext_lazy("Waits"),
    ExecutionStatus.PROCESSING: gettext_lazy("Under way"),
    ExecutionStatus.TRIGGERED: gettext_lazy("Fired"),
    ExecutionStatus.SUPPRESSED: gettext_lazy("Held back"),
    ExecutionStatus.FAILED: gettext_lazy("Failed"),
}


class StatusFilter(KnownValuesFilter):
    """By outcome."""

    title = gettext_lazy("outcome")
    parameter_name = field = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(status.value, str(text)) for status, text in STATUSES.items()]


class ReasonFilter(KnownValuesFilter):
    """By primary reason."""

    title = gettext_lazy("reason")
    parameter_name = field = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(reason.value, reasons.label(reason)) for reason in Reason]


class TypeFilter(KnownValuesFilter):
    """By type of trigger."""

    title, parameter_name, field = gettext_lazy("type of trigger"), "type", "trigger__type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind, str(word)) for kind, word in kinds.WORDS.items()]


@admin.register(Execution)
class ExecutionAdmin(ReadOnly, WithParts, KeysetAdmin):
    list_title, page_title = gettext_lazy("Decisions"), gettext_lazy("Decision")
    change_list_template = "admin/beckon/decision_list.html"
    change_form_template = "admin/beckon/decision.html"  # type: ignore[misc]  # Any in one base.
    list_display = (
        "decided",
        "outcome",
        "shown_reason",
        "by",
        "customer",
        "answered",
        "took",
    )
    list_display_links = ("decided", "outcome")
    list_filter = (StatusFilter, ReasonFilter, recent("decided_at"), TypeFilter, "trigger")
    list_select_related = ("trigger", "version", "profile")
    search_fields = ("id",)
    search_help_text = gettext_lazy("The exact customer id or the decision's id.")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("outcome", "shown_reason"),
                    ("trigger", "version"),
                    ("customer", "event"),
                    ("decided", "due"),
                    ("times", "last_time"),
                )
            },
        ),
        (
            gettext_lazy("Details"),
            {
                "classes": ("collapse",),
                "fields": (
                    ("happened", "accepted"),
                    ("started", "ended"),
                    ("waiting", "lane"),
                    ("dedupe_key", "id"),
                    "error",
                ),
            },
        ),
    )
    readonly_fields = (
        "outcome",
        "shown_reason",
        "customer",
        "event",
        "times",
        "decided",
        "due",
        "last_time",
        "happened",
        "accepted",
        "started",
        "ended",
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Execution], search_term: str
    ) -> tuple[QuerySet[Execution], bool]:
        term = search_term.strip()
        return (by_customer(queryset, term, profile_ids(term)) if term else queryset), False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Execution]:
        return super().get_queryset(request).defer("trace", "version__definition")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        chart = histogram.histogram(
            request.GET.get("last", ""), request.GET.get("trigger__id__exact", ""), request.GET.copy()
        )
        return super().changelist_view(request, {**(extra_context or {}), "histogram": chart})

    def parts(self, request: HttpRequest, obj: Execution) -> list[Part]:
        return [trace.collapsed(obj)] if obj.held_count > 1 else []

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        drawn = trace.of_execution(obj, trace.stamps(obj))
        context["trace"] = drawn if may_see(request.user) else drawn.masked()
        context["actions"] = attempts.of(obj, request)
        context["retry_url"] = reverse("admin:automation_delivery_changelist")
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)

    @admin.display(description=gettext_lazy("outcome"))
    def outcome(self, execution: Execution) -> SafeString:
        word = STATUSES.get(ExecutionStatus(execution.status), execution.status)
        if execution.reason == Reason.SHADOW:
            word = _("Would have fired")
        return format_html(
            '<span class="sign-{}" title="{}">{}</span>', trace.tone(execution.status), execution.status, word
        )

    @admin.display(description=gettext_lazy("reason"))
    def shown_reason(self, execution: Execution) -> SafeString:
        text = reasons.label(execution.reason) or "–"
        often = f" × {execution.held_count:,}" if execution.held_count > 1 else ""
        return format_html('<span title="{}">{}{}</span>', execution.reason, text, often)

    @admin.display(description=gettext_lazy("trigger"))
    def by(self, execution: Execution) -> str:
        return f"{execution.trigger.name} · v{execution.version.number}"

    @admin.display(description=gettext_lazy("decided in"))
    def took(self, execution: Execution) -> str:
        return links.span(execution.decided_at - execution.accepted_at)

    @admin.display(description=gettext_lazy("customer"))
    def customer(self, execution: Execution) -> SafeString:
        return links.anchor("profiles.profile", execution.profile_id, execution.profile)

    @admin.display(description=gettext_lazy("event"))
    def event(self, execution: Execution) -> SafeString:
        return links.anchor(
            "automation.event", execution.event_id, f"{execution.event_name} {execution.event_id}"
        )

    @admin.display(description=gettext_lazy("event"))
    def answered(self, execution: Execution) -> str:
        return execution.event_name.replace("_", " ")

    @admin.display(description=gettext_lazy("times"))
    def times(self, execution: Execution) -> str:
        return f"{execution.held_count:,}"

    @admin.display(description=gettext_lazy("decided"))
    def decided(self, execution: Execution) -> str | SafeString:
        return when(execution.decided_at)

    @admin.display(description=gettext_lazy("acts or is judged again"))
    def due(self, execution: Execution) -> str | SafeString:
        return when(execution.due_at)

    @admin.display(description=gettext_lazy("last time"))
    def last_time(self, execution: Execution) -> str | SafeString:
        return when(execution.last_held_at)

    @admin.display(description=gettext_lazy("event happened"))
    def happened(self, execution: Execution) -> str | SafeString:
        return when(execution.event_at)

    @admin.display(description=gettext_lazy("event accepted"))
    def accepted(self, execution: Execution) -> str | SafeString:
        return when(execution.accepted_at)

    @admin.display(description=gettext_lazy("first action began"))
    def started(self, execution: Execution) -> str | SafeString:
        return when(execution.started_at)

    @admin.display(description=gettext_lazy("last action ended"))
    def ended(self, execution: Execution) -> str | SafeString:
        return when(execution.processed_at)
