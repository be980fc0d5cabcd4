"""Process a list of events with ten coroutines in one process, as the article's usage example would at its best.

`python -m benchmarks.article.run <job.json>`: the job holds database_url, redis_url, triggers, events and the
prefix of their customer ids; the answer on stdout is {"seconds", "events", "executions", "rows", "stored"}.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import redis

from benchmarks.article.engine import Engine
from benchmarks.article.schema import EMPTY, SCHEMA

COROUTINES = 10
WARM = 50  # Events before the clock starts: connections are opened, statements prepared.


async def run(job: Mapping[str, Any]) -> dict[str, float]:
    """Process the job's events; the first WARM of them untimed."""
    cache = redis.Redis.from_url(job["redis_url"], decode_responses=True)
    events = [_event(event) for event in job["events"]]
    async with asyncpg.create_pool(job["database_url"], min_size=5, max_size=20, command_timeout=60) as pool:
        await pool.execute(SCHEMA)
        await pool.execute(EMPTY)
        engine = Engine(pool, cache, job["triggers"])
        executed = await _drain(engine, events[:WARM])
        started = time.perf_counter()
        executed += await _drain(engine, events[WARM:])
        seconds = time.perf_counter() - started
        stored = await pool.fetchval("SELECT count(DISTINCT event_id) FROM customer_events")
        rows = await pool.fetchval("SELECT count(*) FROM trigger_executions WHERE status = 'triggered'")
    for key in cache.scan_iter(match=f"*:{job['prefix']}*", count=1000):  # This Redis may belong to somebody.
        cache.delete(key)
    return {
        "seconds": seconds,
        "events": len(events) - WARM,
        "executions": executed,
        "rows": rows,
        "stored": stored,
    }


async def _drain(engine: Engine, events: list[dict[str, Any]]) -> int:
    queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    for event in events:
        queue.put_nowait(event)

    async def work() -> int:
        executed = 0
        while not queue.empty():
            executed += await engine.process(queue.get_nowait())
        return executed

    return sum(await asyncio.gather(*(work() for _ in range(COROUTINES))))


def _event(event: dict[str, Any]) -> dict[str, Any]:
    at = datetime.fromisoformat(event["timestamp"]).astimezone(UTC).replace(tzinfo=None)
    return {**event, "timestamp": at}


def main() -> None:
    """Read the job, print the answer."""
    job = json.loads(Path(sys.argv[1]).read_text())
    print(json.dumps(asyncio.run(run(job))))


if __name__ == "__main__":
    main()
