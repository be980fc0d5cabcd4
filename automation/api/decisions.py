"""GET /api/v1/events/<id>/: what became of an event."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.http import HttpResponse
from rest_framework.exceptions import NotFound
from rest_framework.request import Request

from automation.api.base import ApiView, json, key_of_request, live_url
from automation.api.documents import EVENT_GET
from automation.api.keys import Key
from automation.models import Delivery, Event, Execution, MessageKey, QuarantinedEvent, QueuedEvent
from automation.models.keys import WriteKey

EXECUTIONS_SHOWN = 200
_EVENT = ("id", "message_id", "profile_id", "name", "occurred_at", "received_at", "is_late", "is_import")


class DecisionView(ApiView):
    """The state of one event and the executions decided for it; a foreign event does not exist (R-037)."""

    required_scope = WriteKey.Scope.EVENTS_WRITE.value

    @EVENT_GET
    def get(self, request: Request, event_id: str) -> HttpResponse:
        """404 for an event that another source sent, as for none."""
        number = int(event_id)
        event = Event.objects.filter(id=number).values(*_EVENT).first() if number < 2**63 else None
        if event is None or not _is_own(key_of_request(request), event):
            raise NotFound
        return json(
            {
                "event_id": event["id"],
                "message_id": event["message_id"],
                "name": event["name"],
                "state": _state(number),
                "occurred_at": event["occurred_at"],
                "received_at": event["received_at"],
                "is_late": event["is_late"],
                "is_import": event["is_import"],
                "live_url": live_url(number),
                "executions": _executions(event["profile_id"], number),
            }
        )


def _is_own(key: Key, event: dict[str, Any]) -> bool:
    if key.is_admin:
        return True
    # The source of the key that sent it; Event.source is only what the sender calls itself.
    own = MessageKey.objects.filter(source=key.source, message_id=event["message_id"], event_id=event["id"])
    return own.exists()


def _state(event_id: int) -> str:
    if QueuedEvent.objects.filter(event_id=event_id).exists():
        return "received"
    held = QuarantinedEvent.objects.filter(event_id=event_id, state=QuarantinedEvent.State.HELD)
    return "quarantined" if held.exists() else "processed"


def _executions(profile_id: int, event_id: int) -> list[dict[str, Any]]:
    # By profile first: that is what the partitions are indexed by. A repeated hold names its last event only.
    rows = list(
        Execution.objects.filter(Q(event_id=event_id) | Q(last_event_id=event_id), profile_id=profile_id)
        .order_by("id")
        .values("id", "trigger__key", "trigger__name", "status", "reason", "waiting", "decided_at", "due_at")[
            :EXECUTIONS_SHOWN
        ]
    )
    actions: dict[int, list[dict[str, Any]]] = {row["id"]: [] for row in rows}
    deliveries = Delivery.objects.filter(execution_id__in=actions).order_by("execution_id", "action_index")
    for delivery in deliveries.values("execution_id", "action_type", "channel", "status", "reason", "due_at"):
        actions[delivery["execution_id"]].append(
            {
                "type": delivery["action_type"],
                "channel": delivery["channel"],
                "status": delivery["status"],
                "reason": delivery["reason"],
                "due_at": delivery["due_at"],
            }
        )
    return [
        {
            "id": row["id"],
            "trigger": row["trigger__key"],
            "trigger_name": row["trigger__name"],
            "status": row["status"],
            "reason": row["reason"],
            "waiting": row["waiting"],
            "decided_at": row["decided_at"],
            "due_at": row["due_at"],
            "actions": actions[row["id"]],
        }
        for row in rows
    ]
