"""Live events: what comes in now, and what every trigger that listened made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from automation import snippets
from automation.admin import live_chips, live_documents, live_rows
from automation.admin.live_chips import Chip
from automation.admin.live_rows import Row, Wanted
from automation.models import Event, RejectedRequest
from profiles.masking import may_see

SHOWN: Final = 50  # Rows of a page; a poll may bring live_rows.ROWS.
POLL_SECONDS: Final = 2
_FRESH: Final = timedelta(seconds=3)  # A lower id may still be committed after a higher one.
_PATIENCE: Final = timedelta(seconds=60)  # An undecided event is asked for again for so long.
SHOWS: Final = ("all", "fired", "held", "rejected")


class Live:
    """Mixed into the admin of events: the page, and the addresses that it asks."""

    admin_site: Any
    opts: Any

    def get_urls(self) -> list[URLPattern]:
        """The page and its poll before the pages of records."""
        wrap = self.admin_site.admin_view
        return [
            path("live/", wrap(require_safe(self.live_view)), name="automation_live"),
            path("live/poll/", wrap(require_safe(self.poll_view)), name="automation_live_poll"),
            *super().get_urls(),  # type: ignore[misc]
        ]

    def live_view(self, request: HttpRequest) -> HttpResponse:
        """The newest rows; complete without a script."""
        self._may_view(request)
        wanted = Wanted.of(request.GET)
        found = live_rows.events(wanted, limit=SHOWN + 1)
        rows, cursor = self._rows(request, wanted, found[:SHOWN], None)
        pulse = live_rows.pulse()
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Live events"),
            "rows": rows,
            "wanted": wanted,
            "shows": [(show, _labels()[show], _query(wanted, show=show)) for show in SHOWS],
            "pulse": pulse,
            "pulse_said": said(pulse),
            "poll": {
                "url": f"{reverse('admin:automation_live_poll')}?{_query(wanted)}",
                "cursor": cursor,
                "seconds": POLL_SECONDS,
                "rows": live_rows.ROWS,
                "is_newest": not wanted.before,
                "words": _words(),
            },
            "is_empty": not rows and not _is_any(),
            "newer": f"?{_query(wanted)}" if wanted.before else "",
            "older": f"?{_query(wanted, before=found[SHOWN - 1].id)}" if len(found) > SHOWN else "",
            "snippets": snippets.snippets(settings.PUBLIC_URL),
            "may_make_keys": request.user.has_perm("automation.add_writekey"),  # type: ignore[union-attr]
        }
        return TemplateResponse(request, "admin/beckon/live.html", context)

    def poll_view(self, request: HttpRequest) -> HttpResponse:
        """`?after=` → what is newer, or may have changed, and the cursor for the next time."""
        self._may_view(request)
        wanted = Wanted.of(request.GET)
        after, since = _cursor(request.GET.get("after", ""))
        found = live_rows.events(wanted, after=after)
        rows, cursor = self._rows(request, wanted, found, (after, since))
        pulse = live_rows.pulse()
        answer = JsonResponse(
            {
                "rows": rows,
                "cursor": cursor,
                "pulse": said(pulse),
                "is_sample": pulse.is_sample or len(found) >= live_rows.ROWS,
            }
        )
        answer["Cache-Control"] = "no-store"
        return answer

    def _may_view(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):  # type: ignore[attr-defined]
            raise PermissionDenied

    def _rows(
        self,
        request: HttpRequest,
        wanted: Wanted,
        found: Sequence[Row],
        cursor: tuple[int, datetime | None] | None,
    ) -> tuple[list[dict[str, Any]], str]:
        """Events and refusals as documents in order of time, newest first; and the cursor behind them."""
        after, since = cursor or (0, None)
        is_refused_shown = request.user.has_perm("automation.view_rejectedrequest")  # type: ignore[union-attr]
        refused = live_rows.rejected(wanted, since) if is_refused_shown else []
        chips = live_chips.of(found)
        documents = live_documents.Documents(found, is_masked=not may_see(request.user))
        timed = [(event.received_at, documents.event(event, chips[event.id])) for event in found]
        timed += [(row.last_at, live_documents.refusal(row)) for row in refused]
        timed.sort(key=lambda entry: entry[0], reverse=True)
        newest = max((row.last_at for row in refused), default=since)
        stamp = f"{newest.timestamp():.6f}" if newest else ""
        # By outcome an event appears when it is decided, which may be after later ones were.
        fresh = _PATIENCE if wanted.show in live_rows.STATUSES else _FRESH
        behind = _behind(found, chips, after, datetime.now(UTC), fresh)
        return [document for _at, document in timed[: live_rows.ROWS]], f"{behind}-{stamp}"


def said(pulse: live_rows.Pulse) -> str:
    """Rate and latency in words."""
    rate = f"{pulse.per_second:g}"
    if pulse.latency_ms is None:
        return _("%(rate)s events a second") % {"rate": rate}
    took = f"{pulse.latency_ms:,.0f}" if pulse.latency_ms >= 1 else "1"
    return _("%(rate)s events a second · accepted to decided in %(ms)s ms (median)") % {
        "rate": rate,
        "ms": took,
    }


def _behind(
    found: Sequence[Row], chips: Mapping[int, Sequence[Chip]], after: int, now: datetime, fresh: timedelta
) -> int:
    """The id up to which nothing will change: what lies above it is asked for again, so that its chips turn."""
    cursor = after
    for event in sorted(found, key=lambda one: one.id):
        age = now - event.received_at
        is_settled = all(chip.is_settled for chip in chips[event.id])
        if age < fresh or (age < _PATIENCE and not is_settled):
            break
        cursor = event.id
    return cursor


def _cursor(text: str) -> tuple[int, datetime | None]:
    """Event id and time of the newest refusal; what cannot be read is the beginning."""
    number, _dash, stamp = text.partition("-")
    after = int(number) if number.isdecimal() and len(number) <= 18 else 0
    try:
        return after, datetime.fromtimestamp(float(stamp), UTC) if stamp else None
    except (ValueError, OverflowError, OSError):
        return after, None


def _is_any() -> bool:
    return Event.objects.exists() or RejectedRequest.objects.exists()


def _query(wanted: Wanted, *, show: str = "", before: int = 0) -> str:
    values = {
        "show": show or wanted.show,
        "customer": wanted.customer,
        "event": wanted.name,
        "before": before or "",
    }
    return urlencode({key: value for key, value in values.items() if value and value != "all"})


def _labels() -> dict[str, str]:
    return {"all": _("All"), "fired": _("Fired"), "held": _("Held back"), "rejected": _("Rejected")}


def _words() -> dict[str, str]:
    """What the script says."""
    return {
        "listening": _("Listening"),
        "paused": _("Paused"),
        "sample": _("Listening: a sample, more comes in than is shown"),
        "lost": _("No answer from the server; trying again"),
        "pause": _("Pause"),
        "resume": _("Go on"),
        "first": _("✓ Your first event is here."),
        "trace": _("Trace of %s"),
    }
