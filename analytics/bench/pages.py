"""How long the server takes for each list of the admin, over a million events and a million decisions."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from analytics.bench import fill
from analytics.bench.errors import UnsafeError
from automation.engine.types import Mode
from automation.models import Template, Trigger
from automation.models.partitioned import ensure_partitions
from automation.pipeline import publish

EVENTS, CUSTOMERS, TURNS = 1_000_000, 20_000, 5
TARGET_MS = 300
_DECISIONS = """
INSERT INTO automation_execution (trigger_id, version_id, profile_id, event_id, event_name, event_at, accepted_at,
  decided_at, lane, status, reason, reasons, waiting, dedupe_key, trace, error)
SELECT %(trigger)s, %(version)s, e.profile_id, e.id, e.name, e.occurred_at, e.received_at, e.received_at, 3,
  CASE WHEN e.id %% 5 < 2 THEN 'triggered' WHEN e.id %% 50 = 2 THEN 'failed' ELSE 'suppressed' END,
  CASE WHEN e.id %% 5 < 2 OR e.id %% 50 = 2 THEN '' WHEN e.id %% 3 = 0 THEN 'holdout' ELSE 'frequency_cap' END,
  '[]', '', 'e:' || e.id, '{"conditions": {"result": "met", "first_failing": null}}', ''
FROM automation_event e
"""
_DELIVERIES = """
INSERT INTO automation_delivery (id, execution_id, execution_decided_at, trigger_id, version_id, profile_id, event_id,
  event_at, action_index, action_type, channel, message_class, topic, lane, status, reason, idempotency_key, worker,
  address, provider_id, error_class, error, created_at, sending_at, finished_at)
SELECT gen_random_uuid(), x.id, x.decided_at, x.trigger_id, x.version_id, x.profile_id, x.event_id, x.event_at, 0,
  'send_email', 'email', 'marketing', 'marketing', 3, 'sent', '', x.id || ':0:email', '',
  'customer_' || x.profile_id || '@example.com', '<' || x.id || '@bench>', '', '', x.decided_at, x.decided_at,
  x.decided_at
FROM automation_execution x WHERE x.status = 'triggered'
"""


class Figure(NamedTuple):
    """One page: server time in milliseconds, and how many queries it asked."""

    page: str
    median_ms: float
    slowest_ms: float
    queries: int


def measured(events: int) -> list[Figure]:
    """Fill the database of the settings, which must be empty, and measure; slowest first.

    Raises UnsafeError when there is a table in it: what is filled in cannot be told from what was there.
    """
    if connection.introspection.table_names():
        raise UnsafeError("This database is not empty. `make pages` makes one of its own.")
    warnings.filterwarnings("ignore", "No directory at")  # Whitenoise's: collectstatic has not run.
    call_command("migrate", verbosity=0)
    _fill(events)
    return sorted(_figures(), key=lambda figure: -figure.median_ms)


def _fill(events: int) -> None:
    """Customers, their past, a decision on each event, and a delivery for each that fired."""
    ensure_partitions(datetime.now(UTC), back=2)
    Template.objects.create(
        key="hello", name="Hello", subject="Hello", html="<p>Hello</p>", is_published=True
    )
    for number in range(10):
        trigger = Trigger(
            key=f"trigger-{number}",
            name=f"Trigger {number}",
            conditions=[{"type": "event_match", "event_type": "page_view"}],
            actions=[{"type": "send_email", "template_id": "hello"}],
        )
        publish.publish(trigger, by=None, mode=Mode.SHADOW)
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        fill.customers(cursor, CUSTOMERS)
        fill.past_events(cursor, events, CUSTOMERS)
        cursor.execute(_DECISIONS, {"trigger": trigger.pk, "version": trigger.current_version_id})
        cursor.execute(_DELIVERIES)
        cursor.execute("ANALYZE")
        cursor.execute("RESET statement_timeout")


def _figures() -> Iterator[Figure]:
    client = Client(HTTP_HOST=settings.ALLOWED_HOSTS[0])
    user: Any = get_user_model().objects.create_superuser("bench")
    client.force_login(user)
    pages = {
        model._meta.label: reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for model in admin.site._registry
    }
    pages |= {"Overview": reverse("admin:index"), "Live events": reverse("admin:automation_live")}
    for name, url in pages.items():
        client.get(url)  # Templates and connections are warm, as they are in a server.
        times = []
        for _ in range(TURNS):
            began = time.perf_counter()
            answer = client.get(url)
            times.append((time.perf_counter() - began) * 1000)
            if answer.status_code != 200:
                raise RuntimeError(f"{url} answered {answer.status_code}")
        with CaptureQueriesContext(connection) as asked:
            client.get(url)
        yield Figure(name, statistics.median(times), max(times), len(asked))
