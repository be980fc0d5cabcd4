"""Deciding in process with ever more triggers, and the article's engine beside it."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from analytics.bench.parts.base import Part, Session
from analytics.bench.peers import article_engine
from analytics.bench.station import Station
from analytics.bench.workload import ONE_NAME, SHOP, Stream

CUSTOMERS = 10_000
_RATES, _COST = "triggers", "cost_10000_over_100_triggers"
_ONE_NAME_RATE, _ONE_NAME_COST = (
    "same_event_1000_triggers_events_per_s",
    "cost_10000_on_one_name_over_100_triggers",
)
_STALL = "publish_stall_ms"
_ARTICLE = ("article_events_per_s", "speedup_over_article")
KEYS = (_RATES, _COST, _ONE_NAME_RATE, _ONE_NAME_COST, *_ARTICLE, _STALL)


def stream_of(names: dict[str, int], events: int, customers: int, products: int = 1000) -> dict[str, Any]:
    """A stream as a station takes it."""
    return {"count": events, "customers": customers, "names": list(names.items()), "products": products}


class _Decider:
    """A station, and what its last runs came to."""

    def __init__(self, station: Station, stream: dict[str, Any], customers: int) -> None:
        self.accept_and_decide: list[float] = []  # Events per second, the first one cold.
        self._station, self._stream, self._customers = station, stream, customers

    def run(self) -> float:
        """Events decided per second, from an empty table; the accepting before is timed apart."""
        self._station.ask("reset", customers=self._customers)
        seconds = self._station.ask("run", stream=self._stream)
        self.accept_and_decide.append(seconds["events"] / (seconds["accept"] + seconds["decide"]))
        return float(seconds["events"] / seconds["decide"])


def measure(session: Session) -> None:
    """One process and one database for each number of triggers, and the article's engine, in turn."""
    sizes, site = session.sizes, session.site
    customers = min(CUSTOMERS, sizes.customers)
    deciders: dict[str, _Decider] = {}
    stations: list[Station] = []

    def add(name: str, shape: str, count: int, names: dict[str, int]) -> None:
        session.tell(f"{name}: preparing")
        stations.append(site.station(f"t{len(stations)}", shape=shape, triggers=count))
        stream = stream_of(names, sizes.station_events, customers, max(1000, count))
        deciders[name] = _Decider(stations[-1], stream, customers)

    is_with_article = session.wants(*_ARTICLE) and _can_run_article(session)
    beside_article = 1_000 if 1_000 in sizes.trigger_counts else sizes.trigger_counts[-1]
    wants_spread = session.wants(_RATES, _COST, _ONE_NAME_COST)
    publishing = sizes.trigger_counts[-1] if session.wants(_STALL) else 0
    for count in sizes.trigger_counts:
        if wants_spread or count == publishing or (is_with_article and count == beside_article):
            add(f"{count} triggers", "spread", count, SHOP)
    for count, key in ((1_000, _ONE_NAME_RATE), (10_000, _ONE_NAME_COST)):
        if count in sizes.trigger_counts and session.wants(key):
            add(f"{count} triggers on one name", "one_name", count, ONE_NAME)
    contestants: list[tuple[str, Callable[[], float]]] = [(name, one.run) for name, one in deciders.items()]
    if is_with_article:
        stream = Stream(sizes.article_events, sizes.customers)
        contestants.append(("article", lambda: article_engine(site, stream, beside_article)))
    rates = session.turns(contestants if session.wants(*KEYS[:-1]) else [])
    if publishing:
        publish(session, stations[list(deciders).index(f"{publishing} triggers")], publishing)
    for station in stations:
        station.close()
    if is_with_article:
        # That engine stores and decides; so it is compared with accepting and deciding.
        rates["accept and decide"] = deciders[f"{beside_article} triggers"].accept_and_decide[1:]
    _report(session, rates)


def publish(session: Session, station: Station, count: int) -> None:
    """How long a worker stands still when one of `count` triggers was published: its next look at the index."""
    compiling = station.ask("compile")
    found = [
        station.ask("publish", number=index * 7 % count) for index in range(session.sizes.repetitions + 2)
    ]
    session.figures.put(
        _STALL,
        [1000 * one["stall"] for one in found],
        publish_ms=1000 * max(one["publish"] for one in found),
        compile_all_ms=1000 * compiling,
        look_ms=1000 * min(one["idle"] for one in found),
    )
    if count != 10_000:
        session.figures.note(_STALL, f"{count:,} instead of 10,000 triggers")


def _can_run_article(session: Session) -> bool:
    if find_spec("asyncpg") is not None:
        return True
    for key in _ARTICLE:
        session.figures.note(key, "asyncpg is not installed (requirements-dev.txt)")
    return False


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
