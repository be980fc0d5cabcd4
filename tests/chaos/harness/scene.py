"""A running Beckon to be hurt: its processes, its database, its mailbox."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import psycopg2
import pytest
import redis

from config.children import Child
from config.programs import ALL_LANES, Program
from config.programs import web as web_program
from config.programs import workers as worker_programs
from config.servers import Servers
from config.supervisor import Supervisor, listen
from tests.chaos.harness.shop import Shop

FIRST_PORT = 18_100


class Scene:
    """Web, workers, beat and mailbox on a database of their own. What ends stays down until `revive`."""

    def __init__(
        self,
        servers: Servers,
        database_url: str,
        folder: Path,
        *,
        workers: Sequence[str] = (ALL_LANES, ALL_LANES),
        web: bool = True,
        beat: bool = True,
        env: Mapping[str, str] | None = None,
        restart: bool = False,
    ) -> None:
        self.servers = servers
        self.database_url = database_url
        self.env = {
            "DATABASE_URL": database_url,
            "REDIS_URL": servers.redis_url,
            "SECRET_KEY": "only-for-the-chaos-tests-" * 3,
            "PUBLIC_URL": "http://127.0.0.1",
            "ALLOWED_HOSTS": "127.0.0.1",
            "EMAIL_URL": "",
            "REDIS_PREFIX": "chaos:",
            "BECKON_LEASE_SECONDS": "3",
            "BECKON_SWEEP_SECONDS": "1",
            "BECKON_LANE_SHARERS": str(max(1, len(workers))),
            "BECKON_WEBHOOK_ALLOW_LOOPBACK": "true",
            "BECKON_WEBHOOK_SECRET": "whsec_" + base64.b64encode(b"only-for-the-chaos-tests").decode(),
            **(env or {}),
        }
        self.redis = redis.Redis.from_url(servers.redis_url)
        with contextlib.suppress(redis.RedisError):
            self.redis.flushall()
        self.folder = folder
        self.supervisor = Supervisor(
            self.env,
            folder,
            web=web,
            workers=workers,
            beat=beat,
            migrate=False,
            restart=restart,
            port=FIRST_PORT,
            web_workers=2,
        )
        self._extra: list[Child] = []
        self._key = ""
        self._shops: list[Shop] = []
        self._listeners: list[socket.socket] = []

    def open(self) -> Self:
        """Start everything and wait until it is ready."""
        self.supervisor.start()
        self.supervisor.wait_ready(90)
        return self

    def close(self) -> None:
        """End everything that was started."""
        for shop in self._shops:
            shop.close()
        for child in self._extra:
            child.kill()
        for listener in self._listeners:
            listener.close()
        self.supervisor.stop(at_once=True)
        self.redis.close()

    # Preparing and feeding it.

    def manage(self, *arguments: str) -> str:
        """Run `manage.py`; the lease of a scene is too short for the product's own checks."""
        return self.supervisor.manage(*arguments, "--skip-checks")

    def run(self, code: str) -> str:
        """Run Python in the product's own shell; returns what it printed."""
        return self.supervisor.manage("shell", "--verbosity=0", "-c", code)

    def shop(self) -> Shop:
        """A shop; all shops of a scene share one key."""
        self._key = self._key or json.loads(self.manage("create_key", "shop", "--json"))["key"]
        self._shops.append(Shop(self.supervisor.url, self._key))
        return self._shops[-1]

    def introduce(self, count: int, *, prefix: str = "c") -> None:
        """Customers c0, c1 … with an address and a consent, already decided."""
        shop = self.shop()
        shop.introduce([f"{prefix}{n}" for n in range(count)])
        self.wait_until(lambda: self.value("SELECT count(*) FROM automation_queuedevent") == 0, 120)

    # Looking at it.

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of its database; `values` in order, or one mapping. Waits while PostgreSQL is coming back."""
        deadline = time.monotonic() + 30
        while True:
            try:
                connection = psycopg2.connect(self.database_url, connect_timeout=3)
                try:
                    with connection, connection.cursor() as cursor:
                        named = len(values) == 1 and isinstance(values[0], Mapping)
                        cursor.execute(query, values[0] if named else values or None)
                        return cursor.fetchall()
                finally:
                    connection.close()
            except psycopg2.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def value(self, query: str, *values: Any) -> Any:
        """The first column of the first row."""
        return self.rows(query, *values)[0][0]

    def statuses(self, table: str) -> Counter[str]:
        """How many rows of a table have each status."""
        return Counter(dict(self.rows(f"SELECT status, count(*) FROM {table} GROUP BY 1")))

    def received(self) -> list[dict[str, Any]]:
        """What the mailbox accepted, from its ledger."""
        ledger = self.supervisor.ledger
        if ledger is None or not ledger.exists():
            return []
        return [json.loads(line) for line in ledger.read_text().splitlines() if line.endswith("}")]

    def said(self, name: str) -> str:
        """Everything a child has printed."""
        log = self.supervisor.paths.logs / f"{name}.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def is_settled(self, executions: int) -> bool:
        """Every event is decided, `executions` decisions are there, and nothing is left to deliver."""
        waiting, made, open_ = self.rows(
            "SELECT (SELECT count(*) FROM automation_queuedevent), (SELECT count(*) FROM automation_execution),"
            " (SELECT count(*) FROM automation_delivery WHERE status IN ('pending', 'sending'))"
        )[0]
        return waiting == 0 and made >= executions and open_ == 0

    def settle(self, executions: int, seconds: float) -> int:
        """Wait until all is decided and delivered; returns how many events came out of quarantine for it.

        An event in whose batches two workers were killed is held, whoever was to blame (R-020): after a storm of
        kills somebody replays what is held, as we do here.
        """
        replayed = 0
        deadline = time.monotonic() + seconds
        while True:
            self.wait_until(lambda: self.is_settled(0), deadline - time.monotonic(), "decided and delivered")
            held = self.value("SELECT count(*) FROM automation_quarantinedevent WHERE state = 'held'")
            if held:
                self.manage("quarantine", "--replay")
                replayed += held
            elif self.is_settled(executions):
                return replayed
            elif time.monotonic() > deadline:
                pytest.fail(f"not settled within {seconds} s: {self.state()}")

    def wait_until(self, condition: Callable[[], bool], seconds: float, what: str = "") -> float:
        """Wait for `condition`; returns how long it took, fails the test when it never came true."""
        started = time.monotonic()
        while not condition():
            if time.monotonic() - started > seconds:
                pytest.fail(f"not within {seconds} s: {what or 'the condition'}; {self.state()}")
            time.sleep(0.05)
        return time.monotonic() - started

    def state(self) -> str:
        """A line on where everything is, for failures."""
        return (
            f"queued {self.value('SELECT count(*) FROM automation_queuedevent')},"
            f" executions {dict(self.statuses('automation_execution'))},"
            f" deliveries {dict(self.statuses('automation_delivery'))},"
            f" quarantined {self.value('SELECT count(*) FROM automation_quarantinedevent')},"
            f" errors {self.rows('SELECT error, count(*) FROM automation_delivery GROUP BY 1 LIMIT 3')}"
        )

    # Hurting it.

    @property
    def workers(self) -> list[str]:
        """Names of the workers."""
        return [name for name in self.supervisor.children if name.startswith("worker")]

    def ready_workers(self) -> list[str]:
        """Names of those that work at the moment; waits until there is one."""
        self.wait_until(lambda: any(self.supervisor.children[name].is_ready for name in self.workers), 60)
        return [name for name in self.workers if self.supervisor.children[name].is_ready]

    def pid(self, name: str) -> int:
        """The process id of a child."""
        return self.supervisor.processes[name].pid

    def pool_of(self, name: str) -> list[int]:
        """Process ids of a worker's pool, or of the web server's workers."""
        found = subprocess.run(
            ["pgrep", "-P", str(self.pid(name))], capture_output=True, text=True, check=False
        )
        return [int(pid) for pid in found.stdout.split()]

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a child and its pool."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid(name), number)

    def kill(self, name: str) -> None:
        """kill -9 of a child and its pool."""
        self.signal(name, signal.SIGKILL)
        self.supervisor.processes[name].wait(10)

    def revive(self, name: str, *, wait: bool = True) -> None:
        """Start a child again."""
        if wait:
            self.supervisor.respawn(name)
        else:
            self.supervisor.replace(name)

    def armed_worker(self, fault: str, *, queues: str = ALL_LANES) -> Child:
        """One more worker, with a fault armed ("" for none); it is not restarted."""
        program = worker_programs([queues])[0]
        number = len(self._extra) + 1
        arguments = tuple(a.replace("worker@%h", f"armed{number}@%h") for a in program.arguments)
        child = Child(
            type(program)(f"armed-{number}", program.stage, arguments, program.ready_pattern),
            lambda name, line: None,
            self.supervisor.paths.logs / f"armed-{number}.log",
        )
        child.start({**self.supervisor.env, "BECKON_FAULT": fault})
        self._extra.append(child)
        return child

    def another(self, program: Program, **env: str) -> Child:
        """One more process of a program, under a name of its own; it is not restarted."""
        name = f"{program.name}-more-{len(self._extra) + 1}"
        child = Child(
            replace(program, name=name), lambda _, line: None, self.supervisor.paths.logs / f"{name}.log"
        )
        child.start({**self.supervisor.env, **env})
        self._extra.append(child)
        return child

    def armed_web(self, fault: str) -> tuple[Child, str]:
        """One more web server of one process, with a fault armed, when it answers; and its URL."""
        listener = listen("127.0.0.1", FIRST_PORT)
        self._listeners.append(listener)
        program = web_program(listener, 1, 4)
        child = self.another(program, BECKON_FAULT=fault)
        self.wait_until(program.answers, 60, "the armed web server answers")
        return child, f"http://127.0.0.1:{listener.getsockname()[1]}"

    @property
    def http_port(self) -> int:
        """Where its web server listens."""
        return urlsplit(self.supervisor.url).port or 80
