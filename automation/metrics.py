"""Counters and gauges for Prometheus, read from PostgreSQL at scrape time.

All workers write their counts to the database in the transactions they count: one scrape of any web process
shows the whole installation, and a retry counts once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypedDict

from django.db import connection
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from automation.engine.types import Priority
from automation.models import Delivery
from automation.outages import Outages
from automation.pipeline import lookout

LATENCY_STEP = 1.25  # Bucket i of the latency tally: at most 1.25 ** i milliseconds from accept to decision.
COARSE = 4  # Prometheus gets every fourth bucket.
DESTINATIONS_SHOWN = 100  # Users choose the hosts of webhooks.
WATCHED = ("pending", "sending", "uncertain")  # Deliveries that are not finished, or not for certain.

# Tally kind -> (name, help) of counters without labels.
_PLAIN: dict[str, tuple[str, str]] = {
    "duplicates": ("duplicates_dropped", "Events or decisions that repeated an earlier one."),
    "lease_lost": ("lease_lost", "Results of deliveries that came after their lease was lost."),
    "rescued": ("deliveries_rescued", "Deliveries taken from workers whose lease ran out."),
    "sweeps": ("sweeps", "Runs of the sweeper."),
    "worker_deaths": ("worker_deaths", "Workers that died in the middle of a batch."),
    "bisected": ("batches_halved", "Batches that failed and were halved."),
    "quarantined": ("events_quarantined", "Events moved into quarantine."),
}
_BY_LANE: dict[str, tuple[str, str]] = {
    "events": ("events_processed", "Events decided."),
    "deadline_missed": ("deadline_missed", "Events decided later than their lane's deadline."),
}
_LANES = {int(priority): priority.lane for priority in Priority}


class Latency(TypedDict):
    """How long the events of a lane took from accept to decision; upper bounds of their buckets."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    count: int


class _Sums(NamedTuple):
    plain: dict[str, int]
    by_lane: dict[tuple[str, int], int]
    executions: dict[tuple[str, str], int]
    deliveries: dict[str, int]
    latency: dict[int, dict[int, int]]


