"""The list of triggers: what each one says, what it did in 14 days, and what is wrong with it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from automation import snippets, transfer, wording
from automation.admin import curl, kinds, links, modes, trigger_facts, trigger_problems
from automation.admin.trigger_form import PRIORITIES
from automation.admin.trigger_pages import TriggerPages, signed_in
from automation.audit import record
from automation.models import Trigger
from automation.recipes import recipes
from automation.templatetags.beckon_charts import sparkline
from profiles.admin.lists import Titled

SENTENCE_SHOWN = 140


class TriggerChangeList(Titled):
    """Adds what each trigger of the page did, with two queries for the page."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows, now = list(self.result_list), timezone.now()
        facts = trigger_facts.fortnights([trigger.pk for trigger in rows], now)
        known = trigger_problems.known()
        for trigger in rows:
            trigger.facts = facts.get(trigger.pk) or trigger_facts.Fortnight()
            trigger.problems = trigger_problems.problems(trigger, trigger.facts, known, now)
        self.result_list = rows


class TriggerList(TriggerPages):
    """Mixed in before ModelAdmin: columns, filters and those actions that change no mode."""

    change_list_template: Any = "admin/beckon/trigger_list.html"
    list_display: Any = (
        "named",
        "shown_mode",
        "shown_priority",
        "fired",
        "held",
        "shown_problems",
    )
    list_display_links: Any = None  # `named` is its own link, beside a sentence that is none.
    list_per_page = 50
    search_fields: Any = ("name", "key")
    ordering: Any = ("name",)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return TriggerChangeList

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Where there is no trigger yet, the page says how to begin."""
        more = dict(extra_context or {})
        if not Trigger.objects.exists():
            more["start"] = {"recipes": recipes(), "snippets": snippets.snippets(settings.PUBLIC_URL)}
        return super().changelist_view(request, more)  # type: ignore[misc, no-any-return]

    # --- Columns

    @admin.display(description=gettext_lazy("trigger"), ordering="name")
    def named(self, trigger: Trigger) -> SafeString:
        """Its name, and what it says, cut where a list would become a book."""
        said = self.sentence(trigger)
        return format_html(
            '<div class="list-name"><a href="{}">{}</a> {}</div><p class="list-sentence">{}</p>',
            links.page("automation.trigger", trigger.pk),
            trigger.name,
            kinds.badge(trigger),
            f"{said[:SENTENCE_SHOWN]}…" if len(said) > SENTENCE_SHOWN else said,
        )

    @admin.display(description=gettext_lazy("in plain English"))
    def sentence(self, trigger: Trigger) -> str:
        if said := wording.sentence(trigger.document()):
            return said
        if trigger.conditions:
            return _("This cannot be read; see the problems on its page.")
        return _("Nothing yet.")

    @admin.display(description=gettext_lazy("mode"), ordering="mode")
    def shown_mode(self, trigger: Trigger) -> SafeString:
        asked = format_html(' <span class="beckon-mode">{}</span>', _("Asked")) if trigger.asked_at else ""
        return format_html(
            '<span class="beckon-mode mode-{}" title="{}">{}</span>{}',
            trigger.mode,
            modes.MEANINGS[trigger.mode],
            modes.WORDS[trigger.mode],
            asked,
        )

    @admin.display(description=gettext_lazy("priority"), ordering="priority")
    def shown_priority(self, trigger: Trigger) -> SafeString:
        word, _dash, limit = str(dict(PRIORITIES)[trigger.priority]).partition(" – ")
        said = limit.replace("minutes", "min").replace("minute", "min")
        return format_html('<span class="list-priority">{} <span class="quiet">{}</span></span>', word, said)

    @admin.display(description=gettext_lazy("fired, 14 days"))
    def fired(self, trigger: Trigger) -> SafeString:
        days = trigger.facts.fired  # type: ignore[attr-defined]
        total = sum(days)
        if not total:
            return format_html("{}", "0")
        label = _("Fired per day in the last 14 days, %(total)s in all") % {"total": f"{total:,}"}
        at = trigger.facts.last_at  # type: ignore[attr-defined]
        return format_html(
            '{}<span class="list-spark">{}</span><span class="quiet" title="{}">{}</span>',
            f"{total:,}",
            sparkline(days, label),
            _("The hour in which it fired last"),
            date_format(timezone.localtime(at), "j M, H:00"),
        )

    @admin.display(description=gettext_lazy("held back"))
    def held(self, trigger: Trigger) -> str:
        return f"{trigger.facts.held:,}"  # type: ignore[attr-defined]

    @admin.display(description=gettext_lazy("problem"))
    def shown_problems(self, trigger: Trigger) -> SafeString:
        found = trigger.problems  # type: ignore[attr-defined]
        if not found:
            return format_html("{}", "–")
        rows = format_html_join("", "<li>{}</li>", ((said,) for said in found))
        return format_html('<ul class="list-problems sign-failed">{}</ul>', rows)

    # --- Actions

    def has_export_permission(self, request: HttpRequest) -> bool:
        """Whether this user may take documents away: whoever may read them."""
        return bool(request.user.has_perm("automation.view_trigger"))

    @admin.action(description=gettext_lazy("Duplicate as a draft"), permissions=["add"])
    def duplicate(self, request: HttpRequest, queryset: QuerySet[Trigger]) -> None:
        made = []
        for trigger in queryset.order_by("pk"):
            with transaction.atomic():  # Together with its entry in the audit log.
                copy = transfer.copied(trigger, signed_in(request))
                self.log_addition(request, copy, f"Duplicated from {trigger.name}.")
            made.append(links.anchor("automation.trigger", copy.pk, copy.name))
        text = ngettext("Made the draft {}.", "Made the drafts {}.", len(made))
        said = format_html(text, format_html_join(", ", "{}", ((one,) for one in made)))
        self.say(request, said, messages.SUCCESS)

    @admin.action(description=gettext_lazy("Export as JSON"), permissions=["export"])
    def export_json(self, request: HttpRequest, queryset: QuerySet[Trigger]) -> HttpResponse:
        found = [transfer.exported(trigger) for trigger in queryset.order_by("key")]
        answer = HttpResponse(transfer.text(found), content_type="application/json; charset=utf-8")
        name = found[0]["key"] if len(found) == 1 else "triggers"
        answer["Content-Disposition"] = f'attachment; filename="{name}.json"'
        return answer

    @admin.action(description=gettext_lazy("Copy as curl"), permissions=["export"])
    def copy_as_curl(self, request: HttpRequest, queryset: QuerySet[Trigger]) -> HttpResponse:
        """A command for each that sends the event it waits for."""
        listed = [(trigger, curl.command(trigger)) for trigger in queryset.order_by("name")]
        # Its page is the end of it, not a question, so it writes its own entry.
        record(
            "trigger.copy_as_curl",
            actor=request.user.get_username(),
            actor_id=request.user.pk,
            target="automation.trigger",
            details={"rows": [str(trigger.pk) for trigger, _command in listed], "more": False},
            request=request,
        )
        return self.page(
            request, None, "trigger_curl", _("Send the event that they wait for"), commands=listed
        )
