"""A whole running Beckon as child processes: servers, mailbox, web, workers, beat.

One thread starts the children, restarts those that end, and stops them: the kernel ties a child's life to the
thread that started it (config/parent_death.py).
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Self

from config import programs
from config.children import Child, Log
from config.embedded import PROJECT, EmbeddedError, default_base, paths
from config.programs import ALL_LANES, CRITICAL_LANES, Program
from config.servers import Servers, keeper_lives, prepare

TICK = 0.05
STOP_SECONDS = 25.0  # For everything but the embedded servers; then SIGKILL.
STAGE_RESERVE = 2.0  # Of these, kept for each stage that has yet to stop.
KEEPER_CHECK_SECONDS = 2.0
FAILED_STARTS = 3
FIRST_MAIL_PORT = 1025
PORTS_TRIED = 100
BACKLOG = 1024


class SupervisorError(RuntimeError):
    """Beckon did not start; the message holds the last lines of what did not."""


class Supervisor:
    """Starts Beckon and keeps it running until `stop()`.

    `settings_env` goes over the environment of this process. With DATABASE_URL and REDIS_URL in it those
    servers are used, else the embedded ones of `base`; without EMAIL_URL a local mailbox is started, whose
    ledger is `ledger`. `workers` has an entry per Celery worker: the lanes it serves. With `restart=False` a
    child that ended stays down until `respawn`.
    """

    def __init__(
        self,
        settings_env: Mapping[str, str] | None = None,
        base: Path | None = None,
        web: bool = True,
        workers: Sequence[str] = (CRITICAL_LANES, ALL_LANES),
        beat: bool = True,
        *,
        host: str = "127.0.0.1",
        port: int = 8000,
        web_workers: int = 2,
        web_threads: int = 8,
        migrate: bool = True,
        restart: bool = True,
        log: Log = lambda name, line: None,
    ) -> None:
        self.env = {**os.environ, **(settings_env or {}), "PYTHONUNBUFFERED": "1"}
        self.paths = paths(base or default_base(self.env))
        self.env["BECKON_HOME"] = str(self.paths.base)
        self.servers: Servers | None = None
        if not (self.env.get("DATABASE_URL") and self.env.get("REDIS_URL")):
            self.servers = Servers(self.paths.base)
        self.port = port
        self.ledger: Path | None = None
        self._migrate = migrate
        self._restart = restart
        self._ending = threading.Event()
        self._at_once = False
        self._thread: threading.Thread | None = None
        self._due: dict[str, float] = {}  # When each child that ended is to be started again (monotonic).
        self._wanted: set[str] = set()  # Children to be replaced at once.

        # We listen and the children inherit it: nobody takes the port in between, and who connects while a
        # child starts anew waits instead of being refused.
        self._listeners: list[socket.socket] = []
        chosen: list[Program] = []
        if not self.env.get("EMAIL_URL"):
            listener = self._listen("127.0.0.1", FIRST_MAIL_PORT)
            self.env["EMAIL_URL"] = f"smtp://127.0.0.1:{listener.getsockname()[1]}"
            self.env["BECKON_LOCAL_MAILBOX"] = "true"
            self.ledger = self.paths.mail / "ledger.jsonl"
            chosen.append(programs.mailbox(listener, self.ledger))
        if web:
            listener = self._listen(host, port)
            self.port = listener.getsockname()[1]
            chosen.append(programs.web(listener, web_workers, web_threads))
        self.url = f"http://{host}:{self.port}"
        self.env.setdefault("PUBLIC_URL", self.url)
        chosen += programs.workers(workers)
        if beat:
            chosen.append(programs.beat())
        self.children = {
            program.name: Child(program, log, self.paths.logs / f"{program.name}.log") for program in chosen
        }

    @property
    def processes(self) -> dict[str, subprocess.Popen[str]]:
        """The present process of each child that has been started, by name."""
        return {name: child.process for name, child in self.children.items() if child.process}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start or join the servers, migrate the database, start the children; does not wait for those."""
        prepare(self.paths)
        try:
            if self.servers:
                self.servers.start()
            if self._migrate:
                self.manage("migrate", "--no-input", "--verbosity=0")
        except BaseException:
            self.stop()
            raise
        self._ending.clear()
        self._thread = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
        self._thread.start()

    def manage(self, *arguments: str) -> str:
        """Run `manage.py` with these arguments in our environment and return what it printed."""
        done = subprocess.run(
            [sys.executable, str(PROJECT / "manage.py"), *arguments],
            cwd=PROJECT,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SupervisorError(f"manage.py {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def wait_ready(self, timeout: float = 60.0, ended: threading.Event | None = None) -> bool:
        """Wait until every child is ready; False if `ended` was set before.

        Raises SupervisorError if one is late or keeps ending.
        """
        deadline = time.monotonic() + timeout
        while waiting := [child for child in self.children.values() if not child.is_ready]:
            if ended is not None and ended.is_set():
                return False
            for child in waiting:
                if child.is_running and child.program.answers():
                    child.note_ready()
                elif child.failures >= FAILED_STARTS or time.monotonic() > deadline:
                    tail = "\n".join(child.tail)
                    raise SupervisorError(f"{child.program.name} does not get ready. It said last:\n{tail}")
            time.sleep(TICK)
        return True

    def respawn(self, name: str, timeout: float = 60.0) -> None:
        """Replace the child's process by a new one (SIGKILL if it runs) and wait until all are ready."""
        before = self.children[name].starts
        self.replace(name)
        deadline = time.monotonic() + timeout
        while self.children[name].starts == before and time.monotonic() < deadline:
            time.sleep(TICK)
        self.wait_ready(deadline - time.monotonic())

    def replace(self, name: str) -> None:
        """The same without waiting."""
        self._wanted.add(name)

    def stop(self, *, at_once: bool = False) -> None:
        """Stop everything, the last started first; SIGKILL what runs after 25 s. Nothing runs on.

        `at_once`: nobody is asked, as when a machine is switched off.
        """
        self._at_once = at_once
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        for listener in self._listeners:
            listener.close()
        if self.servers:
            self.servers.stop()

    def _supervise(self) -> None:
        try:
            next_check = 0.0
            while not self._ending.is_set():
                for name, child in self.children.items():
                    self._look_after(name, child)
                if self.servers and time.monotonic() > next_check:
                    self._look_after_servers(self.servers)
                    next_check = time.monotonic() + KEEPER_CHECK_SECONDS
                self._ending.wait(TICK)
        finally:
            self._stop_children()

    def _look_after(self, name: str, child: Child) -> None:
        if name in self._wanted:
            child.kill()
            child.failures = 0
            child.start(self.env)
            self._due.pop(name, None)
            self._wanted.discard(name)
        elif child.is_running:
            return
        elif child.process is None:
            child.start(self.env)
        elif name not in self._due:
            self._due[name] = time.monotonic() + child.note_end()
        elif self._restart and time.monotonic() >= self._due[name]:
            del self._due[name]
            child.start(self.env)

    def _listen(self, host: str, first: int) -> socket.socket:
        self._listeners.append(listen(host, first))
        return self._listeners[-1]

    def _look_after_servers(self, servers: Servers) -> None:
        """The keeper restarts the servers; if it was killed itself, we start another."""
        if keeper_lives(servers.paths):
            return
        try:
            servers.start()
        except EmbeddedError as error:  # Tried again at the next check; the children wait for the database.
            for line in str(error).splitlines():
                next(iter(self.children.values())).say(line)

    def _stop_children(self) -> None:
        if self._at_once:
            for child in self.children.values():
                child.kill()
            return
        last_first = sorted(self.children.values(), key=lambda child: -child.program.stage)
        stages = [list(members) for _, members in groupby(last_first, key=lambda child: child.program.stage)]
        deadline = time.monotonic() + STOP_SECONDS
        for left, members in zip(reversed(range(len(stages))), stages, strict=True):
            for child in members:
                child.ask_to_end()
            for child in members:
                child.await_end(deadline - left * STAGE_RESERVE)


def listen(host: str, first: int) -> socket.socket:
    """Listen on the first port from `first` on that nobody listens on."""
    for port in range(first, first + PORTS_TRIED):
        with contextlib.suppress(OSError):
            return socket.create_server((host, port), backlog=BACKLOG)
    raise SupervisorError(f"No free port from {first} to {first + PORTS_TRIED - 1}.")
