"""The first six steps; each ticks itself from what is stored."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple

from django.conf import settings
from django.db import connection
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from analytics.models import Onboarding

_FACTS = """
SELECT EXISTS (SELECT FROM automation_catalogueentry) OR EXISTS (SELECT FROM automation_event LIMIT 1),
  EXISTS (SELECT FROM automation_trigger WHERE mode IN ('shadow', 'live', 'paused')),
  EXISTS (SELECT FROM automation_trigger WHERE mode = 'live')
"""
# Steps that a button takes -> the field that remembers it, and where the button leads.
TAKEN: Final[dict[str, tuple[str, Callable[[], str]]]] = {
    "live": ("saw_live_at", lambda: reverse("admin:automation_live")),
    "decision": ("saw_decision_at", lambda: reverse("admin:automation_execution_changelist")),
    "dismiss": ("dismissed_at", lambda: reverse("admin:overview")),
}


class Step(NamedTuple):
    """One step."""

    text: str | Promise
    is_done: bool
    button: str | Promise = ""
    url: str = ""  # Where the step is taken; empty: by posting `key`.
    key: str = ""


def steps(request: HttpRequest) -> list[Step]:
    """The steps; empty when all are done or the user has put the list away. Two queries."""
    mine = Onboarding.objects.filter(pk=request.user.pk).first() or Onboarding()
    if mine.dismissed_at:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_FACTS)
        has_event, has_shadow, has_live = cursor.fetchone()
    triggers = reverse("admin:automation_trigger_changelist")
    has_mail = bool(settings.EMAIL_URL) and not settings.LOCAL_MAILBOX
    found = [
        Step(_("Send an event"), has_event, _("How"), "#send"),
        Step(_("See it live"), mine.saw_live_at is not None, _("Open live events"), key="live"),
        Step(_("Switch a recipe to shadow"), has_shadow, _("Choose a recipe"), triggers),
        Step(_("Look at a decision"), mine.saw_decision_at is not None, _("Open decisions"), key="decision"),
        Step(_("Connect mail: ask your administrator"), has_mail),
        Step(_("Go live"), has_live, _("Open the triggers"), triggers),
    ]
    return [] if all(step.is_done for step in found) else found


def take(request: HttpRequest, key: str, now: datetime) -> str:
    """Remember a step of this user; returns where it leads. A step that is none is not taken."""
    field, address = TAKEN.get(key, ("", lambda: reverse("admin:overview")))
    if not field:
        return address()
    Onboarding.objects.update_or_create(pk=request.user.pk, defaults={field: now})
    return address()
