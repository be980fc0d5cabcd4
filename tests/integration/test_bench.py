"""The bench measures what it says, and refuses to when an event is not accounted for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from analytics.bench import accounting, client, fill, printing, sizes
from analytics.bench.errors import AccountError, AnswerError
from analytics.bench.figures import Figures
from analytics.bench.flood import chunk
from analytics.bench.install import install
from analytics.bench.parts.base import Session
from analytics.bench.reference import Reference
from analytics.bench.run import all_keys
from analytics.bench.shapes import documents
from analytics.bench.station_commands import accept, decide, incoming
from analytics.bench.workload import Item, Moments, Stream, by_connection, moments
from automation.models import Event
from automation.pipeline import index
from config.embedded import PROJECT

KEYS = [
    "floor_events_per_s",
    "end_to_end_events_per_s",
    "end_to_end_of_floor",
    "accept_events_per_s",
    "accept_of_floor",
    "single_event_accept_of_noop",
    "naive_events_per_s",
    "speedup_over_naive",
    "article_events_per_s",
    "speedup_over_article",
    "triggers",
    "cost_10000_over_100_triggers",
    "same_event_1000_triggers_events_per_s",
    "profiles",
    "cost_1m_over_10k_profiles",
    "events_table",
    "cost_5m_over_empty_events",
    "workers",
    "latency",
    "rules",
    "worker_peak_mb",
    "web_peak_mb",
    "idle_cpu_percent",
    "publish_stall_ms",
]


def test_every_promised_figure_belongs_to_a_part() -> None:
    assert set(KEYS) <= set(all_keys())
    assert len(all_keys()) == len(set(all_keys()))


@pytest.mark.timeout(300)
def test_a_tiny_run_prints_the_figures_asked_for_and_nothing_else() -> None:
    """The product over HTTP with real workers, and the floor, with every event accounted for."""
    asked = [
        "end_to_end_events_per_s",
        "floor_events_per_s",
        "end_to_end_of_floor",
        "rules",
        "publish_stall_ms",
    ]
    done = subprocess.run(
        [sys.executable, "manage.py", "bench", "--tiny", "--json", "--only", ",".join(asked)],
        cwd=PROJECT,
        env={
            name: value for name, value in os.environ.items() if name not in ("BECKON_HOME", "REDIS_PREFIX")
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    figures = json.loads(done.stdout)
    assert set(figures) - set(printing.ABOUT) == set(asked)
    product, floor, ratio = (figures[key] for key in asked[:3])
    assert product > 0
    assert floor > 0
    assert ratio == pytest.approx(product / floor, rel=0.02)
    assert set(figures["rules"]) >= {"compiled_per_s", "interpreted_per_s"}
    assert (figures["environment"]["fsync"], figures["environment"]["synchronous_commit"]) == ("on", "on")
    assert figures["environment"]["driver"].startswith("psycopg2")
    assert figures["notes"]["publish_stall_ms"] == "100 instead of 10,000 triggers"


def _decided(shape: str = "spread", triggers: int = 60, count: int = 120) -> tuple[list[Item], Moments]:
    """A stream that the pipeline has accepted and decided."""
    install(shape, triggers)
    with connection.cursor() as cursor:
        fill.reset(cursor, 20)
    index.forget()
    names = {"names": (("product_view", 1),), "products": triggers} if shape == "one_name" else {}
    items = Stream(count, 20, **names).items()  # type: ignore[arg-type]
    when = moments("t", count, datetime.now(UTC))
    accept([incoming(item, when) for item in items])
    decide()
    return items, when


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("shape", "triggers"), [("spread", 10), ("spread", 60), ("one_name", 100)])
def test_the_pipeline_decides_as_the_reference_in_plain_python_does(shape: str, triggers: int) -> None:
    """S-110: batches decide what one event at a time would, with caps, cooldowns, limits, history and ties."""
    items, when = _decided(shape, triggers)
    reference = Reference(shape, triggers)
    with connection.cursor() as cursor:
        accounting.settle(cursor, [(items, when)], reference)
    assert reference.events == 120
    assert reference.fired > 10
    assert bool(reference.held) is (shape == "spread")


SABOTAGE = [
    ("DELETE FROM automation_event WHERE id = (SELECT max(id) FROM automation_event)", "120 events sent"),
    (
        "INSERT INTO automation_queuedevent (event_id, profile_id, lane, shard, occurred_at)"
        " VALUES (0, 1, 3, 1, now())",
        "left in the queue",
    ),
    (
        "INSERT INTO automation_tally (hour, kind, label, count) VALUES (now(), 'events', '', 1)",
        "121 decided, expected 120",
    ),
    (
        "DELETE FROM automation_delivery WHERE execution_id ="
        " (SELECT max(execution_id) FROM automation_delivery)",
        "outbox",
    ),
    (
        "UPDATE automation_execution SET status = 'suppressed', reason = 'cooldown' WHERE id ="
        " (SELECT max(id) FROM automation_execution WHERE status <> 'suppressed')",
        "fired",
    ),
    (
        "UPDATE automation_execution SET held_count = held_count + 1 WHERE id ="
        " (SELECT max(id) FROM automation_execution WHERE status = 'suppressed')",
        "held back",
    ),
]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("sabotage", "words"), SABOTAGE)
def test_a_single_event_that_is_not_accounted_for_voids_the_run(sabotage: str, words: str) -> None:
    items, when = _decided()
    with connection.cursor() as cursor:
        cursor.execute(sabotage)
        with pytest.raises(AccountError, match=words):
            accounting.settle(cursor, [(items, when)], Reference("spread", 60))


@pytest.mark.parametrize(
    ("statuses", "is_fine"),
    [({202: 3}, True), ({202: 2}, False), ({202: 2, 503: 1}, False), ({200: 4}, False)],
)
def test_an_answer_other_than_2xx_or_a_missing_one_voids_the_run(
    statuses: dict[int, int], is_fine: bool
) -> None:
    sent = client.Sent()
    sent.statuses.update(statuses)
    if is_fine:
        sent.check(3)
    else:
        with pytest.raises(AnswerError):
            sent.check(3)


def test_contestants_take_turns_and_ratios_compare_what_ran_side_by_side() -> None:
    order: list[str] = []

    def contestant(name: str, rates: list[float]) -> tuple[str, Any]:
        pending = iter(rates)
        return name, lambda: order.append(name) or next(pending)

    figures = Figures()
    three = sizes.QUICK
    session = Session(None, three, figures, frozenset(), lambda text: None)  # type: ignore[arg-type]
    rates = session.turns([contestant("a", [1.0, 10.0, 30.0, 20.0]), contestant("b", [9.0, 5.0, 10.0, 20.0])])
    assert order == ["a", "b", "a", "b", "b", "a", "a", "b"]
    assert rates == {"a": [10.0, 30.0, 20.0], "b": [5.0, 10.0, 20.0], "a (cold)": [1.0], "b (cold)": [9.0]}
    figures.put_ratio("a_over_b", rates["a"], rates["b"])
    assert figures.detail["a_over_b"] == {"median": 2.0, "min": 1.0, "max": 3.0, "n": 3}


def test_the_same_stream_is_the_same_in_every_process_and_customers_keep_to_one_connection() -> None:
    items = Stream(200, 30).items()
    assert items == Stream(200, 30).items()
    assert sorted(item for mine in by_connection(items) for item in mine) == items
    owners = [{item.customer for item in mine} for mine in by_connection(items)]
    assert sum(map(len, owners)) == len(set().union(*owners))


def test_chunks_of_the_flood_follow_one_another() -> None:
    first = datetime(2026, 1, 1, tzinfo=UTC)
    (items, one), (_, two) = chunk(0, 50, first), chunk(1, 50, first)
    assert one.at(items[-1].number) < two.at(0)
    assert one.message_id(0) != two.message_id(0)


@pytest.mark.parametrize("count", [10, 100, 1000])
def test_shapes_have_the_number_of_triggers_they_say(count: int) -> None:
    for shape in ("spread", "one_name"):
        keys = {document["key"] for document in documents(shape, count)}
        assert len(keys) == count


@pytest.mark.parametrize(
    ("key", "value", "verdict"),
    [
        ("end_to_end_of_floor", 0.34, "missed"),
        ("end_to_end_of_floor", 0.35, "good"),
        ("end_to_end_of_floor", 0.5, "aim"),
        ("cost_1m_over_10k_profiles", 1.51, "missed"),
        ("cost_1m_over_10k_profiles", 1.5, "good"),
        ("cost_1m_over_10k_profiles", 1.25, "aim"),
    ],
)
def test_a_figure_is_shown_beside_its_target(key: str, value: float, verdict: str) -> None:
    figures = {key: value, "detail": {key: {"median": value, "min": value - 0.1, "max": value + 0.1, "n": 5}}}
    (row,) = printing.rows(figures)
    assert (row.key, row.verdict) == (key, verdict)
    assert float(row.least) < float(row.median) < float(row.greatest)


def test_what_was_shrunk_or_skipped_is_said_in_the_table() -> None:
    figures: dict[str, Any] = {
        "latency": {"critical_idle": {"p50_ms": 12.3, "p99_ms": 140.0}},
        "detail": {},
        "notes": {"latency": "100 probes of each kind instead of 500"},
        "skipped": ["workers"],
        "mode": "quick",
        "seconds": {"all": 100.0},
        "environment": dict.fromkeys(
            (
                "processors",
                "machine",
                "load_before",
                "server_version",
                "python",
                "django",
                "celery",
                "gunicorn",
            ),
            2,
        )
        | {"driver": "psycopg2 2"},
    }
    text = printing.markdown(figures)
    assert "| `latency.critical_idle.p99_ms` | 140 | – | – | ≤ 100 (40) | missed |" in text
    assert "- `latency`: 100 probes of each kind instead of 500." in text
    assert "- `skipped in this mode`: workers." in text


@pytest.mark.django_db
def test_pages_are_measured_in_an_empty_database_only() -> None:
    """What is filled in could not be told from what was there."""
    with pytest.raises(CommandError, match="not empty"):
        call_command("bench_pages", "--events", "10")
    assert not Event.objects.exists()
