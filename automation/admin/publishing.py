"""Asking to publish, reviewing and declining: what the page of a trigger offers to two persons (R-049)."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from automation import wording
from automation.admin import links
from automation.admin.trigger_form import state_of
from automation.engine.types import Mode
from automation.models import Trigger
from automation.pipeline import approval, asking, publish

NOTE_LENGTH = 300
CHANGED = "Somebody changed this trigger while you were looking at it. Here is what would go live now."


class AskForm(forms.Form):
    note = forms.CharField(
        required=False,
        max_length=NOTE_LENGTH,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="What the second person should know. May stay empty.",
    )


class AnswerForm(forms.Form):
    note = forms.CharField(
        required=False,
        max_length=NOTE_LENGTH,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="To decline, say why.",
    )
    seen_state = forms.CharField(widget=forms.HiddenInput)


class AskedFilter(admin.SimpleListFilter):
    """Triggers that wait for a second person."""

    title = "asked to publish"
    parameter_name = "asked"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Waits for a second person"), ("declined", "Declined")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Trigger]) -> QuerySet[Trigger]:
        if self.value() == "yes":
            return queryset.filter(asked_at__isnull=False)
        if self.value() == "declined":
            return queryset.filter(declined_at__isnull=False)
        return queryset


class Publishing:
    """Mixed in before ModelAdmin: the two pages, their banner, and who may open them."""

    change_form_template: Any = "admin/beckon/trigger_form.html"
    change_list_template: Any = "admin/beckon/trigger_list.html"

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view  # type: ignore[attr-defined]
        return [
            path("<int:trigger_id>/ask/", wrap(self.ask_view), name="automation_trigger_ask"),
            path("<int:trigger_id>/review/", wrap(self.review_view), name="automation_trigger_review"),
            *super().get_urls(),  # type: ignore[misc]
        ]

    def has_publish_permission(self, request: HttpRequest) -> bool:
        """Whether this user may publish what others changed; where nobody may, whoever may edit."""
        if request.user.has_perm(asking.PERMISSION):
            return True
        return self.has_ask_permission(request) and not asking.holders()

    def has_ask_permission(self, request: HttpRequest) -> bool:
        """Whether this user may ask: whoever may edit."""
        return bool(request.user.has_perm("automation.change_trigger"))

    def has_pause_permission(self, request: HttpRequest) -> bool:
        """Whether this user may pause: nothing stands in the way of stopping."""
        return self.has_ask_permission(request) or request.user.has_perm("automation.pause_trigger")

    @admin.action(description="Ask to publish", permissions=["ask"])
    def ask_to_publish(self, request: HttpRequest, queryset: QuerySet[Trigger]) -> None:
        """As a list action: without a note."""
        asked = [row for row in queryset.order_by("pk") if asking.ask(row.pk, by=_user(request))]
        for trigger in asked:
            self.log_change(request, trigger, "Asked to publish.")  # type: ignore[attr-defined]
        self._say(request, f"{len(asked)} wait for a second person.", messages.SUCCESS)

    # --- Saving and showing

    def publish_saved(self, request: HttpRequest, obj: Trigger, mode: Mode) -> None:
        """Publish what was just saved; where a second person has to, the answer leads to asking."""
        before = obj.current_version_id
        try:
            version = publish.publish(obj, by=_user(request), mode=mode)
        except publish.NeedsApproval:
            request.waits_for_second = True  # type: ignore[attr-defined]
            self._say(request, "Saved. It is not live yet: a second person publishes it.", messages.WARNING)
        else:
            if version.pk != before:
                self._say(request, f"Version {version.number} is {obj.mode}.", messages.SUCCESS)

    def response_add(self, request: HttpRequest, obj: Trigger, post_url_continue: Any = None) -> HttpResponse:
        return self._to_asking(request, obj) or super().response_add(request, obj, post_url_continue)  # type: ignore[misc]

    def response_change(self, request: HttpRequest, obj: Trigger) -> HttpResponse:
        return self._to_asking(request, obj) or super().response_change(request, obj)  # type: ignore[misc]

    def _to_asking(self, request: HttpRequest, obj: Trigger) -> HttpResponse | None:
        if not getattr(request, "waits_for_second", False):
            return None
        return HttpResponseRedirect(reverse("admin:automation_trigger_ask", args=[obj.pk]))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        if obj is not None:
            context.update(self.publishing_context(request, obj))
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)  # type: ignore[misc]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Says how many triggers wait, to those who can do something about it."""
        may_act = self.has_publish_permission(request) or self.has_ask_permission(request)
        waiting = Trigger.objects.filter(asked_at__isnull=False).count() if may_act else 0
        return super().changelist_view(request, {**(extra_context or {}), "waiting": waiting})  # type: ignore[misc]

    # --- The two pages

    def ask_view(self, request: HttpRequest, trigger_id: int) -> HttpResponse:
        """Ask that the stored document goes live."""
        if not self.has_ask_permission(request):
            raise PermissionDenied
        trigger = _found(trigger_id)
        form = AskForm(request.POST or None, initial={"note": trigger.asked_note if trigger.asked_at else ""})
        if request.method == "POST" and form.is_valid():
            if asking.ask(trigger.pk, by=_user(request), note=form.cleaned_data["note"]):
                self.log_change(request, trigger, "Asked to publish.")  # type: ignore[attr-defined]
                self._say(request, f"{trigger.name} waits for a second person.", messages.SUCCESS)
            else:
                self._say(request, "There is nothing to publish.", messages.WARNING)
            return HttpResponseRedirect(links.page("automation.trigger", trigger.pk))
        return self._page(request, trigger, form, f"Ask to publish: {trigger.name}", "ask")

    def review_view(self, request: HttpRequest, trigger_id: int) -> HttpResponse:
        """Look at what would go live; publish it or decline."""
        if not self.has_publish_permission(request):
            raise PermissionDenied
        trigger = _found(trigger_id)
        form = AnswerForm(request.POST or None, initial={"seen_state": state_of(trigger)})
        if request.method == "POST" and form.is_valid():
            done = (
                self._decline(request, trigger, form)
                if "_decline" in request.POST
                else self._approve(request, trigger, form)
            )
            if done:
                return HttpResponseRedirect(links.page("automation.trigger", trigger.pk))
            trigger = _found(trigger_id)
            form = _again(form, trigger)
        return self._page(request, trigger, form, f"Publish: {trigger.name}", "review")

    def _decline(self, request: HttpRequest, trigger: Trigger, form: AnswerForm) -> bool:
        note = form.cleaned_data["note"].strip()
        if not note:
            form.add_error("note", "Say why, so that they know what to change.")
            return False
        with transaction.atomic():
            is_declined = asking.decline(trigger.pk, by=_user(request), note=note)
            if is_declined:
                self.log_change(request, trigger, f"Declined to publish: {note}")  # type: ignore[attr-defined]
        if is_declined:
            self._say(request, f"Declined. {trigger.name} stays as it is.", messages.SUCCESS)
        else:
            self._say(request, "Nobody asks (any more).", messages.WARNING)
        return True

    def _approve(self, request: HttpRequest, trigger: Trigger, form: AnswerForm) -> bool:
        with transaction.atomic():
            now = Trigger.objects.select_for_update().get(pk=trigger.pk)
            if form.cleaned_data["seen_state"] != state_of(now):
                form.add_error(None, CHANGED)
                return False
            try:
                version = publish.publish(now, by=_user(request), mode=Mode.LIVE)
            except (publish.Invalid, publish.NeedsApproval) as error:
                form.add_error(None, str(error))
                return False
            self.log_change(request, now, f"Version {version.number} is live.")  # type: ignore[attr-defined]
        self._say(request, f"{trigger.name}: version {version.number} is live.", messages.SUCCESS)
        return True

    def _page(
        self, request: HttpRequest, trigger: Trigger, form: forms.Form, title: str, step: str
    ) -> HttpResponse:
        version = trigger.current_version
        said = wording.changes(version.definition if version else None, trigger.document())
        context = {
            **self.admin_site.each_context(request),  # type: ignore[attr-defined]
            "opts": Trigger._meta,
            "title": title,
            "step": step,
            "trigger": trigger,
            "sentence": wording.sentence(trigger.document()),
            "changes": said.splitlines(),
            "is_new": version is None,
            "authors": User.objects.filter(pk__in=asking.authors_of(trigger)).order_by("username"),
            "ruling": approval.WORDS[asking.ruling(trigger, _user(request))],
            "may_publish": asking.ruling(trigger, _user(request)).is_allowed,
            "is_publishable": asking.is_publishable(trigger),
            "form": form,
        }
        return TemplateResponse(request, "admin/beckon/trigger_publishing.html", context)

    def publishing_context(self, request: HttpRequest, trigger: Trigger) -> dict[str, Any]:
        """For the banner above the form of `trigger`: who waits for whom, and what this user can do."""
        ruling = asking.ruling(trigger, _user(request))
        is_open = asking.is_publishable(trigger)
        may_review = self.has_publish_permission(request)
        return {
            "publishing": {
                "trigger": trigger,
                "is_open": is_open,
                "said": approval.WORDS[ruling] if is_open and self.has_ask_permission(request) else "",
                "review_url": reverse("admin:automation_trigger_review", args=[trigger.pk])
                if is_open and may_review
                else "",
                "ask_url": reverse("admin:automation_trigger_ask", args=[trigger.pk])
                if is_open and self.has_ask_permission(request) and not ruling.is_allowed
                else "",
            }
        }

    def _say(self, request: HttpRequest, text: str, level: int) -> None:
        self.message_user(request, text, level)  # type: ignore[attr-defined]


def _again(form: AnswerForm, trigger: Trigger) -> AnswerForm:
    """The form as it was filled in, with what is wrong, for the state of now."""
    data = {**form.data.dict(), "seen_state": state_of(trigger)}  # type: ignore[attr-defined]
    again = AnswerForm(data)
    for field, texts in form.errors.items():
        again.add_error(None if field == "__all__" else field, list(texts))
    return again


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _found(trigger_id: int) -> Trigger:
    found = (
        Trigger.objects.filter(pk=trigger_id if trigger_id < 2**63 else -1)
        .select_related("current_version", "asked_by", "declined_by")
        .first()
    )
    if found is None:
        raise Http404("There is no such trigger.")
    return found
