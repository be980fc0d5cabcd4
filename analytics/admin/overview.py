"""“How are we doing?”, the start page of whoever may see triggers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.admin import site as default_site
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST

from analytics.overview import onboarding
from analytics.overview.findings import ALARM, findings
from analytics.overview.numbers import DEFAULT_SPAN, SPANS, Numbers, Series, recent, stages
from analytics.overview.system import system
from automation import reasons, snippets
from automation.site import BeckonAdminSite
from automation.templatetags.beckon_charts import said

PERMISSION = "automation.view_trigger"
MIN_BEFORE = 30  # Of fewer a change in percent says nothing.
STAGES: Mapping[str, str | Promise] = {
    "matched": gettext_lazy("Matched a trigger"),
    "fired": gettext_lazy("Fired"),
    "sent": gettext_lazy("Sent by e-mail"),
    "delivered": gettext_lazy("Delivered"),
    "opened": gettext_lazy("Opened"),
    "clicked": gettext_lazy("Clicked"),
}


class Tile(NamedTuple):
    """One number, how it changed, and its days."""

    title: str
    number: str
    change: str  # ▲ 12 %; empty: there is nothing to compare with.
    tone: str  # good, bad or same: of the change, not of its direction.
    days: tuple[int, ...]
    note: str


def page(request: HttpRequest, site: AdminSite, now: datetime | None = None) -> HttpResponse:
    """The whole page; the number of queries does not depend on how much there is."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    now = now or timezone.now()
    asked = request.GET.get("days", "")
    span = int(asked) if asked in {str(days) for days in SPANS} else DEFAULT_SPAN
    found, steps = recent(span, now), onboarding.steps(request)
    seen = system(now)
    shown = {
        **site.each_context(request),
        "title": _("How are we doing?"),
        "span": span,
        "spans": SPANS,
        "steps": steps,
        "is_empty": found.is_empty,
        "snippets": snippets.snippets(settings.PUBLIC_URL) if found.is_empty or steps else [],
        "tiles": [] if found.is_empty else tiles(found),
        "findings": findings(found, seen, now),
        "stages": [] if found.is_empty else [(str(STAGES[key]), count) for key, count in stages(found)],
        "mails": found.mails,
        "is_comparable": found.is_comparable,
        "broken": found.broken,
        "may_pause": request.user.has_perm("automation.pause_trigger"),
        "first": found.first,
        "held_out": found.reasons["holdout"],
        "system": seen,
        "runs_it": request.user.has_perm("automation.view_heartbeat"),
    }
    return TemplateResponse(request, "admin/beckon/overview.html", shown)


def tiles(found: Numbers) -> list[Tile]:
    """What was reached, what was held back, who left and what failed."""
    main = found.reasons.most_common(1)
    events = ngettext("of %(n)s event", "of %(n)s events", found.events.total)
    is_comparable = found.is_comparable
    return [
        _reached(found),
        tile(_("Fired"), found.fired, "up", events % {"n": said(found.events.total)}, is_comparable),
        tile(_("Held back"), found.held, "down", _mostly(main), is_comparable),
        tile(_("Unsubscribed or complained"), found.left, "down", _share(found), is_comparable),
        tile(_("Actions that failed"), found.failed, "down", _("given up after all attempts"), is_comparable),
    ]


def _reached(found: Numbers) -> Tile:
    """Each customer counts once, however many e-mails they got."""
    customers = said(found.mails.customers)
    number = _("more than %(n)s") % {"n": customers} if found.mails.is_cut else customers
    return Tile(_("Customers reached"), number, "", "same", found.reached.days, _("got an e-mail"))


def tile(title: str, series: Series, good: str, note: str, is_comparable: bool = True) -> Tile:
    """`good` is the direction that is good: up, down, or neither.

    A change is told where the whole span before was counted, and enough in it.
    """
    total, before = series.total, series.before
    if not is_comparable or before < MIN_BEFORE:
        return Tile(title, said(total), "", "same", series.days, note)
    share = (total - before) / before
    direction = "up" if share > 0 else "down" if share < 0 else ""
    tone = "same" if not direction or not good else "good" if direction == good else "bad"
    sign = {"up": "▲", "down": "▼", "": "="}[direction]
    return Tile(title, said(total), f"{sign} {abs(share) * 100:.0f} %", tone, series.days, note)


def _mostly(main: list[tuple[str, int]]) -> str:
    if not main:
        return _("nothing was held back")
    reason, count = main[0]
    return _("mostly: %(reason)s (%(n)s)") % {"reason": reasons.label(reason), "n": said(count)}


def _share(found: Numbers) -> str:
    alarm = _("alarm at %(alarm).2f %%") % {"alarm": ALARM * 100}
    if found.mails.is_cut or not found.mails.sent:
        return alarm
    said_of = _("%(share).2f %% of %(sent)s e-mails; %(alarm)s")
    return said_of % {
        "share": found.left.total / found.mails.sent * 100,
        "sent": said(found.mails.sent),
        "alarm": alarm,
    }


@require_POST
def step(request: HttpRequest) -> HttpResponse:
    """Take one of the first steps, or put the list away; answers with where it leads."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    return HttpResponseRedirect(onboarding.take(request, request.POST.get("step", ""), timezone.now()))


def urls(site: AdminSite) -> list[URLPattern]:
    """The page under an address of its own, and its first steps."""

    def view(request: HttpRequest) -> HttpResponse:
        return page(request, site)

    return [
        path("overview/", site.admin_view(view), name="overview"),
        path("overview/step/", site.admin_view(step), name="overview_step"),
    ]


def home(request: HttpRequest) -> HttpResponse:
    """The same at the root of the admin."""
    return page(request, default_site)


BeckonAdminSite.more_urls.append(urls)
BeckonAdminSite.home.append(home)
