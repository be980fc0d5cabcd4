"""What automation adds to a customer's page: what they did, what was decided, what was sent."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest

from automation.admin import links, trace
from automation.admin.executions import STATUSES
from automation.engine.types import ExecutionStatus
from automation.models import Delivery, Event, Execution, Trigger, TriggerState
from profiles.admin.customers import ProfileAdmin
from profiles.admin.parts import Cell, Part, Row
from profiles.models import Profile

SHOWN = 40


def timeline(request: HttpRequest, profile: Profile) -> Part:
    """The newest events, decisions and messages in one list, newest first."""
    happened: list[tuple[datetime, Row]] = []
    for event in (
        Event.objects.filter(profile=profile).defer("data", "context").order_by("-occurred_at")[:SHOWN]
    ):
        link = links.page("automation.event", event.pk)
        happened.append(
            (event.occurred_at, _row(event.occurred_at, "did", event.name.replace("_", " "), link))
        )
    decided = Execution.objects.filter(profile=profile).select_related("trigger").defer("trace")
    for execution in decided.order_by("-decided_at")[:SHOWN]:
        link = links.page("automation.execution", execution.pk)
        outcome = STATUSES[ExecutionStatus(execution.status)].lower()
        reason = f": {execution.reason.replace('_', ' ')}" if execution.reason else ""
        text = f"{execution.trigger.name} – {outcome}{reason}"
        happened.append(
            (
                execution.decided_at,
                _row(execution.decided_at, "decision", text, link, trace.tone(execution.status)),
            )
        )
    for delivery in Delivery.objects.filter(profile=profile).order_by("-created_at")[:SHOWN]:
        link = links.page("automation.delivery", delivery.pk)
        at = delivery.finished_at or delivery.created_at
        text = f"{delivery.action_type.replace('_', ' ')} – {delivery.get_status_display().lower()}"
        happened.append((at, _row(at, "action", text, link, trace.tone(delivery.status))))
    happened.sort(key=lambda entry: entry[0], reverse=True)
    here: dict[str, Any] = {"profile__id__exact": profile.pk}
    return Part(
        "What happened",
        ("When", "What", ""),
        [row for _, row in happened[:SHOWN]],
        links=(
            Cell("All events", links.listing("automation.event", **here)),
            Cell("All decisions", links.listing("automation.execution", **here)),
            Cell("All deliveries", links.listing("automation.delivery", **here)),
        ),
        empty="No events yet.",
    )


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
                Cell(links.clock(state.last_at)),
            )
        )
        for state in states
    ]
    return Part("Triggers that fired for them", ("Trigger", "Times", "Last"), rows, empty="None so far.")


def _row(at: datetime, kind: str, text: str, link: str, tone: str = "") -> Row:
    return Row((Cell(links.clock(at)), Cell(kind), Cell(text, link, f"sign-{tone}" if tone else "")))


ProfileAdmin.more_parts += [timeline, counts]
