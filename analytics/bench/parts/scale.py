"""Accepting and deciding in process with many customers and with a long past."""

from __future__ import annotations

from collections.abc import Callable

from analytics.bench import fill
from analytics.bench.databases import connected
from analytics.bench.parts.base import Part, Session
from analytics.bench.parts.triggers import stream_of
from analytics.bench.station import Station
from analytics.bench.workload import SHOP

TRIGGERS = 100
KEYS = ("profiles", "cost_1m_over_10k_profiles", "events_table", "cost_5m_over_empty_events")
_PROFILES, _EVENTS = KEYS[:2], KEYS[2:]


def measure(session: Session) -> None:
    """One database for each size, in turn. They keep what happened: ten thousand events more change nothing."""
    sizes = session.sizes
    least = sizes.profile_counts[0]
    contestants: list[tuple[str, Callable[[], float]]] = []
    stations: list[Station] = []

    def add(name: str, customers: int, past: int) -> None:
        session.tell(f"{name}: filling")
        station = session.site.station(f"s{len(stations)}", shape="spread", triggers=TRIGGERS)
        stations.append(station)
        with connected(session.site.databases.url(station.name)) as cursor:
            fill.customers(cursor, customers)
            if past:
                fill.past_events(cursor, past, customers)
            cursor.execute("VACUUM (ANALYZE) profiles_profile, profiles_identity, profiles_consent")
            cursor.execute("CHECKPOINT")
        stream = stream_of(SHOP, sizes.station_events, customers)
        contestants.append((name, lambda: _accept_and_decide(station, stream)))

    add(f"{least:,} customers", least, 0)
    if session.wants(*_PROFILES):
        add(f"{sizes.profile_counts[1]:,} customers", sizes.profile_counts[1], 0)
    if session.wants(*_EVENTS):
        add(f"{sizes.event_counts[1]:,} past events", least, sizes.event_counts[1])
    rates = session.turns(contestants)
    for station in stations:
        station.close()
        session.site.databases.drop(station.name)
    _report(session, rates)


def _accept_and_decide(station: Station, stream: dict[str, object]) -> float:
    seconds = station.ask("run", stream=stream)
    return float(seconds["events"] / (seconds["accept"] + seconds["decide"]))


def _report(session: Session, rates: dict[str, list[float]]) -> None:
    figures, sizes = session.figures, session.sizes
    few, many = sizes.profile_counts
    base = rates[f"{few:,} customers"]
    if session.wants(*_PROFILES):
        more = rates[f"{many:,} customers"]
        figures.put_each("profiles", {str(few): base, str(many): more})
        figures.put_ratio("cost_1m_over_10k_profiles", base, more)
        if many != 1_000_000:
            figures.note("cost_1m_over_10k_profiles", f"{many:,} instead of 1,000,000 customers")
    if session.wants(*_EVENTS):
        past = sizes.event_counts[1]
        more = rates[f"{past:,} past events"]
        figures.put_each("events_table", {"0": base, str(past): more})
        figures.put_ratio("cost_5m_over_empty_events", base, more)
        if past != 5_000_000:
            figures.note("cost_5m_over_empty_events", f"{past:,} instead of 5,000,000 past events")


PART = Part("scale", KEYS, measure)
