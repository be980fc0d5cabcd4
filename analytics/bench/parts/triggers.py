"""Deciding in process with ever more triggers, and the article's engine beside it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

from analytics.bench.parts.base import Part, Session
from analytics.bench.peers import article_engine
from analytics.bench.station import Station
from analytics.bench.workload import ONE_NAME, SHOP, Stream

CUSTOMERS = 10_000
KEYS = (
    "triggers",
    "cost_10000_over_100_triggers",
    "same_event_1000_triggers_events_per_s",
    "cost_10000_on_one_name_over_100_triggers",
    "article_events_per_s",
    "speedup_over_article",
)
_ARTICLE = ("article_events_per_s", "speedup_over_article")


def stream_of(names: dict[str, int], events: int, customers: int, products: int = 1000) -> dict[str, Any]:
    """A stream as a station takes it."""
    return {"count": events, "customers": customers, "names": list(names.items()), "products": products}


def decide(station: Station, stream: dict[str, Any], customers: int, tell: dict[str, float]) -> float:
    """Events decided per second, from an empty table; the accepting before is not counted, but kept."""
    station.ask("reset", customers=customers)
    seconds = station.ask("run", stream=stream)
    tell["accept and decide"] = stream["count"] / (seconds["accept"] + seconds["decide"])
    return float(stream["count"] / seconds["decide"])


def measure(session: Session) -> None:
    """One process and one database for each number of triggers, in turn."""
    sizes, site = session.sizes, session.site
    customers = min(CUSTOMERS, sizes.customers)
    contestants: list[tuple[str, Callable[[], float]]] = []
    stations: list[Station] = []
    both: dict[str, dict[str, float]] = {}

    def add(name: str, shape: str, count: int, names: dict[str, int]) -> None:
        session.tell(f"{name}: preparing")
        station = site.station(f"t{len(stations)}", shape=shape, triggers=count)
        stations.append(station)
        stream = stream_of(names, sizes.station_events, customers, max(1000, count))
        contestants.append((name, partial(decide, station, stream, customers, both.setdefault(name, {}))))

    wants_spread = session.wants(
        "triggers", "cost_10000_over_100_triggers", "cost_10000_on_one_name_over_100_triggers"
    )
    for count in sizes.trigger_counts:
        if wants_spread or (count == 1000 and session.wants(*_ARTICLE)):
            add(f"{count} triggers", "spread", count, SHOP)
    for count, key in ((1_000, KEYS[2]), (10_000, KEYS[3])):
        if count in sizes.trigger_counts and session.wants(key):
            add(f"{count} triggers on one name", "one_name", count, ONE_NAME)
    rates = _with_article(session, contestants, both)
    for station in stations:
        station.close()
    _report(session, rates)


def _with_article(
    session: Session, contestants: list[tuple[str, Callable[[], float]]], both: dict[str, dict[str, float]]
) -> dict[str, list[float]]:
    """The article's engine stores and decides, so it is compared with accepting and deciding."""
    sizes = session.sizes
    count = 1_000 if 1_000 in sizes.trigger_counts else sizes.trigger_counts[-1]
    if session.wants(*_ARTICLE) and find_spec("asyncpg") is None:
        for key in _ARTICLE:
            session.figures.note(key, "asyncpg is not installed (requirements-dev.txt)")
    elif session.wants(*_ARTICLE):
        stream = Stream(sizes.article_events, sizes.customers)
        contestants.append(("article", lambda: article_engine(session.site, stream, count)))
        name = f"{count} triggers"
        whole = dict(contestants)[name]

        def accept_and_decide() -> float:
            whole()
            return both[name]["accept and decide"]

        contestants.append(("accept and decide", accept_and_decide))
    return session.turns(contestants)


def _report(session: Session, rates: dict[str, list[float]]) -> None:
    figures, sizes = session.figures, session.sizes
    counted = {
        str(count): rates[f"{count} triggers"]
        for count in sizes.trigger_counts
        if f"{count} triggers" in rates
    }
    if session.wants("triggers"):
        figures.put_each("triggers", counted)
        if missing := {"10", "100", "1000", "10000"} - counted.keys():
            figures.note("triggers", f"without {', '.join(sorted(missing, key=int))} triggers")
    low, high = str(100), str(sizes.trigger_counts[-1])
    if session.wants("cost_10000_over_100_triggers"):
        figures.put_ratio("cost_10000_over_100_triggers", counted[low], counted[high])
        if high != "10000":
            figures.note("cost_10000_over_100_triggers", f"{high} instead of 10,000 triggers")
    for key, name in (
        ("same_event_1000_triggers_events_per_s", "1000 triggers on one name"),
        ("article_events_per_s", "article"),
    ):
        if name in rates:
            figures.put(key, rates[name], cold=rates[f"{name} (cold)"][0])
    if "10000 triggers on one name" in rates and low in counted:
        key = "cost_10000_on_one_name_over_100_triggers"
        figures.put_ratio(key, counted[low], rates["10000 triggers on one name"])
    if "article" in rates:
        figures.put_ratio("speedup_over_article", rates["accept and decide"], rates["article"])


PART = Part("triggers", KEYS, measure)
