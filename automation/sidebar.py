"""The sidebar: what a member of staff does, grouped by job instead of by app, and only what they may open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.functional import Promise
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _


class Page(NamedTuple):
    """An entry that is no model: a page of its own."""

    name: str | Promise
    url_name: str
    permission: str


Entry = str | Page  # The label of a model, or a page.

# Title of the group -> entries, in the order of the sidebar. What is not named here keeps its app's group.
GROUPS: tuple[tuple[str | Promise, tuple[Entry, ...]], ...] = (
    (
        _("Every day"),
        (
            Page(_("Overview"), "admin:overview", "automation.view_trigger"),
            Page(_("Live events"), "admin:automation_live", "automation.view_event"),
            "automation.Trigger",
            "profiles.Profile",
            "profiles.Segment",
            "automation.Template",
            "automation.Execution",
            "automation.Delivery",
            "automation.Task",
        ),
    ),
    (
        _("Look up"),
        (
            "automation.Event",
            "automation.MissSample",
            "automation.RejectedRequest",
            "automation.CatalogueEntry",
            "profiles.Consent",
            "profiles.Membership",
        ),
    ),
    (
        _("Settings"),
        (
            "automation.WriteKey",
            "profiles.AddressSuppression",
            "automation.AuditEntry",
            "profiles.Erasure",
            "auth.User",
            "auth.Group",
            "django_celery_beat.PeriodicTask",
            "django_celery_beat.IntervalSchedule",
            "django_celery_beat.CrontabSchedule",
        ),
    ),
    (
        _("For developers"),
        (
            "automation.QuarantinedEvent",
            "automation.QueuedEvent",
            "automation.Heartbeat",
            "automation.Tally",
            "automation.TriggerVersion",
            "automation.SendReservation",
            "profiles.Identity",
            "profiles.Tombstone",
            "automation.Epoch",
            "analytics.Onboarding",
            "django_celery_beat.SolarSchedule",
            "django_celery_beat.ClockedSchedule",
            "automation.AuditCheck",
            "automation.AuditPersonal",
            "axes.AccessAttempt",
            "axes.AccessFailureLog",
            "axes.AccessLog",
        ),
    ),
)
# Reached from the pages of a trigger and a customer; listed only for those who run the machinery (S-008).
TECHNICAL = frozenset({"automation.TriggerVersion", "automation.Tally", "profiles.Identity"})
RUNS_IT = "automation.view_heartbeat"

# What a member of staff calls it, where that differs from the model's name.
NAMES: Mapping[str, str | Promise] = {
    "profiles.Erasure": _("Receipts of erasures"),
    "automation.WriteKey": _("API keys"),
    "automation.QuarantinedEvent": _("Quarantine"),
    "automation.QueuedEvent": _("Queue"),
    "automation.Heartbeat": _("Workers"),
    "automation.Tally": _("Counters"),
    "automation.AuditPersonal": _("Audit log: personal values"),
    "automation.AuditCheck": _("Audit log: last check"),
    "axes.AccessAttempt": _("Wrong passwords"),
    "axes.AccessLog": _("Log-ins"),
}


def grouped(request: HttpRequest, apps: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Django's list of `apps`, which holds only what the user may see, in our groups."""
    apps = list(apps)
    models: dict[str, Any] = {}
    runs_it = request.user.has_perm(RUNS_IT)
    for app in apps:
        for entry in app["models"]:
            label = entry["model"]._meta.label
            models[label] = {**entry, "name": NAMES.get(label, entry["name"])}
    listed = []
    for title, entries in GROUPS:
        shown = []
        for entry in entries:
            if isinstance(entry, Page):
                if request.user.has_perm(entry.permission) and (address := _address(entry)):
                    shown.append(_page(entry, address))
            elif (found := models.pop(entry, None)) and (runs_it or entry not in TECHNICAL):
                shown.append(found)
        if shown:
            listed.append(_group(str(title), shown))
    for app in apps:
        app["models"] = [entry for entry in app["models"] if entry["model"]._meta.label in models]
        if app["models"]:
            listed.append(app)
    return listed


def _address(page: Page) -> str:
    try:
        return reverse(page.url_name)
    except NoReverseMatch:  # An app to the left that is not installed brings no page.
        return ""


def _page(page: Page, address: str) -> dict[str, Any]:
    return {
        "name": page.name,
        "object_name": page.url_name.partition(":")[2],
        "admin_url": address,
        "add_url": None,
        "view_only": True,
        "perms": {"view": True},
        "model": None,
    }


def _group(title: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    key = slugify(title)
    return {
        "name": title,
        "app_label": key,
        "app_url": f"{reverse('admin:index')}#{key}",
        "has_module_perms": True,
        "models": entries,
    }
