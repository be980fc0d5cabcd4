"""What the pages of one trigger share: its tabs, the way there, and who is looking."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from automation.admin import links
from automation.models import Trigger

BEYOND = 2**63  # No id of a row is so big, and PostgreSQL refuses to compare with one.


class TriggerPages:
    """Base of the mixins that add pages to the ModelAdmin of triggers."""

    admin_site: Any  # These are ModelAdmin's.
    log_addition: Any
    log_change: Any
    message_user: Any
    change_form_template: Any = "admin/beckon/trigger_form.html"

    def has_ask_permission(self, request: HttpRequest) -> bool:
        """Whether this user may ask to publish: whoever may edit."""
        return bool(request.user.has_perm("automation.change_trigger"))

    def has_pause_permission(self, request: HttpRequest) -> bool:
        """Whether this user may pause: nothing stands in the way of stopping."""
        return self.has_ask_permission(request) or request.user.has_perm("automation.pause_trigger")

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        if obj is not None:
            context["tabs"] = tabs(obj, "edit")
            context["title"], context["subtitle"] = obj.name, None
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)  # type: ignore[misc]

    def page(
        self, request: HttpRequest, trigger: Trigger | None, template: str, title: str, **context: Any
    ) -> HttpResponse:
        """A page of the admin; `trigger` None when it is about several."""
        return TemplateResponse(
            request,
            f"admin/beckon/{template}.html",
            {
                **self.admin_site.each_context(request),
                "opts": Trigger._meta,
                "title": title,
                "trigger": trigger,
                "tabs": tabs(trigger, template) if trigger else [],
                **context,
            },
        )

    def say(self, request: HttpRequest, text: str, level: int) -> None:
        """A message on the next page."""
        self.message_user(request, text, level)


def tabs(trigger: Trigger, current: str) -> list[dict[str, Any]]:
    """Label, address and whether it is the current one; `current` is a name or the template of a page."""
    listed = (
        ("edit", _("Edit"), links.page("automation.trigger", trigger.pk)),
        ("decisions", _("Decisions"), links.listing("automation.execution", trigger__id__exact=trigger.pk)),
        ("trigger_versions", _("Versions"), reverse("admin:automation_trigger_versions", args=[trigger.pk])),
    )
    return [{"label": label, "url": url, "is_current": name == current} for name, label, url in listed]


def found(trigger_id: int) -> Trigger:
    """The trigger of an address, with who asked; raises Http404."""
    listed: QuerySet[Trigger] = Trigger.objects.select_related("current_version", "asked_by", "declined_by")
    trigger = listed.filter(pk=trigger_id).first() if trigger_id < BEYOND else None
    if trigger is None:
        raise Http404("There is no such trigger.")
    return trigger


def signed_in(request: HttpRequest) -> User:
    """Who is looking; the admin lets in nobody else."""
    assert isinstance(request.user, User)
    return request.user
