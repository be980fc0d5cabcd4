"""How long the server takes for each list of the admin, over a million events and a million decisions.

`python -m analytics.bench.pages` starts servers of its own in a folder that is removed afterwards, fills the
tables inside the database, opens each list as a superuser and prints the median of five answers.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

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


def main() -> None:
    """Fill, measure, print; exit code 1 when a page takes longer than the target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    home = tempfile.mkdtemp(prefix="beckon-pages-")
    os.environ.update(
        BECKON_HOME=home,
        DJANGO_SETTINGS_MODULE="config.settings",
        DATABASE_URL="",
        REDIS_URL="",
        ALLOWED_HOSTS="testserver",
    )
    try:
        found = _measured(options.events)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    slow = [figure for figure in found if figure.median_ms > TARGET_MS]
    if options.json:
        print(json.dumps({"events": options.events, "pages": [figure._asdict() for figure in found]}))
    else:
        print(f"{'page':<48}{'median':>10}{'slowest':>10}{'queries':>9}")
        for one in found:
            print(f"{one.page:<48}{one.median_ms:>7.0f} ms{one.slowest_ms:>7.0f} ms{one.queries:>9}")
        print(f"{len(slow)} of {len(found)} pages above {TARGET_MS} ms, with {options.events:,} events")
    sys.exit(1 if slow else 0)


def _measured(events: int) -> list[Figure]:
    import django

    django.setup()
    warnings.filterwarnings("ignore", "No directory at")  # Whitenoise's: collectstatic has not run.
    from django.core.management import call_command

    from config.servers import attached

    with attached():
        call_command("migrate", verbosity=0)
        _fill(events)
        found = sorted(_figures(), key=lambda figure: -figure.median_ms)
        from django.db import connections

        connections.close_all()
        return found


def _fill(events: int) -> None:
    """Customers, their past, a decision on each event, and a delivery for each that fired."""
    from datetime import UTC, datetime

    from django.db import connection

    from analytics.bench import fill
    from automation.engine.types import Mode
    from automation.models import Template, Trigger
    from automation.models.partitioned import ensure_partitions
    from automation.pipeline import publish

    started = time.perf_counter()
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
    print(f"filled in {time.perf_counter() - started:.0f} s", file=sys.stderr)


def _figures() -> Iterator[Figure]:
    from django.contrib import admin
    from django.contrib.auth import get_user_model
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext
    from django.urls import reverse

    client = Client()
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
                raise SystemExit(f"{url} answered {answer.status_code}")
        with CaptureQueriesContext(connection) as asked:
            client.get(url)
        yield Figure(name, statistics.median(times), max(times), len(asked))


if __name__ == "__main__":
    main()