def collect() -> bytes:
    """The Prometheus text of everything."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Beckon())
    return generate_latest(registry)


def lane_latency(since: datetime) -> dict[str, Latency]:
    """Latency from accept to decision of each lane that decided events since `since` (whole hours)."""
    rows = _rows(
        "SELECT lane, label::int, sum(count)::bigint FROM automation_tally WHERE kind = 'latency'"
        " AND hour >= date_trunc('hour', %s::timestamptz, 'UTC') GROUP BY 1, 2",
        [since],
    )
    buckets: dict[int, dict[int, int]] = defaultdict(dict)
    for lane, bucket, count in rows:
        buckets[lane][bucket] = count
    return {
        _LANES[lane]: {
            "p50_ms": percentile(counts, 0.50),
            "p95_ms": percentile(counts, 0.95),
            "p99_ms": percentile(counts, 0.99),
            "count": sum(counts.values()),
        }
        for lane, counts in sorted(buckets.items())
    }


def percentile(buckets: dict[int, int], share: float) -> float:
    """The upper bound in milliseconds of the bucket in which this share of all counts is reached."""
    wanted = share * sum(buckets.values())
    reached = 0
    for bucket in sorted(buckets):
        reached += buckets[bucket]
        if reached >= wanted:
            return round(LATENCY_STEP**bucket, 2)
    return 0.0


class _Beckon(Collector):
    """Reads everything anew at each scrape."""

    def collect(self) -> Iterable[Metric]:
        sums = _tallies()
        yield from _counters(sums)
        yield from _queue()
        yield from _deliveries()
        yield from _decisions()
        yield from _quarantine()
        yield from _triggers()
        yield from _outages()


def _tallies() -> _Sums:
    sums = _Sums(defaultdict(int), defaultdict(int), defaultdict(int), defaultdict(int), defaultdict(dict))
    rows = _rows(
        "SELECT kind, coalesce(lane, 0),"
        " CASE WHEN kind IN ('executions', 'deliveries', 'latency') THEN label ELSE '' END,"
        " sum(count)::bigint FROM automation_tally GROUP BY 1, 2, 3",
    )
    for kind, lane, label, count in rows:
        if kind == "executions":
            outcome, _, reason = label.partition(":")
            sums.executions[outcome, reason] += count
        elif kind == "deliveries":
            sums.deliveries[label] += count
        elif kind == "latency":
            sums.latency[lane][int(label)] = count
        elif kind in _BY_LANE:
            sums.by_lane[kind, lane] += count
        elif kind in _PLAIN:
            sums.plain[kind] += count
    return sums


def _counters(sums: _Sums) -> Iterator[Metric]:
    for kind, (name, text) in _PLAIN.items():
        yield CounterMetricFamily(f"beckon_{name}", text, value=sums.plain.get(kind, 0))
    for kind, (name, text) in _BY_LANE.items():
        family = CounterMetricFamily(f"beckon_{name}", text, labels=["lane"])
        for lane, word in _LANES.items():
            family.add_metric([word], sums.by_lane.get((kind, lane), 0))
        yield family
    decided = CounterMetricFamily(
        "beckon_executions",
        "Decisions by outcome: fired, waiting or suppressed.",
        labels=["outcome", "reason"],
    )
    for (outcome, reason), count in sorted(sums.executions.items()):
        decided.add_metric([outcome, reason], count)
    yield decided
    delivered = CounterMetricFamily("beckon_deliveries", "Attempts by what they came to.", labels=["status"])
    for status, count in sorted(sums.deliveries.items()):
        delivered.add_metric([status], count)
    yield delivered
    latency = HistogramMetricFamily(
        "beckon_decision_latency_seconds", "From accept to decision.", labels=["lane"]
    )
    for lane, counts in sorted(sums.latency.items()):
        latency.add_metric([_LANES[lane]], _cumulated(counts), None)
    yield latency


def _cumulated(counts: dict[int, int]) -> Sequence[tuple[str, float]]:
    """(upper bound in seconds, how many so far), every COARSE-th bucket and infinity."""
    reached, bounds = 0, []
    for bucket in range(max(counts, default=0) + 1):
        reached += counts.get(bucket, 0)
        if bucket % COARSE == 0:
            bounds.append((f"{LATENCY_STEP**bucket / 1000:.6g}", float(reached)))
    return [*bounds, ("+Inf", float(reached))]


def _queue() -> Iterator[Metric]:
    size = GaugeMetricFamily("beckon_events_pending", "Events that wait for their decision.", labels=["lane"])
    age = GaugeMetricFamily(
        "beckon_oldest_pending_age_seconds",
        "Age of the oldest event that waits for its decision.",
        labels=["lane"],
    )
    found = {
        lane: (count, seconds)
        for lane, count, seconds in _rows(
            "SELECT lane, count(*), extract(epoch FROM now() - min(accepted_at))::float8"
            " FROM automation_queuedevent GROUP BY lane"
        )
    }
    for lane, word in _LANES.items():
        count, seconds = found.get(lane, (0, 0.0))
        size.add_metric([word], count)
        age.add_metric([word], max(seconds, 0.0))
    yield size
    yield age


def _deliveries() -> Iterator[Metric]:
    waiting = GaugeMetricFamily(
        "beckon_deliveries_open", "Deliveries that are not finished, or not for certain.", labels=["status"]
    )
    found = dict(
        _rows(
            "SELECT status, count(*) FROM automation_delivery WHERE status = ANY(%s) GROUP BY 1",
            [list(WATCHED)],
        )
    )
    for status in WATCHED:
        waiting.add_metric([status], found.get(status, 0))
    yield waiting
    recent = GaugeMetricFamily(
        "beckon_deliveries_last_hour", "Deliveries made in the last hour, by status now.", labels=["status"]
    )
    for status, count in _rows(
        "SELECT status, count(*) FROM automation_delivery WHERE created_at >= now() - interval '1 hour'"
        " AND status = ANY(%s) GROUP BY 1 ORDER BY 1",
        [list(Delivery.Status.values)],
    ):
        recent.add_metric([status], count)
    yield recent
    overdue = GaugeMetricFamily(
        "beckon_oldest_due_delivery_age_seconds",
        "How long the oldest due delivery has been due.",
        labels=["lane"],
    )
    late = dict(
        _rows(
            "SELECT lane, extract(epoch FROM now() - min(due_at))::float8 FROM automation_delivery"
            " WHERE status = 'pending' AND due_at <= now() GROUP BY lane"
        )
    )
    for lane, word in _LANES.items():
        overdue.add_metric([word], late.get(lane, 0.0))
    yield overdue


def _decisions() -> Iterator[Metric]:
    family = GaugeMetricFamily(
        "beckon_executions_last_hour", "Executions decided in the last hour.", labels=["status", "reason"]
    )
    for status, reason, count in _rows(
        "SELECT status, reason, count(*) FROM automation_execution"
        " WHERE decided_at >= now() - interval '1 hour' GROUP BY 1, 2 ORDER BY 1, 2"
    ):
        family.add_metric([status, reason], count)
    yield family


def _quarantine() -> Iterator[Metric]:
    ((count, seconds),) = _rows(
        "SELECT count(*), coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8"
        " FROM automation_quarantinedevent WHERE state = 'held'"
    )
    yield GaugeMetricFamily(
        "beckon_quarantine_held", "Events in quarantine that wait for a person.", value=count
    )
    yield GaugeMetricFamily(
        "beckon_quarantine_oldest_age_seconds", "Age of the oldest of them.", value=seconds
    )


def _triggers() -> Iterator[Metric]:
    modes = GaugeMetricFamily("beckon_triggers", "Triggers by mode.", labels=["mode"])
    for mode, count in _rows("SELECT mode, count(*) FROM automation_trigger GROUP BY 1 ORDER BY 1"):
        modes.add_metric([mode], count)
    yield modes
    rows = _rows("SELECT value FROM automation_epoch WHERE id = 1")
    yield GaugeMetricFamily(
        "beckon_trigger_epoch", "Rises with every change of a trigger.", value=rows[0][0] if rows else 0
    )
    swept = _rows(
        "SELECT extract(epoch FROM last_run_at)::float8 FROM django_celery_beat_periodictask"
        " WHERE task = 'automation.tasks.periodic_sweep' AND last_run_at IS NOT NULL ORDER BY 1 DESC LIMIT 1"
    )
    health = lookout.health()
    asked, done = swept[0][0] if swept else 0.0, health.swept_at.timestamp() if health.swept_at else 0.0
    yield GaugeMetricFamily(
        "beckon_sweeper_last_run_timestamp_seconds",
        "When a sweep was last asked for by the clock, or done by anybody; 0: never.",
        value=max(asked, done),
    )
    yield GaugeMetricFamily(
        "beckon_watches", "Workers whose watch looked within three sweep intervals.", value=health.watches
    )
    yield GaugeMetricFamily(
        "beckon_clocks_wrong",
        "Workers whose clock and PostgreSQL's differ by more than two seconds.",
        value=len(health.skewed),
    )


def _outages() -> Iterator[Metric]:
    try:
        names, is_up = Outages().known(DESTINATIONS_SHOWN), 1
    except RedisError:
        names, is_up = [], 0  # Every process knows its own all the same.
    yield GaugeMetricFamily("beckon_redis_up", "1 when Redis answers; without it work is late.", value=is_up)
    family = GaugeMetricFamily(
        "beckon_destination_open",
        "Destinations left alone, because their breaker is open.",
        labels=["destination"],
    )
    for name in names:
        family.add_metric([name], 1)
    yield family


def _rows(query: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, list(params))
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows
