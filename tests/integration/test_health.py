"""Probes and metrics: what a load balancer and Prometheus are told."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.test import Client, RequestFactory
from prometheus_client.parser import text_string_to_metric_families

from automation import metrics
from automation.api import health
from automation.models import Heartbeat, QuarantinedEvent, Tally
from automation.pipeline.deliver import deliver_batch
from tests.factories import EMAIL, decide_all, incoming, known, make_trigger, send

LANES = ("critical", "high", "medium", "low")


@pytest.fixture(autouse=True)
def static_root(settings: Any, tmp_path: Path) -> None:
    """Whitenoise warns when collectstatic has not run; here it need not have."""
    settings.STATIC_ROOT = tmp_path


def scraped() -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """(sample name, sorted labels) -> value, parsed as Prometheus would."""
    text = metrics.collect().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def get(view: Any, **extra: str) -> Any:
    """Call a view as a client at 127.0.0.1."""
    return view(RequestFactory().get("/", **extra))


def test_healthz_asks_nobody() -> None:
    """S-096, R-034: it answers without a database; pytest-django would refuse the connection."""
    answer = get(health.healthz)
    assert (answer.status_code, answer.content) == (200, b'{"status": "ok"}')


@pytest.mark.django_db
def test_readyz_is_ready_when_the_database_is() -> None:
    """S-096, R-034."""
    answer = get(health.readyz)
    assert answer.status_code == 200
    assert b'"problems": []' in answer.content


@pytest.mark.django_db
def test_without_redis_readyz_warns_and_stays_ready(settings: Any) -> None:
    """S-096, R-034: no guarantee rests on Redis."""
    settings.REDIS_CLIENT_URL = "redis://127.0.0.1:1/0"
    answer = get(health.readyz)
    assert answer.status_code == 200
    assert b"Redis does not answer" in answer.content


@pytest.mark.django_db
def test_without_the_database_readyz_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """S-096, R-034."""

    def refuse() -> None:
        raise DatabaseError("gone")

    monkeypatch.setattr(connection, "ensure_connection", refuse)
    answer = get(health.readyz)
    assert answer.status_code == 503
    assert b"does not answer" in answer.content
    assert b"gone" not in answer.content


@pytest.mark.django_db
def test_with_missing_migrations_readyz_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """S-096."""
    monkeypatch.setattr(health, "_is_migrated", False)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'automation'")
    answer = get(health.readyz)
    assert answer.status_code == 503
    assert b"manage.py migrate" in answer.content


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("token", "extra", "status"),
    [
        ("", {}, 200),
        ("", {"REMOTE_ADDR": "::1"}, 200),
        ("", {"REMOTE_ADDR": "10.0.0.7"}, 401),
        ("", {"HTTP_X_FORWARDED_FOR": "1.2.3.4"}, 401),
        ("", {"REMOTE_ADDR": ""}, 401),
        ("s3cret", {}, 401),
        ("s3cret", {"HTTP_AUTHORIZATION": "Bearer wrong"}, 401),
        ("s3cret", {"HTTP_AUTHORIZATION": "Bearer s3crét"}, 401),
        ("s3cret", {"HTTP_AUTHORIZATION": "Bearer s3cret", "REMOTE_ADDR": "10.0.0.7"}, 200),
    ],
)
def test_metrics_are_for_whoever_holds_the_token(
    settings: Any, token: str, extra: dict[str, str], status: int
) -> None:
    """R-034: without a token for this machine alone, and not through a proxy on it."""
    settings.METRICS_TOKEN = token
    answer = get(health.metrics, **extra)
    assert answer.status_code == status
    assert (b"beckon_events_processed_total" in answer.content) is (status == 200)


@pytest.mark.django_db(transaction=True)
def test_the_pipeline_is_counted_once() -> None:
    """S-093, S-113: events and executions, also after a repeated delivery of the same events."""
    trigger = make_trigger(actions=[EMAIL])
    events = [
        *known("alice"),
        *known("bob", consent=False),
        incoming("cart_abandonment", "alice", message_id="m1"),
        incoming("cart_abandonment", "bob", message_id="m2"),
    ]
    send(*events)
    before = scraped()
    waiting = sum(before["beckon_events_pending", (("lane", lane),)] for lane in LANES)
    assert waiting == len(events)
    decide_all()
    send(*events[-2:])
    decide_all()
    found = scraped()
    done = sum(found["beckon_events_processed_total", (("lane", lane),)] for lane in LANES)
    assert done == len(events)
    fired = found["beckon_executions_total", (("outcome", "fired"), ("reason", ""))]
    held = found["beckon_executions_total", (("outcome", "suppressed"), ("reason", "no_consent"))]
    assert (fired, held) == (1, 1)
    assert found["beckon_executions_last_hour", (("reason", "no_consent"), ("status", "suppressed"))] == 1
    assert found["beckon_deliveries_open", (("status", "pending"),)] == 1
    while any(deliver_batch(lane, worker="test", limit=50) for lane in LANES):
        pass
    assert scraped()["beckon_deliveries_total", (("status", "sent"),)] == 1
    assert found["beckon_events_pending", (("lane", "medium"),)] == 0
    assert found["beckon_triggers", (("mode", "live"),)] == 1
    assert found["beckon_trigger_epoch", ()] > 0
    assert trigger.pk


@pytest.mark.django_db
def test_ages_are_told() -> None:
    """R-034: the oldest event of a lane, and the quarantine."""
    QuarantinedEvent.objects.create(
        event_id=1, profile_id=1, occurred_at=datetime.now(UTC), lane=3, error_class="E", traceback="",
        code_version="1",
    )  # fmt: skip
    QuarantinedEvent.objects.update(created_at=datetime.now(UTC) - timedelta(hours=2))
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO automation_queuedevent (event_id, profile_id, lane, shard, occurred_at, accepted_at)"
            " VALUES (1, 1, 2, 0, now(), now() - interval '90 seconds')"
        )
    found = scraped()
    assert found["beckon_quarantine_held", ()] == 1
    assert found["beckon_quarantine_oldest_age_seconds", ()] == pytest.approx(7200, abs=60)
    assert found["beckon_oldest_pending_age_seconds", (("lane", "high"),)] == pytest.approx(90, abs=30)
    assert found["beckon_oldest_pending_age_seconds", (("lane", "low"),)] == 0


@pytest.mark.django_db
def test_watches_clocks_breakers_and_the_last_sweep_are_told() -> None:
    """R-023, R-030, R-034: what any process knows is told by every web process."""
    from automation.outages import Outages
    from automation.pipeline import lookout

    Heartbeat.objects.all().delete()
    assert b"Nobody has swept lately" in get(health.readyz).content
    for name in (lookout.SWEEP, lookout.WATCH + "a:1", lookout.WATCH + "b:2", lookout.SKEW + "b:2"):
        lookout.note(name)
    Heartbeat.objects.filter(worker="watch a:1").update(at=datetime.now(UTC) - timedelta(minutes=2))
    theirs = Outages()
    theirs.tell("mail.example:25", 30)
    theirs.tell("gone.example:443", 0.01)
    time.sleep(0.02)
    found = scraped()
    theirs.end("mail.example:25")
    assert (found["beckon_watches", ()], found["beckon_clocks_wrong", ()], found["beckon_redis_up", ()]) == (
        1,
        1,
        1,
    )
    assert found["beckon_sweeper_last_run_timestamp_seconds", ()] == pytest.approx(
        datetime.now(UTC).timestamp(), abs=30
    )
    open_now = {dict(labels)["destination"] for name, labels in found if name == "beckon_destination_open"}
    assert "mail.example:25" in open_now
    assert "gone.example:443" not in open_now
    answer = get(health.readyz)
    assert answer.status_code == 200
    assert b"The clock of b:2 is wrong" in answer.content
    assert b"Nobody has swept" not in answer.content
    assert ("beckon_destination_open", (("destination", "mail.example:25"),)) not in scraped()


@pytest.mark.django_db
def test_without_redis_the_metrics_say_so(settings: Any) -> None:
    """R-034: and everything else is there."""
    settings.REDIS_CLIENT_URL = "redis://127.0.0.1:1/0"
    found = scraped()
    assert found["beckon_redis_up", ()] == 0
    assert found["beckon_quarantine_held", ()] == 0


@pytest.mark.django_db
def test_latency_comes_from_the_buckets() -> None:
    """R-034: upper bounds, and cumulated buckets in seconds."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    for bucket, count in ((0, 50), (10, 45), (20, 4), (30, 1)):
        Tally.objects.create(hour=hour, kind="latency", lane=1, label=str(bucket), count=count)
    Tally.objects.create(hour=hour - timedelta(days=2), kind="latency", lane=1, label="40", count=1000)
    assert metrics.lane_latency(datetime.now(UTC) - timedelta(minutes=1)) == {
        "critical": {"p50_ms": 1.0, "p95_ms": 9.31, "p99_ms": 86.74, "count": 100}
    }
    found = scraped()
    bucket = {
        name: value for name, value in found.items() if name[0] == "beckon_decision_latency_seconds_bucket"
    }
    assert bucket["beckon_decision_latency_seconds_bucket", (("lane", "critical"), ("le", "0.001"))] == 50
    assert bucket["beckon_decision_latency_seconds_bucket", (("lane", "critical"), ("le", "+Inf"))] == 1100


@pytest.mark.parametrize(
    ("buckets", "share", "expected"),
    [({}, 0.5, 0.0), ({0: 1}, 0.99, 1.0), ({3: 1, 5: 1}, 0.5, 1.95), ({3: 1, 5: 1}, 0.51, 3.05)],
)
def test_percentiles(buckets: dict[int, int], share: float, expected: float) -> None:
    """R-034."""
    assert metrics.percentile(buckets, share) == expected


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_the_probes_have_addresses(path: str) -> None:
    """S-096: they are routed, and need no write key."""
    assert Client().get(path).status_code == 200
