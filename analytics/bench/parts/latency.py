"""From the answer to an urgent event until its execution is committed, with and without a flood; and idling.

Web server, a worker reserved for critical and high, one for all lanes, and the clock: as `manage.py up` starts them.
A probe is one event over HTTP. Its clock starts when the answer has arrived and stops when another connection,
looking every millisecond, sees the execution's key.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from statistics import quantiles
from typing import Any

import msgspec

from analytics.bench import client
from analytics.bench.accounting import Sent
from analytics.bench.databases import connected
from analytics.bench.errors import AnswerError, StuckError
from analytics.bench.figures import shown
from analytics.bench.flood import HOUR_BACK, Flood
from analytics.bench.parts.base import Part, Session
from analytics.bench.processes import IS_READABLE, cpu_seconds, family
from analytics.bench.product import LONGEST, Product
from analytics.bench.shapes import PROBES
from analytics.bench.workload import Item, Moments, Stream, wire

TRIGGERS = 100
LANES = ("critical,high", "critical,high,medium,low,periodic")
PAUSE = 0.01  # Mean seconds between probes.
TICK = 0.001
_SEEN = (
    "SELECT EXISTS (SELECT FROM automation_executionkey"
    " WHERE profile_id = %s AND trigger_id = %s AND dedupe_key = %s)"
)
KEYS = ("latency", "idle_cpu_percent")


class _Prober:
    """Sends probes and waits for their executions; their customers are apart from the flood's."""

    def __init__(self, product: Product, cursor: Any, first_customer: int) -> None:
        self.sent: list[Sent] = []
        self._product, self._cursor, self._first = product, cursor, first_customer
        self._connection = client.Connection(product.url)
        cursor.execute("SELECT key, id FROM automation_trigger WHERE key LIKE 'probe-%'")
        self._triggers = dict(cursor.fetchall())
        self._draw = random.Random(7)
        self._data = Stream(1, 1).items()[0].data

    def latencies(self, lanes: Sequence[str], count: int) -> dict[str, list[float]]:
        """Milliseconds of `count` probes of each lane, taken in turn."""
        found: dict[str, list[float]] = {lane: [] for lane in lanes}
        for _ in range(count):
            for lane in lanes:
                time.sleep(self._draw.uniform(0, 2 * PAUSE))
                found[lane].append(self._probe(lane))
        return found

    def _probe(self, lane: str) -> float:
        number = len(self.sent)
        customer = self._first + number % 100
        when = Moments(f"p{number}", datetime.now(UTC))
        item = Item(0, customer, PROBES[lane], self._data)
        whole = client.request(self._product.url, msgspec.json.encode(wire(item, when)), self._product.token)
        status, answer = self._connection.send(whole)
        answered = time.perf_counter()
        if status != 202:
            raise AnswerError(f"a probe was answered with {status}")
        self.sent.append(([item], when))
        wanted = [
            customer + 1,
            self._triggers[f"probe-{lane}"],
            f"e:{msgspec.json.decode(answer)['event_id']}",
        ]
        while True:
            self._cursor.execute(_SEEN, wanted)
            if self._cursor.fetchone()[0]:
                return 1000 * (time.perf_counter() - answered)
            if time.perf_counter() - answered > LONGEST:
                raise StuckError(f"a {lane} event was not decided in {LONGEST:.0f} s")
            time.sleep(TICK)


def measure(session: Session) -> None:
    """Idle, then under a flood."""
    sizes, site = session.sizes, session.site
    customers = sizes.customers
    session.tell("latency: starting")
    product = site.product(
        "latency", triggers=TRIGGERS, customers=customers + 100, workers=LANES, with_probes=True, env={"EMAIL_URL": ""}
    )  # fmt: skip
    product.supervisor.wait_ready()
    try:
        if session.wants("idle_cpu_percent"):
            _idle(session, product)
        if session.wants("latency"):
            with connected(product.database_url) as cursor:
                _latency(session, product, _Prober(product, cursor, customers))
    finally:
        product.stop()


def _latency(session: Session, product: Product, prober: _Prober) -> None:
    sizes = session.sizes
    prober.latencies(["critical", "high"], 5)  # Everything is loaded and connected after these.
    idle = prober.latencies(["critical"], sizes.probes)
    session.tell(f"latency: critical, idle: {_shown(idle['critical'])}")
    job = {
        "url": product.url,
        "token": product.token,
        "database_url": product.database_url,
        "customers": sizes.customers,
        "first": (datetime.now(UTC) - HOUR_BACK).isoformat(),
        "least": sizes.flood[0],
        "most": sizes.flood[1],
    }
    flood = Flood(session.site.base, job)
    try:
        under = prober.latencies(["critical", "high"], sizes.probes)
        sent, fewest, dry = flood.stop()
    except BaseException:
        flood.kill()
        raise
    session.tell(f"latency: critical, under a flood: {_shown(under['critical'])}; fewest waiting {fewest}")
    product.settle([*sent, *prober.sent])
    session.figures.set(
        "latency",
        {
            "critical_idle": _shown(idle["critical"]),
            "critical_under_flood": _shown(under["critical"]),
            "high_under_flood": _shown(under["high"]),
        },
    )
    session.figures.detail["latency"] = {
        "probes_each": sizes.probes,
        "flood_events": sum(len(items) for items, _ in sent),
        "fewest_waiting": fewest,
        "dry_percent": dry,
        "max_ms": {
            "critical_idle": shown(max(idle["critical"])),
            "critical_under_flood": shown(max(under["critical"])),
            "high_under_flood": shown(max(under["high"])),
        },
    }
    if sizes.probes < 500:
        session.figures.note("latency", f"{sizes.probes} probes of each kind instead of 500")
    if dry > 0:
        session.figures.note("latency", f"in {dry:g} % of the time one of the flood's two lanes was empty")


def _shown(values: Sequence[float]) -> dict[str, float]:
    cuts = quantiles(values, n=100, method="inclusive")
    return {"p50_ms": shown(cuts[49]), "p99_ms": shown(cuts[98])}


def _idle(session: Session, product: Product) -> None:
    """Processor time of everything that runs while nothing happens, in percent of one core."""
    if not IS_READABLE:
        session.figures.note("idle_cpu_percent", "needs /proc")
        return
    time.sleep(2.0)  # What starting left to do.
    roots = [process.pid for process in product.supervisor.processes.values()]
    before = cpu_seconds(family(_with_servers(session, roots)))
    started = time.monotonic()
    time.sleep(session.sizes.idle_seconds)
    after = cpu_seconds(family(_with_servers(session, roots)))
    used = sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())
    session.figures.put("idle_cpu_percent", [100 * used / (time.monotonic() - started)])
    session.tell(f"idle: {session.figures.values['idle_cpu_percent']} % of one core")


def _with_servers(session: Session, roots: Iterable[int]) -> list[int]:
    return [*roots, *session.site.server_pids()]


PART = Part("latency", KEYS, measure)
