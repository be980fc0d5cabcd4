"""“Why did they not get …?”: choose a trigger and one of the customer's events, and see what it saw."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _

from automation import backtest
from automation.admin import trace, trigger_problems
from automation.engine.types import Mode
from automation.engine.validate import validate_definition
from automation.explain import Explanation, NothingFoundError, event_names, explain_pair
from automation.models import Event, Trigger
from profiles.masking import may_see, veil
from profiles.models import Profile

log = logging.getLogger(__name__)

NEEDS = (
    "profiles.view_profile",
    "automation.view_trigger",
    "automation.view_event",
    "automation.view_execution",
)
EVENTS_SHOWN = 30  # Newest events of the customer to choose from.
NAMES_OF = 300  # Newest events that say which triggers come first.


def may(request: HttpRequest) -> bool:
    """Whether the user may see everything that the page tells."""
    return request.user.has_perms(NEEDS)


def page(request: HttpRequest, admin: ModelAdmin[Profile], profile: Profile) -> HttpResponse:
    """The choice of a trigger, then its events, then the newest of them or the chosen one explained."""
    triggers = list(
        Trigger.objects.exclude(mode=Mode.ARCHIVED).select_related("current_version").order_by("name")
    )
    known = _names(profile)  # Those that heard this customer come first, each half by name.
    triggers.sort(key=lambda one: known.isdisjoint(trigger_problems.events_of(one.conditions)))
    trigger = _chosen(triggers, request.GET.get("trigger", ""))
    events: list[Event] = []
    found: Explanation | None = None
    problem = ""
    if trigger is not None:
        try:
            names = event_names(trigger)
            events = _events(profile, names)
            event = _chosen(events, request.GET.get("event", "")) or (events[0] if events else None)
            found = explain_pair(profile, event, trigger) if event is not None else None
            if event is None:
                problem = _("It listens to %(names)s, and they have no such event.") % {
                    "names": ", ".join(sorted(names)) or _("no event")
                }
        except NothingFoundError as error:
            problem = str(error)
    drawn = None
    if trigger is not None and found is not None:
        drawn = trace.of_explanation(found)
        if not found.is_stored and found.conditions:
            try:
                rails = _rails(trigger, found.event_id, timezone.now())
            except OperationalError:  # PostgreSQL gave up on the time of a web request.
                log.warning("asking the guard rails again was too slow", exc_info=True)
                problem = _("Too much is stored of this customer to say quickly what the guard rails saw.")
            else:
                drawn = replace(drawn, guards=rails, is_unjudged=False)
    if drawn is not None and not may_see(request.user):
        drawn = drawn.masked()
    shown = {
        **admin.admin_site.each_context(request),
        "opts": admin.opts,
        "title": _("Why did they not get …?"),
        "profile": profile,
        "triggers": triggers,
        "trigger": trigger,
        "events": events,
        "found": found,
        "trace": drawn,
        "problem": problem,
    }
    return TemplateResponse(request, "admin/beckon/why.html", shown)


def urls(admin: ModelAdmin[Profile]) -> list[URLPattern]:
    """The page."""

    def view(request: HttpRequest, pk: int) -> HttpResponse:
        if not may(request):
            raise PermissionDenied
        profile = Profile.objects.filter(pk=pk, erased_at=None).first()
        if profile is None:
            raise Http404("There is no such customer (any more).")
        if not may_see(request.user):
            veil(profile)
        return page(request, admin, profile)

    return [path("<int:pk>/why/", admin.admin_site.admin_view(view), name="profiles_profile_why")]


def _rails(trigger: Trigger, event_id: int, now: datetime) -> list[trace.Rail]:
    """Every guard rail at that moment, also where the conditions were not met: the judge asked again, read-only."""
    version = trigger.current_version
    definition, _problems = validate_definition(version.definition if version else trigger.document())
    if definition is None:
        return []
    try:
        found = backtest.explain(definition, event_id, now=now, trigger_id=trigger.pk)
    except backtest.NoSuchEventError:
        return []
    return [trace.Rail(one.code, one.ok, one.text, one.until) for one in found.guards]


def _events(profile: Profile, names: frozenset[str]) -> list[Event]:
    """The newest events of the customer that a trigger listens to."""
    rows = Event.objects.filter(profile=profile).defer("data", "context")
    if "*" not in names:
        rows = rows.filter(name__in=names)
    found = list(rows.order_by("-occurred_at")[:EVENTS_SHOWN])
    for event in found:
        event.said = event.name.replace("_", " ")  # type: ignore[attr-defined]
    return found


def _names(profile: Profile) -> set[str]:
    """Names of the newest events of the customer."""
    rows = Event.objects.filter(profile=profile).order_by("-occurred_at")
    return set(rows.values_list("name", flat=True)[:NAMES_OF])


def _chosen(rows: Any, key: str) -> Any:
    return next((row for row in rows if str(row.pk) == key), None)
