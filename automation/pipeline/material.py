"""What the deliveries of a batch need, loaded with a few queries whatever their number."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db import connection

from automation import selectors
from automation.actions import registry
from automation.actions.base import Action, Job
from automation.channels.base import Message, Receipt
from automation.channels.registry import Channels
from automation.engine.types import Event
from automation.pipeline.delivery_rows import Row
from automation.pipeline.internal import names_of
from automation.rendering import context, unsubscribe
from automation.rendering.context import TriggerFacts
from automation.rendering.email import Source
from profiles import services
from profiles.services import Locked


@dataclass(frozen=True, slots=True)
class Version:
    """The parts of a published version that acting needs; immutable, so it may be kept."""

    key: str
    name: str
    type: str
    actions: tuple[dict[str, Any], ...]
    cancel_names: tuple[str, ...] = ()  # Events that call off what has not left yet.
    has_cancel_conditions: bool = False  # Events that meet a condition do so, too.

    def action(self, index: int) -> Action:
        """The action at `index`. Raises ValueError when this installation does not know it (S-152)."""
        return registry.parse(self.actions[index])


@lru_cache(maxsize=1024)
def version(version_id: int) -> Version:
    """A published version; a send uses the one it was decided with, whatever was edited since (R-022)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT definition::text FROM automation_triggerversion WHERE id = %s", [version_id])
        document = json.loads(cursor.fetchone()[0])
    cancel_when = document.get("cancel_when") or ()
    cancel_names = tuple(entry for entry in cancel_when if isinstance(entry, str))
    return Version(
        document["key"],
        document["name"],
        document["type"],
        tuple(document["actions"]),
        cancel_names,
        has_cancel_conditions=len(cancel_names) < len(cancel_when),
    )


class Material:
    """The customers, events, templates and earlier answers of a batch."""

    def __init__(self, rows: Sequence[Row]) -> None:
        times = [row.event_at for row in rows]
        self._events = selectors.events({row.event_id for row in rows}, min(times), max(times))
        self._profiles: dict[int, Locked] = services.load({row.profile_id for row in rows})
        self._names = names_of([p.id for p in self._profiles.values() if not p.customer_id])
        self._templates = _templates({key for row in rows for key in _template_keys(row)})
        self._responses = _responses([row for row in rows if row.action_index > 0])

    def lock(self, profile_id: int) -> Locked | None:
        """Lock the profile and read it anew; None when there is none. Needs a transaction."""
        found = services.lock([profile_id])
        self._profiles.update(found)
        return found.get(profile_id)

    def job(self, row: Row, profile_id: int, address: str, channels: Channels) -> Job:
        """Everything the action of a row may use. The address is the one read at the claim."""
        profile = self._profiles.get(profile_id)
        if profile is None:  # Merged into another customer since the batch was loaded.
            self._profiles.update(services.load([profile_id]))
            profile = self._profiles[profile_id]
            self._names |= names_of([] if profile.customer_id else [profile_id])
        event = self._events.get(row.event_id)
        if event is None:  # Its partition was dropped while the action waited.
            event = Event(row.event_id, "", "", profile_id, row.event_at, row.event_at)
        published = version(row.version_id)
        trigger = TriggerFacts(row.trigger_id, published.key, published.name, published.type, row.decided_at)
        customer_id = profile.customer_id or self._names.get(profile_id, (None, None))[1] or ""
        subscription = unsubscribe.Subscription(profile_id, row.topic, row.channel, str(row.id))

        def send(message: Message) -> Receipt:
            return channels.send(row.channel, message)

        return Job(
            delivery_id=row.id,
            execution_id=row.execution_id,
            profile_id=profile_id,
            customer_id=customer_id,
            address=address,
            channel=row.channel,
            message_class=row.message_class,
            topic=row.topic,
            now=row.now,
            event=event,
            trigger=trigger,
            context=context.build(
                event=event,
                profile={**profile.state, **({"email": address} if row.channel == "email" else {})},
                customer_id=customer_id,
                trigger=trigger,
                now=row.now,
                unsubscribe_url=unsubscribe.link(subscription),
                response=self._responses.get((row.execution_id, row.action_index)),
            ),
            templates=self._templates,
            send=send,
            depth=_depth(event.context),
        )


def _depth(context: Mapping[str, Any]) -> int:
    depth = context.get("depth")
    return depth if isinstance(depth, int) and depth >= 0 else 0


def _template_keys(row: Row) -> tuple[str, ...]:
    try:
        return version(row.version_id).action(row.action_index).templates()
    except (ValueError, LookupError):  # Reported for its own row, when that is tried.
        return ()


def _templates(keys: Collection[str]) -> dict[str, Source]:
    if not keys:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, updated_at, key, subject, html, text, is_published FROM automation_template"
            " WHERE key = ANY(%s)",
            [list(keys)],
        )
        return {row[2]: Source(*row) for row in cursor.fetchall()}


def _responses(rows: Sequence[Row]) -> dict[tuple[int, int], dict[str, Any]]:
    """For each (execution, action) what the last webhook before it answered; a JSON body as data."""
    if not rows:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT execution_id, action_index, (result->'response')::text FROM automation_delivery"
            " WHERE execution_id = ANY(%s) AND action_type = 'webhook' AND status = 'sent'"
            " ORDER BY action_index",
            [[row.execution_id for row in rows]],
        )
        answers = [
            (execution_id, index, json.loads(text or "{}")) for execution_id, index, text in cursor.fetchall()
        ]
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for row in rows:
        for execution_id, index, answer in answers:
            if execution_id == row.execution_id and index < row.action_index:
                found[row.execution_id, row.action_index] = {**answer, "body": _body(answer.get("body"))}
    return found


def _body(text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return text
