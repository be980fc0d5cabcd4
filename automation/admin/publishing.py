"""Going live: one page that says what would change and for whom, where it is confirmed, asked for, or declined.

Every way to live but commands and the API passes it: the form, the list, and the second person (R-049).
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from automation import wording
from automation.admin import effects, links
from automation.admin.trigger_pages import TriggerPages, found, signed_in
from automation.engine.types import Mode
from automation.models import Trigger
from automation.pipeline import approval, asking, publish

NOTE_LENGTH = 300


class ConfirmForm(forms.Form):
    """A note, and what was looked at."""

    note = forms.CharField(
        label=gettext_lazy("Note"),
        required=False,
        max_length=NOTE_LENGTH,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy("What the other person should know. To decline, say why."),
    )
    fingerprint = forms.CharField(required=False, widget=forms.HiddenInput)


class Publishing(TriggerPages):
    """Mixed in before ModelAdmin: the page, the ways that lead there, and who may do what on it."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.publish_view)
        return [
            path("<int:trigger_id>/publish/", view, name="automation_trigger_publish"),
            *super().get_urls(),  # type: ignore[misc]
        ]

    def has_publish_permission(self, request: HttpRequest) -> bool:
        """Whether this user may publish what others changed; where nobody may, whoever may edit."""
        if request.user.has_perm(asking.PERMISSION):
            return True
        return self.has_ask_permission(request) and not asking.holders()

    # --- Ways that lead to the page

    def publish_saved(self, request: HttpRequest, obj: Trigger, mode: Mode) -> None:
        """After a save that wants `mode`: into shadow at once; to live by the page, for nothing acts unconfirmed."""
        if mode is Mode.LIVE:
            if asking.is_publishable(obj):
                request.confirms = True  # type: ignore[attr-defined]
            return
        before = obj.current_version_id
        version = publish.publish(obj, by=signed_in(request), mode=mode)
        if version.pk != before:
            said = _("Version %(number)s is in shadow.") % {"number": version.number}
            self.say(request, said, messages.SUCCESS)

    def response_add(self, request: HttpRequest, obj: Trigger, post_url_continue: Any = None) -> HttpResponse:
        return self._to_confirm(request, obj) or super().response_add(request, obj, post_url_continue)  # type: ignore[misc]

    def response_change(self, request: HttpRequest, obj: Trigger) -> HttpResponse:
        return self._to_confirm(request, obj) or super().response_change(request, obj)  # type: ignore[misc]

    def _to_confirm(self, request: HttpRequest, obj: Trigger) -> HttpResponse | None:
        if not getattr(request, "confirms", False):
            return None
        self.say(request, _("Saved. Nothing acts differently before it is confirmed here."), messages.INFO)
        return HttpResponseRedirect(address(obj))

    @admin.action(description=gettext_lazy("Go live …"), permissions=["publish"])
    def go_live(self, request: HttpRequest, queryset: QuerySet[Trigger]) -> HttpResponse | None:
        """Leads to the page; several are confirmed one by one."""
        chosen = list(queryset.order_by("name"))
        if len(chosen) == 1:
            return HttpResponseRedirect(address(chosen[0]))
        listed = format_html_join(", ", '<a href="{}">{}</a>', ((address(one), one.name) for one in chosen))
        said = format_html(_("Going live is confirmed one by one: {}."), listed)
        self.say(request, said, messages.WARNING)
        return None

    @admin.action(description=gettext_lazy("Ask to publish"), permissions=["ask"])
    def ask_to_publish(self, request: HttpRequest, queryset: QuerySet[Trigger]) -> None:
        """As a list action: without a note."""
        asked = [row for row in queryset.order_by("pk") if asking.ask(row.pk, by=signed_in(request))]
        for trigger in asked:
            self.log_change(request, trigger, "Asked to publish.")
        said = ngettext("%(n)s waits for a second person.", "%(n)s wait for a second person.", len(asked)) % {
            "n": len(asked)
        }
        self.say(request, said, messages.SUCCESS)

    # --- The page

    def publish_view(self, request: HttpRequest, trigger_id: int) -> HttpResponse:
        """Look at what would go live; confirm it, ask a second person for it, or decline what was asked."""
        may_ask, may_publish = self.has_ask_permission(request), self.has_publish_permission(request)
        if not (may_ask or may_publish):
            raise PermissionDenied
        trigger = found(trigger_id)
        form = ConfirmForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            done = False
            if "_ask" in request.POST and may_ask:
                done = self._ask(request, trigger, form)
            elif "_decline" in request.POST and may_publish:
                done = self._decline(request, trigger, form)
            elif "_publish" in request.POST and may_publish:
                done = self._confirm(request, trigger, form)
            elif request.POST.keys() & {"_ask", "_decline", "_publish"}:
                raise PermissionDenied
            if done:
                return HttpResponseRedirect(links.page("automation.trigger", trigger.pk))
            trigger = found(trigger_id)
        return self._shown(request, trigger, form, may_ask=may_ask, may_publish=may_publish)

    def _confirm(self, request: HttpRequest, trigger: Trigger, form: ConfirmForm) -> bool:
        """Publish what was looked at, and nothing else."""
        try:
            with transaction.atomic():  # Together with its entry in the audit log.
                version = publish.publish(
                    trigger, by=signed_in(request), mode=Mode.LIVE, confirmed=form.cleaned_data["fingerprint"]
                )
                self.log_change(request, trigger, f"Version {version.number} is live.")
        except publish.NotAsConfirmedError:
            said = _(
                "Somebody changed this trigger while you were looking at it. Here is what would go live now."
            )
            form.add_error(None, said)
            return False
        except (publish.Invalid, publish.NeedsApproval) as error:
            form.add_error(None, str(error))
            return False
        said = _("%(name)s: version %(number)s is live.") % {"name": trigger.name, "number": version.number}
        self.say(request, said, messages.SUCCESS)
        return True

    def _ask(self, request: HttpRequest, trigger: Trigger, form: ConfirmForm) -> bool:
        with transaction.atomic():
            is_asked = asking.ask(trigger.pk, by=signed_in(request), note=form.cleaned_data["note"])
            if is_asked:
                self.log_change(request, trigger, "Asked to publish.")
        if is_asked:
            said = _("%(name)s waits for a second person.") % {"name": trigger.name}
            self.say(request, said, messages.SUCCESS)
        else:
            self.say(request, _("There is nothing to publish."), messages.WARNING)
        return True

    def _decline(self, request: HttpRequest, trigger: Trigger, form: ConfirmForm) -> bool:
        note = form.cleaned_data["note"].strip()
        if not note:
            form.add_error("note", _("Say why, so that they know what to change."))
            return False
        with transaction.atomic():
            is_declined = asking.decline(trigger.pk, by=signed_in(request), note=note)
            if is_declined:
                self.log_change(request, trigger, f"Declined to publish: {note}")
        if is_declined:
            said = _("Declined. %(name)s stays as it is.") % {"name": trigger.name}
            self.say(request, said, messages.SUCCESS)
        else:
            self.say(request, _("Nobody asks (any more)."), messages.WARNING)
        return True

    def _shown(
        self, request: HttpRequest, trigger: Trigger, form: ConfirmForm, *, may_ask: bool, may_publish: bool
    ) -> HttpResponse:
        ruling = asking.ruling(trigger, signed_in(request))
        is_open = asking.is_publishable(trigger)
        found_problems = publish.check(trigger.document()) if is_open else {}
        if form.is_bound:  # What was typed stays; what is confirmed is what this page shows.
            form.data = {**request.POST.dict(), "fingerprint": publish.fingerprint(trigger)}
        else:
            form.initial = {
                "fingerprint": publish.fingerprint(trigger),
                "note": trigger.asked_note if trigger.asked_at and not may_publish else "",
            }
        return self.page(
            request,
            trigger,
            "trigger_publish",
            _("Go live: %(name)s") % {"name": trigger.name},
            form=form,
            sentence=wording.sentence(trigger.document()),
            effects=effects.of(trigger, now=timezone.now()),
            authors=User.objects.filter(pk__in=asking.authors_of(trigger)).order_by("username"),
            ruling=approval.WORDS[ruling] if is_open else "",
            problems=found_problems,
            is_open=is_open,
            offers={
                "publish": may_publish and ruling.is_allowed and is_open and not found_problems,
                "ask": may_ask and not ruling.is_allowed and is_open and not found_problems,
                "decline": may_publish and trigger.asked_at is not None,
            },
        )

    # --- Elsewhere

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Says how many triggers wait, to those who can do something about it."""
        may_act = self.has_publish_permission(request) or self.has_ask_permission(request)
        waiting = Trigger.objects.filter(asked_at__isnull=False).count() if may_act else 0
        return super().changelist_view(request, {**(extra_context or {}), "waiting": waiting})  # type: ignore[misc, no-any-return]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        if obj is not None:
            context["publishing"] = self._banner(request, obj)
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)  # type: ignore[misc, no-any-return]

    def _banner(self, request: HttpRequest, trigger: Trigger) -> dict[str, Any]:
        """Above the form of `trigger`: who waits for whom, and the way to the page."""
        ruling = asking.ruling(trigger, signed_in(request))
        is_open = asking.is_publishable(trigger)
        may_ask, may_publish = self.has_ask_permission(request), self.has_publish_permission(request)
        is_offered = is_open and (may_ask or may_publish)
        return {
            "trigger": trigger,
            "said": approval.WORDS[ruling] if is_open and may_ask else "",
            "url": address(trigger) if is_offered else "",
            "label": _("Review and go live") if may_publish and ruling.is_allowed else _("Ask to publish"),
        }


def address(trigger: Trigger) -> str:
    """The page on which `trigger` is confirmed."""
    return reverse("admin:automation_trigger_publish", args=[trigger.pk])
