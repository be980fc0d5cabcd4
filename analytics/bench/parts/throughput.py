"""Events per second over HTTP: the product beside the floor and the naive peer."""

from __future__ import annotations

from collections.abc import Callable

from analytics.bench.parts.base import Part, Session
from analytics.bench.peers import Floor, Naive
from analytics.bench.processes import IS_READABLE, PeakWatch
from analytics.bench.product import EVERY_LANE, Product
from analytics.bench.workload import Stream

TRIGGERS = 100
BATCH = 500
ACCEPT_BATCH = 100
NAIVE_PORT = 18_900
KEYS = (
    "floor_events_per_s",
    "end_to_end_events_per_s",
    "end_to_end_of_floor",
    "accept_events_per_s",
    "accept_of_floor",
    "single_event_accept_of_noop",
    "naive_events_per_s",
    "speedup_over_naive",
    "speedup_over_naive_single",
    "workers",
    "worker_peak_mb",
    "web_peak_mb",
)
_OF_FLOOR = ("floor_events_per_s", "end_to_end_of_floor", "accept_of_floor")
_OF_NAIVE = ("naive_events_per_s", "speedup_over_naive", "speedup_over_naive_single")
_ACCEPTING = ("accept_events_per_s", "accept_of_floor", "single_event_accept_of_noop")


class _Hall:
    """What runs side by side, and the contestants made of it."""

    def __init__(self, session: Session) -> None:
        self.session, self.sizes, self.site = session, session.sizes, session.site
        customers = self.sizes.customers
        self.main = self.site.product("shop", triggers=TRIGGERS, customers=customers)
        self.products = [self.main]
        self.accepting: Product | None = None
        self.alone: Product | None = None
        self.naive: Naive | None = None
        if session.wants(*_ACCEPTING):
            self.accepting = self.site.product(
                "accept", triggers=TRIGGERS, customers=customers, workers=(), beat=False,
                env={"DJANGO_SETTINGS_MODULE": "benchmarks.noop_settings"},
            )  # fmt: skip
            self.products.append(self.accepting)
        if session.wants("workers"):
            self.alone = self.site.product(
                "alone", triggers=TRIGGERS, customers=customers, workers=(EVERY_LANE,)
            )
            self.products.append(self.alone)
        if session.wants(*_OF_NAIVE):
            self.naive = Naive(self.site, triggers=TRIGGERS, customers=customers, port=NAIVE_PORT)
        for product in self.products:
            product.supervisor.wait_ready()
        if self.naive:
            self.naive.wait_ready()
        self.decided = 0
        self.floor: Floor | None = None

    def end_to_end(self, product: Product, events: int, size: int) -> float:
        """Post, decide, commit; the table begins empty."""
        product.reset(self.sizes.customers)
        run = product.run(Stream(events, self.sizes.customers), size)
        self.decided += run.events if product is self.main else 0
        return run.rate

    def accept(self, product: Product, events: int, size: int) -> float:
        """Post only; no worker runs."""
        product.forget_events()
        run = product.run(Stream(events, self.sizes.customers), size, decide=False)
        return run.events / run.accepted_in

    def contestants(self) -> list[tuple[str, Callable[[], float]]]:
        """Name and one timed run of each; the product first, because the floor copies its rows."""
        sizes, main = self.sizes, self.main
        found: list[tuple[str, Callable[[], float]]] = [
            ("end to end", lambda: self.end_to_end(main, sizes.events, BATCH))
        ]
        if self.session.wants(*_OF_FLOOR):
            found.append(("floor", self._floor))
        if naive := self.naive:
            stream = Stream(sizes.naive_events, sizes.customers)
            found.append(("naive", lambda: naive.run(stream)))
            found.append(("end to end, single", lambda: self.end_to_end(main, sizes.single_events, 1)))
        if accepting := self.accepting:
            found += [
                ("accept", lambda: self.accept(accepting, sizes.accept_events, ACCEPT_BATCH)),
                ("accept, single", lambda: self.accept(accepting, sizes.single_events, 1)),
                ("no-op view", lambda: accepting.noop(sizes.single_events)),
            ]
        if alone := self.alone:
            found.append(("one worker", lambda: self.end_to_end(alone, sizes.events, BATCH)))
        return found

    def _floor(self) -> float:
        if self.floor is None:
            self.floor = Floor(self.site, "shop", BATCH)
        return self.floor.run()

    def watch(self) -> PeakWatch:
        """The memory of the product's processes."""
        groups = {"worker": lambda: self.main.pids("worker"), "web": self._web}
        return PeakWatch(lambda: {name: pids() for name, pids in groups.items()})

    def _web(self) -> list[int]:
        return [pid for product in self.products for pid in product.pids("web")]

    def stop(self) -> None:
        """Leave the cores to the next part."""
        for product in self.products:
            product.stop()
        if self.naive:
            self.naive.stop()


def measure(session: Session) -> None:
    """All contestants in turn."""
    hall = _Hall(session)
    try:
        watch = hall.watch()
        watch.start()
        rates = session.turns(hall.contestants())
        if session.wants("worker_peak_mb") and (missing := session.sizes.worker_events - hall.decided) > 0:
            session.tell(f"worker's memory: {missing:,} events more")
            hall.end_to_end(hall.main, missing, BATCH)
        peaks = watch.stop()
    finally:
        hall.stop()
    _report(session, rates, peaks, hall.decided)


def _report(session: Session, rates: dict[str, list[float]], peaks: dict[str, float], decided: int) -> None:
    figures = session.figures

    def put(key: str, name: str) -> None:
        figures.put(key, rates[name], cold=rates[f"{name} (cold)"][0])

    put("end_to_end_events_per_s", "end to end")
    for key, name in (
        ("floor_events_per_s", "floor"),
        ("naive_events_per_s", "naive"),
        ("accept_events_per_s", "accept"),
    ):
        if name in rates:
            put(key, name)
    pairs = (
        ("end_to_end_of_floor", "end to end", "floor"),
        ("accept_of_floor", "accept", "floor"),
        ("single_event_accept_of_noop", "accept, single", "no-op view"),
        ("speedup_over_naive", "end to end", "naive"),
        ("speedup_over_naive_single", "end to end, single", "naive"),
    )
    for key, above, below in pairs:
        if above in rates and below in rates:
            figures.put_ratio(key, rates[above], rates[below])
    if "one worker" in rates:
        figures.put_each("workers", {"1": rates["one worker"], "2": rates["end to end"]})
    if not IS_READABLE:
        figures.note("worker_peak_mb", "needs /proc")
        figures.note("web_peak_mb", "needs /proc")
        return
    figures.put("worker_peak_mb", [peaks["worker"]], events=decided)
    figures.put("web_peak_mb", [peaks["web"]])
    if decided < 300_000:
        figures.note("worker_peak_mb", f"over {decided:,} events instead of 300,000")


PART = Part("throughput", KEYS, measure)
