"""Stopping a trigger: at once, and then the question what becomes of what waits."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from automation.admin import modes
from automation.admin.trigger_pages import BEYOND, TriggerPages, signed_in
from automation.engine.types import Mode
from automation.models import Trigger
from automation.pipeline import calling_off, publish

STOPPED = frozenset(Mode) - {Mode.LIVE}  # Nothing goes out.
MOST = 100  # Triggers of one page.


class Pausing(TriggerPages):
    """Mixed in before ModelAdmin: the actions that stop, and the page that asks what becomes of what waits."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.waiting_view)
        return [
            path("waiting/", view, name="automation_trigger_waiting"),
            *super().get_urls(),  # type: ignore[misc]
        ]

    @admin.action(description=gettext_lazy("Pause"), permissions=["pause"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Trigger]) -> HttpResponse | None:
        """The kill switch: what waits is asked about when nothing new starts any more."""
        return self._stop(request, queryset, Mode.PAUSED, paused_by(request))

    @admin.action(description=gettext_lazy("Archive"), permissions=["change"])
    def archive(self, request: HttpRequest, queryset: QuerySet[Trigger]) -> HttpResponse | None:
        return self._stop(request, queryset, Mode.ARCHIVED)

    @admin.action(description=gettext_lazy("Back to draft"), permissions=["change"])
    def restore(self, request: HttpRequest, queryset: QuerySet[Trigger]) -> HttpResponse | None:
        return self._stop(request, queryset, Mode.DRAFT)

    @admin.action(description=gettext_lazy("Publish into shadow (nothing is sent)"), permissions=["change"])
    def go_shadow(self, request: HttpRequest, queryset: QuerySet[Trigger]) -> HttpResponse | None:
        """Of those that were live, what waits is asked about."""
        stopped = []
        for trigger in queryset.order_by("pk"):
            was = trigger.mode
            try:
                with transaction.atomic():  # Together with its entry in the audit log.
                    version = publish.publish(trigger, by=signed_in(request), mode=Mode.SHADOW)
                    self.log_change(request, trigger, f"Version {version.number} is in shadow.")
            except publish.Invalid as error:
                said = _("%(name)s stays as it is. %(error)s") % {"name": trigger.name, "error": error}
                self.say(request, said, messages.ERROR)
            else:
                said = _("%(name)s: version %(number)s is in shadow.") % {
                    "name": trigger.name,
                    "number": version.number,
                }
                self.say(request, said, messages.SUCCESS)
                if was == Mode.LIVE:
                    stopped.append(trigger.pk)
        return to_waiting(stopped) if stopped else None

    def _stop(
        self, request: HttpRequest, queryset: QuerySet[Trigger], mode: Mode, reason: str = ""
    ) -> HttpResponse | None:
        changed = []
        for trigger in queryset.order_by("pk"):
            try:
                with transaction.atomic():
                    if publish.set_mode(trigger.pk, mode, by=signed_in(request), reason=reason):
                        self.log_change(request, trigger, f"mode: {trigger.mode} → {mode}")
                        changed.append(trigger.pk)
            except publish.ArchivedError as error:
                refused = _("%(name)s stays as it is. %(error)s") % {"name": trigger.name, "error": error}
                self.say(request, refused, messages.ERROR)
        if not changed:
            return None
        said = {
            Mode.PAUSED: ngettext("%(n)s trigger is paused.", "%(n)s triggers are paused.", len(changed)),
            Mode.ARCHIVED: ngettext(
                "%(n)s trigger is archived.", "%(n)s triggers are archived.", len(changed)
            ),
            Mode.DRAFT: ngettext("%(n)s trigger is a draft.", "%(n)s triggers are drafts.", len(changed)),
        }[mode]
        self.say(request, said % {"n": len(changed)}, messages.SUCCESS)
        return to_waiting(changed)

    def response_change(self, request: HttpRequest, obj: Trigger) -> HttpResponse:
        """A save that stopped leads to the question; counting what waits must not undo it, so it comes later."""
        if getattr(request, "has_stopped", False):
            return to_waiting([obj.pk], is_edited="_continue" in request.POST)
        return super().response_change(request, obj)  # type: ignore[misc, no-any-return]

    def waiting_view(self, request: HttpRequest) -> HttpResponse:
        """What waits of triggers that are stopped: keep it, or call it off."""
        if not self.has_pause_permission(request):
            raise PermissionDenied
        triggers = _chosen(request)
        stopped = [trigger for trigger in triggers if trigger.mode in STOPPED]
        if request.method == "POST":
            if "_cancel" in request.POST and stopped:
                self._call_off(request, stopped)
            elif "_keep" in request.POST:
                self.say(request, _("What waits is kept."), messages.SUCCESS)
            return _onward(request, triggers)
        found = calling_off.waiting([trigger.pk for trigger in triggers])
        if not found:
            self.say(request, _("Nothing waits."), messages.INFO)
            return _onward(request, triggers)
        rows = [_row(trigger, found[trigger.pk]) for trigger in triggers if trigger.pk in found]
        total = sum(row.decisions + row.deliveries for row in rows if row.is_stopped)
        return self.page(
            request,
            triggers[0] if len(triggers) == 1 else None,
            "trigger_waiting",
            _("What becomes of what waits?"),
            rows=rows,
            total=total,
            limit=calling_off.COUNTED,
            is_shadow=any(row.is_stopped and row.trigger.mode == Mode.SHADOW for row in rows),
            is_paused=any(row.is_stopped and row.trigger.mode != Mode.SHADOW for row in rows),
            is_slow=total > calling_off.COUNTED // 2,
        )

    def _call_off(self, request: HttpRequest, triggers: list[Trigger]) -> None:
        decisions = deliveries = 0
        for trigger in triggers:
            done = calling_off.call_off(trigger.pk)
            decisions, deliveries = decisions + done.decisions, deliveries + done.deliveries
            text = f"Called off {done.decisions} waiting decisions and {done.deliveries} waiting actions."
            self.log_change(request, trigger, text)
        of_decisions = ngettext(
            "%(n)s decision was called off.", "%(n)s decisions were called off.", decisions
        )
        of_actions = ngettext("%(n)s action was called off.", "%(n)s actions were called off.", deliveries)
        said = [
            text % {"n": f"{n:,}"} for text, n in ((of_decisions, decisions), (of_actions, deliveries)) if n
        ]
        self.say(request, " ".join(said) or _("Nothing waited any more."), messages.SUCCESS)


