"""Customers, versions, executions and their outbox rows, written as the pipeline writes them."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from automation.actions import registry
from automation.ids import uuid7
from automation.models import Delivery, Event, Execution, SendReservation, Template, Trigger, TriggerVersion
from profiles.models import Consent, Identity, Profile

_numbers = itertools.count(1)
EVENT = {"type": "event_match", "event_type": "cart_abandonment"}
EMAIL = {"type": "send_email", "template_id": "hello"}


def make_template(key: str = "hello", **fields: Any) -> Template:
    """A published template that greets."""
    values = {
        "name": key,
        "subject": "Hello {{ first_name }}",
        "html": "<p>Hello {{ first_name }}</p><p><a href='{{ unsubscribe_url }}'>Unsubscribe</a></p>",
        **fields,
    }
    return Template.objects.update_or_create(key=key, defaults=values)[0]


def make_profile(*, consent: bool | None = True, anonymous: bool = False, **fields: Any) -> Profile:
    """A customer with an address and, unless told otherwise, with consent to marketing by e-mail."""
    number = next(_numbers)
    name = f"cust-{number}"
    values = {"email": f"c{number}@example.com", "first_name": "Alice", **fields}
    profile = Profile.objects.create(customer_id=None if anonymous else name, **values)
    Identity.objects.create(kind="anonymous" if anonymous else "customer", value=name, profile=profile)
    if consent is not None:
        Consent.objects.create(
            profile=profile,
            is_granted=consent,
            source="test",
            recorded_at=datetime.now(UTC) - timedelta(days=1),
        )
    return profile


def make_trigger(actions: list[dict[str, Any]], **fields: Any) -> Trigger:
    """A live trigger with one version."""
    number = next(_numbers)
    values = {
        "key": f"t{number}",
        "name": f"Trigger {number}",
        "mode": "live",
        "conditions": [EVENT],
        **fields,
    }
    trigger = Trigger.objects.create(actions=actions, **values)
    trigger.current_version = TriggerVersion.objects.create(
        trigger=trigger, number=1, definition=trigger.document()
    )
    trigger.save(update_fields=["current_version"])
    return trigger


def make_event(profile: Profile, name: str = "cart_abandonment", **fields: Any) -> Event:
    """An event of a minute ago."""
    at = datetime.now(UTC) - timedelta(minutes=1)
    values = {"data": {"items": [{"sku": "A"}], "total_value": 124.98}, "context": {}, **fields}
    return Event.objects.create(
        message_id=str(uuid7()), profile=profile, name=name, occurred_at=at, received_at=at, **values
    )


def make_execution(
    trigger: Trigger,
    profile: Profile | None = None,
    *,
    event: Event | None = None,
    due: datetime | None = None,
) -> Execution:
    """A granted execution with its deliveries, as automation.pipeline.outbox makes them."""
    profile = profile or make_profile()
    event = event or make_event(profile)
    version = trigger.current_version
    assert version is not None
    now = datetime.now(UTC) - timedelta(seconds=1)
    execution = Execution.objects.create(
        trigger=trigger,
        version=version,
        profile=profile,
        event_id=event.pk,
        event_name=event.name,
        event_at=event.occurred_at,
        accepted_at=event.received_at,
        decided_at=now,
        lane=trigger.priority,
        status="pending",
        dedupe_key=f"e:{event.pk}",
    )
    for index, document in enumerate(version.definition["actions"]):
        action = registry.ACTIONS.get(document["type"])
        channel = action.channel if action else "internal"
        Delivery.objects.create(
            id=uuid7(),
            execution_id=execution.pk,
            execution_decided_at=now,
            trigger=trigger,
            version=version,
            profile=profile,
            event_id=event.pk,
            event_at=event.occurred_at,
            action_index=index,
            action_type=document["type"],
            channel=channel,
            message_class=trigger.message_class,
            topic=trigger.topic,
            lane=trigger.priority,
            idempotency_key=f"{execution.pk}:{index}:{channel}",
            due_at=(due or now) if index == 0 else None,
        )
        if action and action.is_message:
            SendReservation.objects.create(
                profile_id=profile.pk,
                channel=channel,
                message_class=trigger.message_class,
                trigger_id=trigger.pk,
                execution_id=execution.pk,
                reserved_at=now,
            )
    return execution


def deliveries(execution: Execution) -> list[Delivery]:
    """In the order of the actions."""
    return list(Delivery.objects.filter(execution_id=execution.pk).order_by("action_index"))
