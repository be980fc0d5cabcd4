"""On a customer's page: give everything out, or forget the person. Both work without JavaScript."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext as _

from automation.privacy import Receipt, Who, erase
from automation.privacy.export import exported, preview
from automation.privacy.holdings import HOLDINGS
from profiles.admin.customers import ProfileAdmin
from profiles.admin.parts import Cell, Part, Row
from profiles.models import Profile

EXPORT, ERASE = "profiles.export_profile", "profiles.erase_profile"
_TREATMENTS = {holding.table: (holding.treatment, holding.why) for holding in HOLDINGS}

Page = Callable[[HttpRequest, "ModelAdmin[Profile]", Profile], HttpResponse]


def export_page(request: HttpRequest, admin: ModelAdmin[Profile], profile: Profile) -> HttpResponse:
    """What the document will hold; posting downloads it."""
    who, now = Who(profile_id=profile.pk), timezone.now()
    if request.method != "POST":
        part = _counts(_("What is stored about this person"), preview(who, now))
        note = _("The file holds personal data: give it to nobody but the person. The download is recorded.")
        return _page(
            request,
            admin,
            profile,
            part,
            title=_("Export everything"),
            note=note,
            button=_("Download as JSON"),
        )
    with exported(who, by=_name(request), actor_id=request.user.pk, now=now, request=request) as file:
        answer = HttpResponse(file.read(), content_type="application/json")
    answer["Content-Disposition"] = f'attachment; filename="customer-{profile.pk}.json"'
    add_never_cache_headers(answer)
    return answer


def erase_page(request: HttpRequest, admin: ModelAdmin[Profile], profile: Profile) -> HttpResponse:
    """What will be removed; it takes typing the customer's id, and answers with the receipt."""
    who, now = Who(profile_id=profile.pk), timezone.now()
    expected = str(profile)
    error = ""
    if request.method == "POST":
        if request.POST.get("typed", "").strip() == expected:
            receipt = erase(who, by=_name(request), actor_id=request.user.pk, now=now, request=request)
            profile.refresh_from_db()
            return _page(request, admin, profile, _receipt(receipt), title=_("This person was forgotten"))
        error = _("That is not the same. Nothing was changed.")
    return _page(
        request,
        admin,
        profile,
        _counts(_("What will be removed"), preview(who, now)),
        title=_("Forget this person"),
        note=_(
            "This cannot be undone. Messages that were not sent yet are cancelled. Keyed hashes of the person's"
            " ids stay, so that late events do not bring them back."
        ),
        button=_("Forget this person"),
        expected=expected,
        error=error,
    )


def urls(admin: ModelAdmin[Profile]) -> list[URLPattern]:
    """The two pages."""
    return [
        path("<int:pk>/export/", _guarded(admin, export_page, EXPORT), name="profiles_profile_export"),
        path("<int:pk>/forget/", _guarded(admin, erase_page, ERASE), name="profiles_profile_forget"),
    ]


def tools(request: HttpRequest, profile: Profile) -> list[Cell]:
    """Links to the pages for those who may use them."""
    if profile.erased_at is not None:
        return []
    offered = (
        (EXPORT, _("Export everything (JSON)"), "admin:profiles_profile_export"),
        (ERASE, _("Forget this person…"), "admin:profiles_profile_forget"),
    )
    return [
        Cell(text, reverse(name, args=[profile.pk]))
        for permission, text, name in offered
        if request.user.has_perm(permission)
    ]


def _guarded(admin: ModelAdmin[Profile], page: Page, permission: str) -> Any:
    def view(request: HttpRequest, pk: int) -> HttpResponse:
        if not request.user.has_perm(permission):
            raise PermissionDenied
        profile = Profile.objects.filter(pk=pk, erased_at=None).first()
        if profile is None:
            raise Http404("There is no such customer (any more).")
        return page(request, admin, profile)

    return admin.admin_site.admin_view(view)


def _page(
    request: HttpRequest, admin: ModelAdmin[Profile], profile: Profile, part: Part, **context: Any
) -> HttpResponse:
    shown = {
        **admin.admin_site.each_context(request),
        "opts": admin.opts,
        "profile": profile,
        "part": part,
        **context,
    }
    answer = TemplateResponse(request, "admin/beckon/privacy.html", shown)
    add_never_cache_headers(answer)
    return answer


def _counts(title: str, counts: Mapping[str, int]) -> Part:
    rows = []
    for table, count in counts.items():
        treatment, why = _TREATMENTS[table]
        rows.append(
            Row((Cell(_words(table)), Cell(f"{count:,}", css="beckon-number"), Cell(treatment), Cell(why)))
        )
    return Part(title, (_("Table"), _("Rows"), _("When forgotten"), ""), rows, empty=_("Nothing."))


def _receipt(receipt: Receipt) -> Part:
    rows = [
        Row((Cell(_words(table)), Cell(f"{count:,}", css="beckon-number")))
        for table, count in receipt.counts.items()
    ]
    note = _("Receipt %(number)s: %(outcome)s. Names with a tombstone: %(names)s.") % {
        "number": receipt.id,
        "outcome": receipt.outcome.replace("_", " "),
        "names": receipt.names,
    }
    return Part(_("Receipt"), (_("Table"), _("Rows")), rows, note=note)


def _words(table: str) -> str:
    return table.partition("_")[2].replace("_", " ")


def _name(request: HttpRequest) -> str:
    return str(request.user.get_username())


ProfileAdmin.more_urls.append(urls)
ProfileAdmin.more_tools.append(tools)