class _Row(NamedTuple):
    trigger: Trigger
    mode: Promise
    decisions: int
    deliveries: int
    is_stopped: bool


def _row(trigger: Trigger, found: list[calling_off.Waiting]) -> _Row:
    decisions, deliveries = sum(one.decisions for one in found), sum(one.deliveries for one in found)
    return _Row(trigger, modes.WORDS[trigger.mode], decisions, deliveries, trigger.mode in STOPPED)


def paused_by(request: HttpRequest) -> str:
    """The reason shown beside a trigger that a person paused."""
    return f"Paused by {request.user.get_username()}."


def to_waiting(trigger_ids: list[int], *, is_edited: bool = False) -> HttpResponseRedirect:
    """The page that asks when something of these triggers waits; from there back to editing, or to the list."""
    query = urlencode([("trigger", pk) for pk in trigger_ids[:MOST]] + [("then", "edit")] * is_edited)
    return HttpResponseRedirect(f"{reverse('admin:automation_trigger_waiting')}?{query}")


def _onward(request: HttpRequest, triggers: list[Trigger]) -> HttpResponseRedirect:
    if request.GET.get("then") == "edit":
        return HttpResponseRedirect(reverse("admin:automation_trigger_change", args=[triggers[0].pk]))
    return HttpResponseRedirect(reverse("admin:automation_trigger_changelist"))


def _chosen(request: HttpRequest) -> list[Trigger]:
    given = request.GET.getlist("trigger")[:MOST]
    ids = [int(one) for one in given if one.isdecimal() and len(one) < 19 and int(one) < BEYOND]
    triggers = list(Trigger.objects.filter(pk__in=ids).order_by("name"))
    if not triggers:
        raise Http404("There is no such trigger.")
    return triggers
