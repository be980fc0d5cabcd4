"""Rows as the pipeline leaves them, for pages that show them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from automation.engine.types import Mode
from automation.ids import uuid7
from automation.models import Delivery, Event, Execution, MessageKey, Tally, Template, Trigger
from automation.pipeline import publish
from profiles.models import Identity, Profile

CART = {
    "type": "event_match",
    "event_type": "cart_abandonment",
    "data_conditions": [{"field": "total_value", "operator": "greater_than", "value": 50}],
}


def template(key: str = "cart_recovery", **fields: Any) -> Template:
    """A published template."""
    made, _ = Template.objects.get_or_create(
        key=key, defaults={"name": key, "subject": "Hello", "text": "Hi", **fields}
    )
    return made


def trigger(key: str = "cart", *, mode: Mode = Mode.LIVE, **fields: Any) -> Trigger:
    """A published trigger that answers abandoned carts."""
    template()
    made = Trigger(
        **{
            "key": key,
            "name": f"Cart recovery {key}",
            "conditions": [CART],
            "actions": [{"type": "send_email", "template_id": "cart_recovery"}],
            **fields,
        }
    )
    publish.publish(made, by=None, mode=mode)
    return made


def customer(customer_id: str = "alice", **fields: Any) -> Profile:
    """A customer who is known by their id."""
    profile = Profile.objects.create(customer_id=customer_id, email=f"{customer_id}@example.com", **fields)
    Identity.objects.create(kind="customer", value=customer_id, profile=profile)
    return profile


def event(profile: Profile, name: str = "cart_abandonment", *, ago: float = 1.0, **fields: Any) -> Event:
    """An event `ago` minutes old, with the key of its message id."""
    at = datetime.now(UTC) - timedelta(minutes=ago)
    made = Event.objects.create(
        **{
            "message_id": str(uuid7()),
            "profile": profile,
            "name": name,
            "data": {"total_value": 73.91},
            "occurred_at": at,
            "received_at": at,
            **fields,
        }
    )
    MessageKey.objects.create(
        source="default", message_id=made.message_id, event_id=made.pk, body_hash=b"0" * 16
    )
    return made


def execution(of: Event, by: Trigger, **fields: Any) -> Execution:
    """A decision of `by` for `of`, with its trace."""
    return Execution.objects.create(
        **{
            "trigger": by,
            "version": by.current_version,
            "profile_id": of.profile_id,
            "event_id": of.pk,
            "event_name": of.name,
            "event_at": of.occurred_at,
            "accepted_at": of.received_at,
            "decided_at": of.received_at,
            "lane": by.priority,
            "status": "suppressed",
            "reason": "frequency_cap",
            "reasons": [{"reason": "frequency_cap", "until": "2030-05-06T07:08:09Z", "params": {"limit": 1}}],
            "dedupe_key": f"e:{of.pk}",
            "trace": {
                "conditions": {
                    "result": "met",
                    "first_failing": None,
                    "/conditions/0": {"result": "met", "seen": "cart_abandonment"},
                    "/conditions/0/data_conditions/0": {"result": "met", "seen": 73.91},
                },
                "outcome": "hold",
            },
            **fields,
        }
    )


def delivery(of: Execution, **fields: Any) -> Delivery:
    """The first action of an execution."""
    made = uuid7()
    return Delivery.objects.create(
        **{
            "id": made,
            "execution_id": of.pk,
            "execution_decided_at": of.decided_at,
            "trigger": of.trigger,
            "version": of.version,
            "profile_id": of.profile_id,
            "event_id": of.event_id,
            "event_at": of.event_at,
            "action_index": 0,
            "action_type": "send_email",
            "channel": "email",
            "message_class": "marketing",
            "topic": "marketing",
            "lane": of.lane,
            "status": "sent",
            "idempotency_key": f"{of.pk}:0:email",
            "address": "alice@example.com",
            **fields,
        }
    )


def counted(by: Trigger, label: str, count: int, kind: str = "executions") -> Tally:
    """Counts of the present hour."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    return Tally.objects.create(
        hour=hour, kind=kind, lane=by.priority, trigger_id=by.pk, label=label, count=count
    )
