"""Percentiles of what was decided between two counts."""

from __future__ import annotations

from analytics.demo.summary import latencies


def test_only_what_came_between_is_counted() -> None:
    before = {("critical", 10): 5, ("low", 40): 100}
    now = {("critical", 10): 5, ("critical", 20): 99, ("critical", 30): 1, ("low", 40): 100}
    assert latencies(now, before) == {
        "critical": {"p50_ms": 86.74, "p95_ms": 86.74, "p99_ms": 86.74, "count": 100}
    }


def test_without_an_earlier_count_everything_is() -> None:
    found = latencies({("high", 10): 50, ("high", 20): 45, ("high", 30): 5})
    assert found == {"high": {"p50_ms": 9.31, "p95_ms": 86.74, "p99_ms": 807.79, "count": 100}}
