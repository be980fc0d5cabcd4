"""The versions of a trigger: who published what and when, what differs in words, and back to an earlier one."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _

from automation import wording
from automation.admin import publishing
from automation.admin.trigger_form import state_of
from automation.admin.trigger_pages import TriggerPages, found, signed_in
from automation.engine.types import Mode
from automation.models import Trigger, TriggerVersion
from automation.pipeline import asking, publish

A_PAGE = 20


class Versions(TriggerPages):
    """Mixed in before ModelAdmin: one page with all versions."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.versions_view)
        return [
            path("<int:trigger_id>/versions/", view, name="automation_trigger_versions"),
            *super().get_urls(),  # type: ignore[misc]
        ]

    def versions_view(self, request: HttpRequest, trigger_id: int) -> HttpResponse:
        """Newest first; `against=now` compares each with what the engine has, else with the one before it."""
        if not request.user.has_perm("automation.view_trigger"):
            raise PermissionDenied
        trigger = found(trigger_id)
        may_restore = self.has_ask_permission(request) and trigger.mode != Mode.ARCHIVED
        if request.method == "POST":
            if not may_restore:
                raise PermissionDenied
            return self._restore(request, trigger)
        against = "now" if request.GET.get("against") == "now" else "before"
        listed = trigger.versions.select_related("published_by").order_by("-number")
        shown = Paginator(listed, A_PAGE).get_page(request.GET.get("p"))
        return self.page(
            request,
            trigger,
            "trigger_versions",
            _("Versions: %(name)s") % {"name": trigger.name},
            rows=[_row(version, trigger, against) for version in shown],
            shown=shown,
            against=against,
            draft=_draft(trigger),
            may_restore=may_restore,
            seen_state=state_of(trigger),
        )

    def _restore(self, request: HttpRequest, trigger: Trigger) -> HttpResponse:
        """Store the document of a version as the draft; it acts as a new version once it is confirmed."""
        here = reverse("admin:automation_trigger_versions", args=[trigger.pk])
        number = request.POST.get("number", "")
        version = trigger.versions.filter(
            number=int(number) if number.isdecimal() and len(number) < 10 else -1
        ).first()
        if version is None:
            self.say(request, _("There is no such version."), messages.ERROR)
            return HttpResponseRedirect(here)
        by = signed_in(request)
        with transaction.atomic():
            locked = Trigger.objects.select_for_update().get(pk=trigger.pk)
            is_unseen = request.POST.get("seen_state") != state_of(locked)
            problem = _changed_by(locked) if is_unseen else _in_the_way(locked, version)
            said = wording.changes(locked.document(), version.definition)
            if not problem and said:
                locked.take(version.definition)
                locked.updated_by = by
                asking.note_author(locked, by)
                locked.save()
                if locked.mode == Mode.SHADOW:
                    publish.publish(locked, by=by)
                self.log_change(request, locked, f"Restored version {version.number}: {said}")
        if problem:
            self.say(request, problem, messages.ERROR)
            return HttpResponseRedirect(here)
        if not said:
            self.say(request, _("It is what you have: nothing to restore."), messages.INFO)
            return HttpResponseRedirect(here)
        if locked.mode == Mode.SHADOW:
            said = _("Version %(number)s is back, as a new version in shadow.")
            self.say(request, said % {"number": version.number}, messages.SUCCESS)
            return HttpResponseRedirect(here)
        said = _("Version %(number)s is back as the draft. Nothing acts before it is confirmed here.")
        self.say(request, said % {"number": version.number}, messages.INFO)
        return HttpResponseRedirect(publishing.address(trigger))


def _changed_by(trigger: Trigger) -> str:
    """What is said when the trigger is not as the page showed it."""
    who = trigger.updated_by.get_username() if trigger.updated_by else _("Beckon itself")
    return _(
        "Nothing was restored: %(who)s changed this trigger while you were looking at it."
        " Here is what there is now; restore again if you still want to."
    ) % {"who": who}


def _in_the_way(trigger: Trigger, version: TriggerVersion) -> str:
    """Why a version cannot be restored; empty when it can."""
    problems = publish.check(version.definition)
    if problems:
        words = " ".join(f"{pointer or '/'}: {problem.message}" for pointer, problem in problems.items())
        return _("Version %(number)s would not be valid today. %(problems)s") % {
            "number": version.number,
            "problems": words,
        }
    name = version.definition["name"]
    if Trigger.objects.filter(name=name).exclude(pk=trigger.pk).exists():
        return _("Another trigger is now named “%(name)s”.") % {"name": name}
    return ""


def _draft(trigger: Trigger) -> list[str]:
    """How the stored document differs from what the engine has; empty when it does not."""
    version = trigger.current_version
    if version is None or version.definition == trigger.document():
        return []
    return wording.changes(version.definition, trigger.document()).splitlines()


def _row(version: TriggerVersion, trigger: Trigger, against: str) -> dict[str, Any]:
    current = trigger.current_version
    if against == "now" and current is not None:
        lines = wording.changes(version.definition, current.definition).splitlines()
    else:
        lines = version.changes.splitlines()
    return {
        "version": version,
        "lines": lines,
        "sentence": wording.sentence(version.definition),
        "is_current": version.pk == trigger.current_version_id,
        "is_stored": version.definition == trigger.document(),
    }
