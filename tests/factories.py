"""Build what tests need, through the product's own doors."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from automation.engine.types import Mode, Priority
from automation.models import Execution, QueuedEvent, Template, Trigger
from automation.pipeline import index, process
from automation.pipeline.ingest import Accepted, Incoming, ingest
from automation.pipeline.publish import publish

_numbers = itertools.count(1)
SEGMENT = {"type": "add_to_segment", "segment": "seen"}
EMAIL = {"type": "send_email", "template_id": "hello"}


def make_template(key: str = "hello", **fields: Any) -> Template:
    """A published e-mail template."""
    values = {
        "name": key,
        "subject": "Hello {{ first_name }}",
        "html": "<p>Hello {{ first_name }}, about {{ event.type }}</p>",
        "is_published": True,
    }
    return Template.objects.update_or_create(key=key, defaults=values | fields)[0]


def make_trigger(
    key: str = "",
    *,
    on: str = "cart_abandonment",
    conditions: list[dict[str, Any]] | None = None,
    actions: list[dict[str, Any]] | None = None,
    mode: Mode = Mode.LIVE,
    **fields: Any,
) -> Trigger:
    """A published trigger on the event name `on`; by default it has no holdout and adds to a segment."""
    key = key or f"trigger-{next(_numbers)}"
    actions = [SEGMENT] if actions is None else actions
    if any(action["type"] == "send_email" for action in actions):
        make_template()
    trigger = Trigger(
        key=key,
        name=fields.pop("name", key),
        conditions=conditions if conditions is not None else [{"type": "event_match", "event_type": on}],
        actions=actions,
        holdout_percent=fields.pop("holdout_percent", 0),
        **fields,
    )
    publish(trigger, by=None, mode=mode)
    index.forget()
    trigger.refresh_from_db()
    return trigger


def incoming(
    name: str = "cart_abandonment",
    customer_id: str | None = "alice",
    *,
    data: Mapping[str, Any] | None = None,
    at: datetime | None = None,
    received_at: datetime | None = None,
    **fields: Any,
) -> Incoming:
    """One event as the API hands it to the pipeline."""
    received_at = received_at or datetime.now(UTC)
    body = json.dumps(data or {}).encode()
    values: dict[str, Any] = {
        "message_id": "",
        "anonymous_id": None,
        "original_name": name,
        "context": {},
        "session_id": "",
        "source": "website",
        "occurred_at": at or received_at,
        "sent_at": None,
        "client_ts": "",
        "is_late": False,
        "is_import": False,
        "is_skewed": False,
        "body_hash": hashlib.blake2b(body + name.encode(), digest_size=16).digest(),
    }
    return Incoming(customer_id=customer_id, name=name, data=body, received_at=received_at, **values | fields)


def send(*events: Incoming, source: str = "test") -> list[Accepted]:
    """Ingest events."""
    return ingest(events, source=source)


def known(customer_id: str = "alice", *, consent: bool = True, **traits: Any) -> list[Incoming]:
    """Events that introduce a customer: traits, and a word on marketing by e-mail."""
    past = datetime.now(UTC) - timedelta(hours=1)
    traits = {"email": f"{customer_id}@example.com", "first_name": customer_id.title()} | traits
    events = [incoming("identify", customer_id, data={"traits": traits}, at=past)]
    if consent:
        data = {"topic": "marketing", "channel": "email", "is_granted": True}
        events.append(incoming("consent_changed", customer_id, data=data, at=past))
    return events


def decide_all(*, limit: int = 500, worker: str = "test") -> int:
    """Decide every waiting event, most urgent lanes first; returns how many."""
    done = 0
    while QueuedEvent.objects.exists():
        step = sum(process.decide_next(lane, limit=limit, worker=worker) for lane in Priority)
        if not step:
            break
        done += step
    return done


def outcomes(trigger: Trigger | None = None) -> list[tuple[str, str]]:
    """(status, reason) of the executions, oldest first."""
    rows: Iterable[Execution] = Execution.objects.order_by("id")
    if trigger is not None:
        rows = Execution.objects.filter(trigger=trigger).order_by("id")
    return [(row.status, row.reason) for row in rows]
