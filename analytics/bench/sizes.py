"""How much of everything: a full run, a quick one, and one that only proves that the bench works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of a run."""

    name: str
    repetitions: int
    customers: int  # Of the shop that is measured over HTTP.
    events: int  # End to end, in batches of 500.
    accept_events: int  # Accepted only, in batches of 100.
    single_events: int  # One per request.
    naive_events: int
    article_events: int
    station_events: int  # In process, for each number of triggers and each size of the tables.
    trigger_counts: tuple[int, ...]
    profile_counts: tuple[int, ...]
    event_counts: tuple[int, ...]
    probes: int  # For each kind of latency.
    flood: tuple[int, int]  # Events that wait meanwhile, at least and at most.
    worker_events: int  # Decided before the worker's peak of memory is read.
    idle_seconds: float
    rule_seconds: float
    skipped: frozenset[str] = frozenset()  # Keys that are measured only when they are asked for.


FULL = Sizes(
    name="full",
    repetitions=5,
    customers=10_000,
    events=24_000,
    accept_events=20_000,
    single_events=1_000,
    naive_events=300,
    article_events=1_000,
    station_events=6_000,
    trigger_counts=(10, 100, 1_000, 10_000),
    profile_counts=(10_000, 1_000_000),
    event_counts=(0, 5_000_000),
    probes=500,
    flood=(10_000, 30_000),
    worker_events=300_000,
    idle_seconds=20.0,
    rule_seconds=0.5,
)
QUICK = Sizes(
    name="quick",
    repetitions=3,
    customers=4_000,
    events=7_500,
    accept_events=5_000,
    single_events=300,
    naive_events=60,
    article_events=300,
    station_events=1_200,
    trigger_counts=(100, 1_000, 10_000),
    profile_counts=(4_000, 40_000),
    event_counts=(0, 100_000),
    probes=60,
    flood=(4_000, 9_000),
    worker_events=0,
    idle_seconds=3.0,
    rule_seconds=0.1,
    skipped=frozenset(
        {
            "workers",
            "cost_10000_on_one_name_over_100_triggers",
            # Small tables say nothing about large ones.
            "profiles",
            "cost_1m_over_10k_profiles",
            "events_table",
            "cost_5m_over_empty_events",
        }
    ),
)
TINY = Sizes(
    name="tiny",
    repetitions=1,
    customers=200,
    events=400,
    accept_events=200,
    single_events=20,
    naive_events=20,
    article_events=80,
    station_events=200,
    trigger_counts=(10, 100),
    profile_counts=(200, 400),
    event_counts=(0, 1_000),
    probes=5,
    flood=(1_000, 4_000),
    worker_events=0,
    idle_seconds=0.5,
    rule_seconds=0.02,
)
BY_NAME = {sizes.name: sizes for sizes in (FULL, QUICK, TINY)}
