"""The search box (key `/`): customers, triggers and events by their ids, each kind by an index of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from django.contrib.admin import AdminSite
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.db.models.lookups import Exact
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from automation.admin import links
from automation.admin.events import by_message_id
from automation.models import Event, Trigger
from automation.site import BeckonAdminSite
from profiles.admin.customers import profile_ids
from profiles.masking import hidden, may_see
from profiles.models import Profile

SHOWN = 10  # Hits of one kind.
_LONGEST = 254


class Hit(NamedTuple):
    """One record found."""

    text: str
    url: str
    note: str = ""


class Kind(NamedTuple):
    """One kind of record, and how it is looked up."""

    title: str | Promise
    permission: str
    find: Callable[[HttpRequest, str], list[Hit]]


def customers(request: HttpRequest, term: str) -> list[Hit]:
    """By customer id or anonymous id; by the whole e-mail address for those who may see addresses."""
    wanted = Q(pk__in=profile_ids(term))
    if "@" in term and may_see(request.user):
        wanted |= Q(Exact(Lower("email"), term.lower()))
    found = Profile.objects.filter(wanted).only("customer_id", "erased_at", "last_activity").order_by("pk")
    return [
        Hit(
            str(one),
            links.page("profiles.profile", one.pk),
            _("last seen %(at)s") % {"at": links.clock(one.last_activity)} if one.last_activity else "",
        )
        for one in found[:SHOWN]
    ]


def triggers(request: HttpRequest, term: str) -> list[Hit]:
    """By a part of the name or of the key: people write them, so there are few."""
    found = Trigger.objects.filter(Q(name__icontains=term) | Q(key__icontains=term)).order_by("name")
    return [
        Hit(one.name, links.page("automation.trigger", one.pk), one.get_mode_display())
        for one in found.only("name", "mode")[:SHOWN]
    ]


def events(request: HttpRequest, term: str) -> list[Hit]:
    """By id or by message id."""
    ids = by_message_id(term)
    if term.isdecimal() and len(term) <= 18:
        ids.append(int(term))
    if not ids:
        return []
    found = Event.objects.filter(pk__in=ids[:SHOWN]).annotate(customer=F("profile__customer_id"))
    return [
        Hit(
            one.name,
            links.page("automation.event", one.pk),
            _("%(customer)s, %(at)s")
            % {"customer": one.customer or _("anonymous"), "at": links.clock(one.occurred_at)},
        )
        for one in found.defer("data", "context")
    ]


KINDS = (
    Kind(gettext_lazy("Customers"), "profiles.view_profile", customers),
    Kind(gettext_lazy("Triggers"), "automation.view_trigger", triggers),
    Kind(gettext_lazy("Events"), "automation.view_event", events),
)


def page(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """What was found of each kind that the user may see."""
    term = request.GET.get("q", "").strip().replace("\0", "")[:_LONGEST]
    found = []
    for kind in KINDS:
        if not request.user.has_perm(kind.permission):
            continue
        hits = kind.find(request, term) if term else []
        if not may_see(request.user):
            hits = [hit._replace(text=hidden(hit.text), note=hidden(hit.note)) for hit in hits]
        found.append((kind.title, hits))
    shown = {**site.each_context(request), "title": _("Search"), "term": term, "found": found}
    return TemplateResponse(request, "admin/beckon/search.html", shown)


def urls(site: AdminSite) -> list[URLPattern]:
    """The page of results."""

    def view(request: HttpRequest) -> HttpResponse:
        return page(request, site)

    return [path("search/", site.admin_view(view), name="search")]


BeckonAdminSite.more_urls.append(urls)
