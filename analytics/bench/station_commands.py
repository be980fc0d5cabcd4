"""What a station can do. Figures are taken here, beside the code that is measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import msgspec
from django.db import connection

from analytics.bench import accounting, fill
from analytics.bench.install import install
from analytics.bench.reference import Reference
from analytics.bench.workload import Item, Moments, Stream, customer_id, moments
from automation.engine.types import Priority
from automation.models import Trigger
from automation.pipeline import index, process
from automation.pipeline.drain import CLAIM
from automation.pipeline.ingest import Incoming, ingest
from automation.pipeline.publish import publish

BATCH = 500
WORKER = "bench"
_reference: Reference | None = None
_runs = 0


def follow(shape: str, triggers: int) -> None:
    """From here on, what this station decides is compared with a reference."""
    global _reference
    _reference = Reference(shape, triggers)


def reset(customers: int) -> None:
    """Forget all events; `customers` customers are left."""
    global _reference
    assert _reference is not None
    with connection.cursor() as cursor:
        fill.reset(cursor, customers)
    _reference = Reference(_reference.shape, _reference.triggers)


def run(stream: dict[str, Any], accept_only: bool = False) -> dict[str, float]:
    """Accept a stream in batches, then decide it, in this process: seconds of each. Accounts for every event."""
    global _runs
    assert _reference is not None
    _runs += 1
    told = Stream(**{**stream, "names": tuple(map(tuple, stream["names"]))})
    items = told.items()
    when = moments(f"s{_runs}", told.count, datetime.now(UTC))
    arrived = [incoming(item, when) for item in items]
    index.current()
    accepting = _seconds(lambda: accept(arrived))
    if accept_only:
        return {"accept": accepting, "events": len(items)}
    deciding = _seconds(decide)
    with connection.cursor() as cursor:
        accounting.settle(cursor, [(items, when)], _reference)
    return {"accept": accepting, "decide": deciding, "events": len(items), "fired": _reference.fired}


def publish_one(number: int) -> dict[str, float]:
    """Change and publish one trigger: seconds of publishing, and of the next look at the index, which recompiles."""
    trigger = Trigger.objects.order_by("id")[number]
    trigger.description = f"changed {time.time_ns()}"
    trigger.save(update_fields=["description"])
    index.current()
    publishing = _seconds(lambda: publish(trigger, by=None))
    return {"publish": publishing, "stall": _seconds(index.current), "idle": _seconds(index.current)}


def compile_all() -> float:
    """Seconds to compile all triggers, as a process does when it starts."""
    index.forget()
    return _seconds(index.current)


def driver() -> str:
    """The module that speaks to PostgreSQL."""
    return str(connection.Database.__name__)  # type: ignore[attr-defined]


def accept(arrived: Sequence[Incoming]) -> None:
    """Ingest in batches."""
    for start in range(0, len(arrived), BATCH):
        ingest(arrived[start : start + BATCH], source=accounting.SCOPE)


def decide() -> None:
    """Decide until nothing waits, in batches as large as a worker takes them."""
    while any(process.decide_next(lane, limit=CLAIM[lane], worker=WORKER) for lane in Priority):
        pass


def incoming(item: Item, when: Moments) -> Incoming:
    """An event as the API would hand it to the pipeline."""
    data = msgspec.json.encode(item.data)
    now = datetime.now(UTC)
    return Incoming(
        message_id=when.message_id(item.number),
        customer_id=customer_id(item.customer),
        anonymous_id=None,
        name=item.name,
        original_name=item.name,
        data=data,
        context={
            "device": {"type": "desktop", "os": "Windows", "browser": "Chrome"},
            "metadata": {"page_url": "https://example.com/checkout"},
        },
        session_id=f"session_{item.customer % 9973}",
        source="website",
        occurred_at=when.at(item.number),
        received_at=now,
        sent_at=None,
        client_ts="",
        is_late=False,
        is_import=False,
        is_skewed=False,
        body_hash=blake2b(data, digest_size=16).digest(),
    )


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


COMMANDS: dict[str, Callable[..., Any]] = {
    "install": install,
    "follow": follow,
    "reset": reset,
    "run": run,
    "publish": publish_one,
    "compile": compile_all,
    "driver": driver,
}
