"""Put triggers, a template and a key into a database, as if they had been published."""

from __future__ import annotations

from typing import Any

from django.db import connection, transaction

from analytics.bench.accounting import SCOPE
from analytics.bench.shapes import TEMPLATE, documents, probes
from automation.engine.types import Mode, Priority
from automation.models import Template, Trigger, TriggerVersion, WriteKey
from automation.pipeline import publish

_CURRENT = (
    "UPDATE automation_trigger t SET current_version_id = v.id FROM automation_triggerversion v"
    " WHERE v.trigger_id = t.id"
)


def install(shape: str, triggers: int, *, with_probes: bool = False) -> str:
    """Replace the triggers by `triggers` of a shape; returns the token of a key that may send events.

    Ten thousand are written in bulk; that the shop's own would be accepted by publishing is checked.
    """
    wanted = documents(shape, triggers) + (probes() if with_probes else [])
    with transaction.atomic():
        Template.objects.update_or_create(
            key=TEMPLATE,
            defaults={
                "name": TEMPLATE,
                "subject": "Hello {{ first_name }}",
                "html": "<p>Hello</p>",
                "text": "",
                "is_published": True,
            },
        )
        for document in wanted[:60] + wanted[-2:]:
            if problems := publish.check(document):
                raise ValueError(f"{document['key']}: {problems}")
        Trigger.objects.update(current_version=None)
        TriggerVersion.objects.all().delete()
        Trigger.objects.all().delete()
        made = Trigger.objects.bulk_create([_trigger(document) for document in wanted])
        TriggerVersion.objects.bulk_create(
            [TriggerVersion(trigger=trigger, number=1, definition=trigger.document()) for trigger in made]
        )
        with connection.cursor() as cursor:
            cursor.execute(_CURRENT)
        key = WriteKey(name="bench", source=SCOPE, scopes=[WriteKey.Scope.EVENTS_WRITE])
        token = key.issue()
        key.save()
    return token


def _trigger(document: dict[str, Any]) -> Trigger:
    fields = {**document, "priority": Priority[document["priority"].upper()]}
    return Trigger(mode=Mode.LIVE, timing={"kind": "immediate"}, **fields)
