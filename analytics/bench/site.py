"""Where a run takes place: servers, databases, processes. Everything it starts ends with it."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from analytics.bench import fill
from analytics.bench.databases import TEMPLATE, Databases, connected
from analytics.bench.product import EVERY_LANE, Product
from analytics.bench.reference import Reference
from analytics.bench.station import Station

PROJECT = Path(__file__).resolve().parents[2]
FIRST_PORT = 18_000
REDIS_PREFIX = "beckon-bench-"
# Nobody sleeps in the benchmark, and nothing is mailed: the actions wait a day.
QUIET = {"BECKON_QUIET_START": "00:00", "BECKON_QUIET_END": "00:00", "EMAIL_URL": "smtp://127.0.0.1:9"}


@dataclass(slots=True)
class Site:
    """One run's place. `supervisor` makes a config.supervisor.Supervisor."""

    base: Path
    database_url: str
    redis_url: str
    broker_url: str
    supervisor: Callable[..., Any]
    server_pids: Callable[[], list[int]] = list  # PostgreSQL, Redis and their keeper, when they are ours.
    databases: Databases = field(init=False)
    _secret: str = field(init=False, default_factory=lambda: secrets.token_urlsafe(50))
    _tokens: dict[str, str] = field(init=False, default_factory=dict)
    _open: ExitStack = field(init=False, default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.databases = Databases(self.database_url)

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *details: object) -> None:
        """Processes first, then the databases and the keys in Redis: the servers may be somebody's."""
        self._open.close()
        self.databases.drop_all()
        client = redis.Redis.from_url(self.redis_url)
        for key in client.scan_iter(match=f"{REDIS_PREFIX}*", count=1000):
            client.delete(key)
        client.close()

    def env(self, name: str) -> dict[str, str]:
        """The environment of a process that works on the database `name`."""
        return {
            "DATABASE_URL": self.databases.url(name),
            "REDIS_URL": self.redis_url,
            "REDIS_PREFIX": f"{REDIS_PREFIX}{name}:",
            "BECKON_HOME": str(self.base),
            "SECRET_KEY": self._secret,
            **QUIET,
        }

    def migrate(self) -> None:
        """Make the template that all databases are copied from."""
        self.databases.create(TEMPLATE)
        manage = [sys.executable, str(PROJECT / "manage.py"), "migrate", "--no-input", "--verbosity=0"]
        subprocess.run(manage, env={**os.environ, **self.env(TEMPLATE)}, cwd=PROJECT, check=True)

    def until_the_end(self, close: Callable[[], object]) -> None:
        """Call `close` when the run ends, however it ends."""
        self._open.callback(close)

    def installed(self, shape: str, triggers: int, *, with_probes: bool = False) -> tuple[str, str]:
        """(a database with these triggers to copy from, the token of a key in it); made once."""
        name = f"{shape}_{triggers}{'_probes' if with_probes else ''}"
        if name not in self._tokens:
            self.databases.create(name, template=TEMPLATE)
            station = Station(name, self.env(name))
            try:
                self._tokens[name] = station.ask(
                    "install", shape=shape, triggers=triggers, with_probes=with_probes
                )
            finally:
                station.close()
        return name, self._tokens[name]

    def station(self, name: str, *, shape: str, triggers: int) -> Station:
        """A process with a database and triggers of its own, without customers."""
        template, _ = self.installed(shape, triggers)
        self.databases.create(name, template=template)
        station = Station(name, self.env(name))
        self.until_the_end(station.close)
        station.ask("follow", shape=shape, triggers=triggers)
        return station

    def product(
        self,
        name: str,
        *,
        triggers: int,
        customers: int,
        workers: tuple[str, ...] = (EVERY_LANE, EVERY_LANE),
        beat: bool = True,
        with_probes: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> Product:
        """A Beckon with a database of its own, started and not yet awaited."""
        template, token = self.installed("spread", triggers, with_probes=with_probes)
        url = self.databases.create(name, template=template)
        with connected(url) as cursor:
            fill.reset(cursor, customers)
        supervisor = self.supervisor(
            {**self.env(name), **(env or {})},
            base=self.base / name,
            workers=workers,
            beat=beat,
            port=FIRST_PORT + 20 * len(self.databases.names),
            migrate=False,
        )
        supervisor.start()
        self.until_the_end(supervisor.stop)
        return Product(supervisor, url, token, Reference("spread", triggers))
