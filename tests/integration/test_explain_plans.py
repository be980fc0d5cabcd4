"""The hot queries use the indexes that were made for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from automation.engine.types import Priority
from automation.models.events import SHARDS
from tests.factories import incoming, send

pytestmark = pytest.mark.django_db(transaction=True)

FILL = """
INSERT INTO profiles_profile (customer_id) SELECT 'p' || n FROM generate_series(1, 2000) n;
INSERT INTO automation_event (message_id, profile_id, name, original_name, data, context, session_id, source,
  occurred_at, received_at, client_ts, is_late, is_import, is_skewed)
SELECT 'm' || n, p.id, 'name' || n % 50, '', '{}', '{}', '', 'web', now() - n * interval '1 second', now(), '',
  false, false, false FROM generate_series(1, 20000) n
  JOIN (SELECT id, row_number() OVER () AS r FROM profiles_profile) p ON p.r = 1 + n % 2000;
INSERT INTO automation_trigger (key, name, description, type, priority, mode, message_class, topic, conditions, actions,
  timing, cancel_when, recheck, cooldown_path, dedupe_path, on_lost, value, pause_reason, updated_at)
SELECT 't' || n, 't' || n, '', 'behavioral', 3, 'draft', 'marketing', 'marketing', '[]', '[]', '{}', '[]', true, '',
  '', 'suppress', 0, '', now() FROM generate_series(1, 10) n;
INSERT INTO automation_triggerversion (trigger_id, number, definition, changes)
SELECT id, 1, '{}', '' FROM automation_trigger;
INSERT INTO automation_execution (trigger_id, version_id, profile_id, event_id, event_name, event_at, accepted_at,
  decided_at, lane, status, reason, dedupe_key)
SELECT v.trigger_id, v.id, e.profile_id, e.id, e.name, e.occurred_at, now(), now() - e.id * interval '1 second', 3,
  CASE WHEN e.id % 100 = 0 THEN 'failed' ELSE 'triggered' END, '', 'e:' || e.id
FROM automation_event e JOIN (SELECT *, row_number() OVER () AS r FROM automation_triggerversion) v
  ON v.r = 1 + e.id % 10;
INSERT INTO automation_queuedevent (event_id, profile_id, lane, shard, occurred_at)
SELECT id, profile_id, 4, profile_id % 64, occurred_at FROM automation_event;
ANALYZE profiles_profile, automation_event, automation_execution, automation_queuedevent;
"""


@pytest.fixture(scope="module")
def now() -> datetime:
    return datetime.now(UTC)


def plan(query: str, parameters: list[object]) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {query}", parameters)
        return "\n".join(row[0] for row in cursor.fetchall())


def fill() -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(FILL)
        cursor.execute("SELECT min(profile_id), min(trigger_id) FROM automation_execution")
        row: tuple[int, int] = cursor.fetchone()
        return row


def test_hot_queries_use_their_indexes(now: datetime) -> None:
    """S-090, S-104, S-105, S-106, S-107, H-059."""
    profile, trigger = fill()
    hour = now - timedelta(hours=1)
    executions = "SELECT * FROM automation_execution WHERE "
    events = "SELECT * FROM automation_event WHERE "
    expected = [
        (
            f"{executions} profile_id = %s AND trigger_id = %s ORDER BY decided_at DESC LIMIT 20",
            [profile, trigger],
            "profile_id_trigger_id_decided",
        ),
        (
            f"{events} profile_id = %s AND occurred_at BETWEEN %s AND %s ORDER BY occurred_at DESC LIMIT 100",
            [profile, hour, now],
            "profile_id_occurred_at",
        ),
        (
            f"{events} name = %s AND occurred_at > %s ORDER BY occurred_at DESC LIMIT 100",
            ["name7", hour],
            "name_occurred_at",
        ),
        (f"{executions} status = %s ORDER BY decided_at DESC LIMIT 20", ["failed"], "status_decided_at"),
        (f"{executions} status = 'pending' AND due_at <= now() LIMIT 5", [], "due_at"),
    ]
    for query, parameters, index in expected:
        found = plan(query, parameters)
        assert index in found, f"{query}\n{found}"
        assert f"Seq Scan on automation_event_{now:%Y_%m}" not in found, found
        assert f"Seq Scan on automation_execution_{now:%Y_%m}" not in found, found


def test_a_look_back_reads_only_the_partitions_of_its_window(now: datetime) -> None:
    """S-101, S-165."""
    profile, _ = fill()
    found = plan(
        "SELECT * FROM automation_event WHERE profile_id = %s AND occurred_at BETWEEN %s AND %s",
        [profile, now - timedelta(hours=1), now],
    )
    assert f"automation_event_{now:%Y_%m}" in found
    assert f"automation_event_{now - timedelta(days=90):%Y_%m}" not in found


def test_the_claim_reads_the_queue_in_index_order() -> None:
    """performance.md §2: no sort of the backlog."""
    fill()
    with connection.cursor() as cursor:
        cursor.execute(
            "EXPLAIN SELECT ctid FROM automation_queuedevent w WHERE lane = %s AND shard = %s AND due_at <= now()"
            " ORDER BY occurred_at, event_id LIMIT 30",
            [int(Priority.LOW), 3],
        )
        found = "\n".join(row[0] for row in cursor.fetchall())
    assert "queue_claim" in found
    assert "Sort" not in found
    assert SHARDS == 64


def test_identities_are_found_by_their_unique_index() -> None:
    send(*(incoming(customer_id=f"c{n}") for n in range(400)))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE profiles_identity")
    found = plan(
        "SELECT profile_id FROM profiles_identity WHERE kind = %s AND value = %s", ["customer", "c7"]
    )
    assert "identity_unique" in found
