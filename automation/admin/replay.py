"""One stored event judged again, as it would be now: reads, decides and shows; writes and sends nothing."""

from __future__ import annotations

import logging
import math
import time
from datetime import UTC, datetime
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from automation import backtest
from automation.admin import trace
from automation.buckets import Buckets
from automation.engine.definition import TriggerDefinition
from automation.engine.rules import entry_names
from automation.engine.validate import validate_definition
from automation.models import Event, Trigger
from profiles.masking import hidden, may_see, veil

log = logging.getLogger(__name__)

SHOWN: Final = 20  # Triggers on one page.
SECONDS: Final = 3.0  # For all of them; who is not asked by then is named.
RATE = Buckets(rate=0.5, burst=10)  # Pages of one user: each reads the customer's whole history.


class Replays:
    """Mixed into the admin of events: the page *Replay in shadow*."""

    admin_site: Any
    opts: Any

    def get_urls(self) -> list[URLPattern]:
        """The page of one event."""
        wrap = self.admin_site.admin_view
        return [
            path(
                "<int:event_id>/replay/", wrap(require_safe(self.replay_view)), name="automation_event_replay"
            ),
            *super().get_urls(),  # type: ignore[misc]
        ]

    def replay_view(self, request: HttpRequest, event_id: int) -> HttpResponse:
        """Against `?trigger=<id>`, or against every trigger that listens."""
        if not (
            self.has_view_permission(request)  # type: ignore[attr-defined]
            and request.user.has_perm("automation.view_trigger")  # type: ignore[union-attr]
        ):
            raise PermissionDenied
        event = Event.objects.select_related("profile").filter(pk=min(event_id, 2**63 - 1)).first()
        if event is None:
            raise Http404("There is no such event.")
        chosen = request.GET.get("trigger", "")
        triggers = Trigger.objects.select_related("current_version").exclude(mode="archived").order_by("name")
        named = [(one.pk, one.name) for one in triggers]
        wanted = [one for one in triggers if not chosen or str(one.pk) == chosen]
        is_masked = not may_see(request.user)
        found: list[dict[str, Any]] = []
        unasked: list[Trigger] = []
        wait, begun = RATE.take(str(request.user.pk)), time.monotonic()
        for trigger in wanted if not wait else ():
            definition, problems = validate_definition(trigger.document())
            if definition is None:
                drawn = trace.Drawn([], [], next(iter(problems.values())).message)
            elif not chosen and not entry_names(definition.conditions) & {event.name, "*"}:
                continue
            elif time.monotonic() - begun > SECONDS:
                unasked.append(trigger)
                continue
            else:
                try:
                    judged = self._judged(definition, event.pk, trigger.pk)
                except OperationalError:  # PostgreSQL gave up on the time of a web request.
                    log.warning("replaying event %s was too slow", event.pk, exc_info=True)
                    unasked.append(trigger)
                    continue
                drawn = trace.of_backtest(definition, judged)
            found.append({"trigger": trigger, "trace": drawn.masked() if is_masked else drawn})
            if len(found) == SHOWN:
                break
        if is_masked:
            veil(event)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Replay in shadow"),
            "event": event,
            "event_name": event.name.replace("_", " "),
            "customer": hidden(str(event.profile)) if is_masked else str(event.profile),
            "found": found,
            "unasked": unasked[:SHOWN],
            "is_busy": bool(wait),
            "triggers": named,
            "chosen": int(chosen) if chosen.isdecimal() else 0,
        }
        answer = TemplateResponse(request, "admin/beckon/replay.html", context, status=429 if wait else 200)
        if wait:
            answer["Retry-After"] = str(math.ceil(wait))
        return answer

    def _judged(self, definition: TriggerDefinition, event_id: int, trigger_id: int) -> backtest.Explanation:
        try:
            return backtest.explain(definition, event_id, now=datetime.now(UTC), trigger_id=trigger_id)
        except backtest.NoSuchEventError as error:
            raise Http404(str(error)) from error
