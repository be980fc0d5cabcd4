"""“Export as CSV” on the lists of the admin.

Not in the package `admin`: the site puts it into lists of other apps while they are being registered.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG, SEARCH_VAR
from django.core.exceptions import PermissionDenied
from django.http import (
    HttpRequest,
    HttpResponseBase,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.urls import path, reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.text import slugify

from automation import audit
from automation.csv_export import Column, Progress, Shows, lines
from automation.request_id import request_id
from profiles.masking import hidden, masked, may_see

PERMISSION = "automation.export_rows"


class Exports:
    """Mixed in before ModelAdmin: a button that streams what the list shows with its filters."""

    export_columns: ClassVar[tuple[Column, ...]]
    model: Any
    opts: Any
    admin_site: Any

    def has_export_permission(self, request: HttpRequest) -> bool:
        """Whether this user may take rows of this list away."""
        return bool(request.user.has_perm(PERMISSION)) and self.has_view_permission(request)  # type: ignore[attr-defined]

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.export_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        return [path("export/", view, name=name), *super().get_urls()]  # type: ignore[misc]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        more = {"export_url": self._url("export")} if self.has_export_permission(request) else {}
        return super().changelist_view(request, {**more, **(extra_context or {})})  # type: ignore[misc]

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """All pages of the list. POST only: no link and no prefetch takes data away."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_export_permission(request):
            raise PermissionDenied
        from profiles.admin.lists import BEFORE  # Its package registers models on the site.

        sees = may_see(request.user)
        query = request.GET.copy()
        query.pop(BEFORE, None)  # Not the page that is shown: all of them.
        request.GET = query  # type: ignore[assignment]
        # Who was searched for may be personal: the audit log keeps it masked.
        asked = {key: [hidden(one) for one in request.GET.getlist(key)] for key in request.GET}
        if SEARCH_VAR in asked:
            asked[SEARCH_VAR] = [masked(request.GET[SEARCH_VAR].strip())]
        try:
            queryset = self.get_changelist_instance(request).queryset  # type: ignore[attr-defined]
        except IncorrectLookupParameters:
            return HttpResponseRedirect(f"{self._url('changelist')}?{ERROR_FLAG}=1")
        request.request_id = request_id.get()  # type: ignore[attr-defined]  # It outlives the context.
        who: dict[str, Any] = {
            "actor": request.user.get_username(),
            "actor_id": request.user.pk,
            "target": self.opts.label_lower,
            "request": request,
        }
        # Before the first byte: what cannot be recorded does not leave.
        details = {"filters": asked, "masked": not sees}
        begun = audit.record("export.begun", details=details, **who)

        def ended(progress: Progress) -> None:
            counted = {"begun": begun.pk, "rows": progress.rows, "outcome": progress.outcome}
            audit.record("export.ended", details=counted, **who)

        pieces = lines(
            queryset,
            self.export_columns,
            limit=settings.EXPORT_ROWS,
            show=_all if sees else _masked,
            ended=ended,
        )
        response = StreamingHttpResponse(pieces, content_type="text/csv; charset=utf-8")
        name = slugify(getattr(self, "list_title", "") or str(self.opts.verbose_name_plural))
        response["Content-Disposition"] = f'attachment; filename="{name}-{timezone.now():%Y-%m-%d}.csv"'
        add_never_cache_headers(response)
        return response

    def _url(self, page: str) -> str:
        return reverse(f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_{page}")


def _all(shows: Shows, value: Any) -> Any:
    return value


def _masked(shows: Shows, value: Any) -> Any:
    """What somebody without `view_pii` gets of a value."""
    if shows is Shows.ALL or not value:
        return value
    text = str(value)
    if shows is Shows.ADDRESS or (shows is Shows.CUSTOMER and "@" in text):
        return masked(text)
    return {Shows.NAME: f"{text[:1]}…", Shows.CUSTOMER: text}.get(shows, "")
