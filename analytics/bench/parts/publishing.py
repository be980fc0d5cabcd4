"""How long a worker stands still when one of many triggers is published."""

from __future__ import annotations

from analytics.bench.parts.base import Part, Session


def measure(session: Session) -> None:
    """Publish one trigger after another; the stall is the worker's next look at the index."""
    count = session.sizes.trigger_counts[-1]
    session.tell(f"publishing: preparing {count:,} triggers")
    station = session.site.station("publish", shape="spread", triggers=count)
    compiling = station.ask("compile")
    found = [
        station.ask("publish", number=index * 7 % count) for index in range(session.sizes.repetitions + 2)
    ]
    station.close()
    session.figures.put(
        "publish_stall_ms",
        [1000 * one["stall"] for one in found],
        publish_ms=1000 * max(one["publish"] for one in found),
        compile_all_ms=1000 * compiling,
        look_ms=1000 * min(one["idle"] for one in found),
    )
    if count != 10_000:
        session.figures.note("publish_stall_ms", f"{count:,} instead of 10,000 triggers")


PART = Part("publishing", ("publish_stall_ms",), measure)
