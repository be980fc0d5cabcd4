"""The admin site: Beckon's name, a sidebar by job, a search box, and pages that stand beside the models.

Not in the package `admin`, whose import registers models on the site that this module makes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver
from django.utils.translation import gettext as _

from automation import sidebar
from automation.audit.staff import Audited
from automation.export_button import Exports
from automation.export_columns import EXPORTED
from profiles.masking import Discreet, hidden, may_see
from profiles.named import Named

View = Callable[[HttpRequest], HttpResponse]

# The action of axes needs attributes that only a log-in gives to its request; the tidy task does its work.
WITHOUT_OWN_ACTIONS = frozenset({"axes.AccessAttempt"})


class DiscreetAutocomplete(AutocompleteJsonView):
    """Django's picker, with addresses masked for those who may not see them."""

    def serialize_result(self, obj: models.Model, to_field_name: str) -> dict[str, str]:
        found: dict[str, str] = super().serialize_result(obj, to_field_name)  # type: ignore[misc]
        return found if may_see(self.request.user) else {**found, "text": hidden(found["text"])}


class BeckonAdminSite(admin.AdminSite):
    """Stock Django admin with another order."""

    site_header = "Beckon"
    site_title = "Beckon"
    index_title = "What would you like to do?"
    site_url = None

    # Pages beside the models add themselves here; the first of `home` starts the day of who may see triggers.
    more_urls: ClassVar[list[Callable[[admin.AdminSite], list[URLPattern]]]] = []
    home: ClassVar[list[View]] = []

    def register(
        self, model_or_iterable: Any, admin_class: type[admin.ModelAdmin[Any]] | None = None, **options: Any
    ) -> None:
        """Register with the audit hook put in, so that no page can forget it, not even one of another app."""
        listed = [model_or_iterable] if isinstance(model_or_iterable, type) else model_or_iterable
        for model in listed:
            super().register(model, _with_hooks(model, admin_class or admin.ModelAdmin), **options)

    def get_urls(self) -> list[URLResolver | URLPattern]:
        ours = [pattern for more in self.more_urls for pattern in more(self)]
        return [*ours, *super().get_urls()]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The Overview for those who may see triggers; Django's list of what they may open for the others."""
        if self.home and request.user.has_perm("automation.view_trigger"):
            return self.home[0](request)
        return super().index(request, extra_context)

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        """Names of customers may be addresses; pickers show them like the lists do."""
        return DiscreetAutocomplete.as_view(admin_site=self)(request)  # type: ignore[return-value]

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        return {**super().each_context(request), "environment": environment()}

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        apps = super().get_app_list(request, app_label)
        if app_label is not None:
            return apps
        return sidebar.grouped(request, apps)


def environment() -> str:
    """What stands beside the name of the site while no mail can leave; empty where it does."""
    if settings.EMAIL_URL and not settings.LOCAL_MAILBOX:
        return ""
    return _("DEMO – mail goes to the local mailbox, none is delivered")


def _with_hooks(
    model: type[models.Model], admin_class: type[admin.ModelAdmin[Any]]
) -> type[admin.ModelAdmin[Any]]:
    bases: tuple[type, ...] = (Audited, Discreet, Named, admin_class)
    body: dict[str, Any] = {"__module__": admin_class.__module__}
    if model._meta.label in WITHOUT_OWN_ACTIONS:
        body["actions"] = ()
    if model._meta.label in EXPORTED:
        bases, body["export_columns"] = (
            (Audited, Discreet, Exports, Named, admin_class),
            EXPORTED[model._meta.label],
        )
    return type(admin_class.__name__, bases, body)
