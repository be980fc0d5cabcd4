"""What automation adds to a customer's page: what happened, whether we may write, what is known, and why not."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from automation import audit, contact, snippets, traces
from automation.admin import links, why
from automation.admin.timeline import KINDS, place, stamp_time, timeline
from automation.models import Trigger, TriggerState
from profiles.admin.customers import ProfileAdmin
from profiles.admin.parts import Cell, Part, Row
from profiles.clock import short
from profiles.masking import may_see, without_personal
from profiles.models import Consent, Membership, Profile

SHOWN = 40
KNOWN = 60  # Attributes listed; the rest is in the export.


class Known(NamedTuple):
    """One attribute of a customer and where it comes from."""

    name: str
    value: str
    at: datetime | None
    event: str  # Address of a search for the event that said it; empty for what is worked out.


def page(request: HttpRequest, profile: Profile) -> dict[str, Any]:
    """The top of the page. Opening it with the right to see addresses leaves an entry in the audit log."""
    now, sees = timezone.now(), may_see(request.user)
    only = request.GET.get("show", "")
    only = only if only in KINDS else ""
    before = place(request.GET.get("before", ""))
    contacts = contact.contacts(profile.pk, now=now)
    if sees and request.method == "GET":
        _record(request, profile)
    return {
        "facts": {
            "since": profile.first_seen or profile.created_at,
            "zone": contacts[0].zone if contacts else "",
            "name": f"{profile.first_name} {profile.last_name}".strip(),
        },
        "contacts": contacts,
        "timeline": timeline(profile, only=only, before=before, may_see=sees),
        "is_first_page": before is None,
        "kinds": [{"key": key, "name": name, "is_on": key == only} for key, name in KINDS.items()],
        "shows_all": not only,
        "show": only,
        "known": known(profile, sees),
        "words": Consent.objects.filter(profile=profile).order_by("topic", "channel")[:SHOWN],
        "members": Membership.objects.filter(profile=profile).select_related("segment")[:SHOWN],
        "why_url": reverse("admin:profiles_profile_why", args=[profile.pk]) if why.may(request) else "",
        "snippets": _snippets(profile) if profile.last_activity is None else [],
    }


def known(profile: Profile, sees: bool) -> list[Known]:
    """What was said about the customer, each with the moment and the event that said it."""
    values = profile.traits if sees else without_personal(profile.traits)
    stamps = profile.trait_stamps or {}
    found = []
    for name in sorted(values)[:KNOWN]:
        stamp = stamps.get(name)
        event = stamp[1] if isinstance(stamp, list) and len(stamp) > 1 and isinstance(stamp[1], str) else ""
        found.append(
            Known(
                name.replace("_", " "),
                traces.seen(values[name]),
                stamp_time(stamp),
                f"{reverse('admin:search')}?q={event}" if event else "",
            )
        )
    return found


def counts(request: HttpRequest, profile: Profile) -> Part:
    """How often each trigger fired for this customer, for ever."""
    states = list(
        TriggerState.objects.filter(profile_id=profile.pk, count__gt=0).order_by("-last_at")[:SHOWN]
    )
    names = dict(
        Trigger.objects.filter(pk__in=[state.trigger_id for state in states]).values_list("pk", "name")
    )
    rows = [
        Row(
            (
                Cell(names.get(state.trigger_id, "–"), links.page("automation.trigger", state.trigger_id)),
                Cell(f"{state.count:,}", css="beckon-number"),
                Cell(short(state.last_at)),
            )
        )
        for state in states
    ]
    here: dict[str, Any] = {"profile__id__exact": profile.pk}
    return Part(
        _("Triggers that fired for them"),
        (_("Trigger"), _("Times"), _("Last")),
        rows,
        links=(
            Cell(_("All events"), links.listing("automation.event", **here)),
            Cell(_("All decisions"), links.listing("automation.execution", **here)),
            Cell(_("All deliveries"), links.listing("automation.delivery", **here)),
        ),
        empty=_("None so far."),
    )


def _snippets(profile: Profile) -> list[snippets.Snippet]:
    """How to send the first event of this customer."""
    event = {**snippets.EXAMPLE, "customer_id": profile.customer_id or ""}
    return snippets.snippets(settings.PUBLIC_URL, event=event) if profile.customer_id else []


def _record(request: HttpRequest, profile: Profile) -> None:
    audit.record(
        "profile.opened",
        actor=request.user.get_username(),
        actor_id=request.user.pk,
        target=f"profiles.profile {profile.pk}",
        profile_id=profile.pk,
        request=request,
    )


ProfileAdmin.more_parts.append(counts)
ProfileAdmin.more_context.append(page)
ProfileAdmin.more_urls.append(why.urls)
