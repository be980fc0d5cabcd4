"""Real workers, beat and mailbox on the test's own database, to be killed by process id."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis
from django.conf import settings
from django.db import connection

from config.supervisor import Supervisor


def environment(workers: int) -> dict[str, str]:
    """What makes other processes work on this test's database."""
    url = urlsplit(settings.DATABASE_URL or settings.EMBEDDED.database_url)
    return {
        "DATABASE_URL": urlunsplit(url._replace(path=f"/{connection.settings_dict['NAME']}")),
        "REDIS_URL": settings.REDIS_CLIENT_URL,
        "REDIS_PREFIX": settings.REDIS_PREFIX,
        "SECRET_KEY": settings.SECRET_KEY,
        "BECKON_LEASE_SECONDS": "3",
        "BECKON_LANE_SHARERS": str(workers),
    }


class Scene:
    """A running Beckon without a web server; the test ingests by itself."""

    def __init__(self, base: Path, workers: list[str]) -> None:
        self.redis = redis.Redis.from_url(settings.REDIS_CLIENT_URL)
        self.redis.flushall()
        self.supervisor = Supervisor(
            environment(len(workers)),
            base,
            web=False,
            workers=workers,
            beat=True,
            migrate=False,
            restart=False,
        )

    def __enter__(self) -> Scene:
        self.supervisor.start()
        self.supervisor.wait_ready(60)
        return self

    def __exit__(self, *_: object) -> None:
        self.supervisor.stop()

    @property
    def workers(self) -> list[str]:
        return [name for name in self.supervisor.processes if name.startswith("worker")]

    def kill(self, name: str) -> None:
        """kill -9 the worker and its pool, then start it again."""
        process = self.supervisor.processes[name]
        found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False)
        for pid in [process.pid, *map(int, found.stdout.split())]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        process.wait(10)
        self.supervisor.respawn(name)

    def received(self) -> list[dict[str, Any]]:
        """What the mailbox accepted, from its ledger."""
        ledger = self.supervisor.ledger
        if ledger is None or not ledger.exists():
            return []
        return [json.loads(line) for line in ledger.read_text().splitlines() if line.endswith("}")]

    def repeated(self) -> list[str]:
        """Message ids that arrived more than once."""
        counts = Counter(mail["message_id"] for mail in self.received())
        return [message_id for message_id, n in counts.items() if n > 1]


def wait_until(condition: Callable[[], bool], seconds: float) -> float:
    """Wait for `condition`; returns how long it took, fails when it never came true."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > seconds:
            pytest.fail(f"not within {seconds} s")
        time.sleep(0.1)
    return time.monotonic() - started


@pytest.fixture
def scene(transactional_db: None, tmp_path: Path) -> Iterator[Scene]:
    """Two workers that serve all lanes, and beat with a sweep every second."""
    from django_celery_beat.models import IntervalSchedule, PeriodicTask

    second, _ = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
    PeriodicTask.objects.update_or_create(
        name="Sweep: find forgotten work",
        defaults={"task": "automation.tasks.periodic_sweep", "interval": second, "queue": "periodic"},
    )
    with Scene(tmp_path, ["critical,high,medium,low,periodic"] * 2) as running:
        yield running
