"""The parent of the embedded servers of one base folder: `python -m config.keeper <base>`.

Started by config.embedded.Servers, never by hand. It starts PostgreSQL and Redis, restarts one that ends,
and stops both when nobody uses them any more (the exclusive lock on `users` can be had), on SIGTERM, or, by
the kernel's parent-death signal, when it is itself killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import platform
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from config.embedded import NAMES, EmbeddedError, Paths, _lock, is_traversable, paths, server_user

PR_SET_PDEATHSIG = 1
TICK = 0.05  # Seconds between looks at the servers while they start or end.
WATCH_TICK = 0.2  # The same while all is well.
STOP_SECONDS = {"postgres": 12.0, "redis": 4.0}  # Then SIGKILL.
POSTGRES_STOP = signal.SIGINT  # "Fast": sessions are ended, a checkpoint is written.
MIN_SHARED_MEMORY = 512 * 1024 * 1024

# Two cores and a laptop's memory, but safe: a commit is on the disk when it is acknowledged.
POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_compression": "on",
    "max_wal_size": "2GB",
    "min_wal_size": "256MB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_connections": "120",
    "max_locks_per_transaction": "256",  # Partitioned tables: one lock per partition and index.
    "random_page_cost": "1.1",
    "autovacuum_naptime": "15s",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
}
REDIS_SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",  # The append-only file is the one copy on disk.
    "maxmemory-policy": "noeviction",
    "databases": "64",
    "daemonize": "no",
}


class Keeper:
    """Starts, watches and stops the two servers of one base folder."""

    def __init__(self, where: Paths) -> None:
        self.where = where
        self.user = server_user(where.postgres_data)
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.is_ending = threading.Event()
        self._die_with_us = _parent_death_signal()

    def run(self) -> None:
        """Serve until nobody uses the servers, or until SIGTERM. Both have ended when this returns."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self.is_ending.set())
        self._make_folders()
        binaries = self._binaries()
        self._clear_remains()
        commands = self._commands(binaries)
        try:
            if not self.where.postgres_data.exists():
                self._initialise(binaries["postgres"].parent)
            threading.Thread(target=self._await_end_of_use, daemon=True).start()
            self._watch(commands)
        finally:
            self._stop()

    def _watch(self, commands: dict[str, list[str]]) -> None:
        """Keep both servers running; publish their process ids while both answer."""
        published: dict[str, int] = {}
        failures = 0
        while not self.is_ending.is_set():
            for name in NAMES:
                if self._is_up(name) or self.where.held_down(name).exists():
                    continue
                if name in self.running:
                    # After a crash the next start may have to wait for orphans of the last one to end.
                    failures += 1
                    if not published and failures > 40:
                        raise EmbeddedError(f"{name} ends at once; see {self.where.logs / name}.log")
                    time.sleep(min(TICK * failures, 2.0))
                self.running[name] = self._spawn(name, commands[name])
            pids = {"keeper": os.getpid()}
            pids |= {name: self.running[name].pid for name in NAMES if self._is_up(name) and self._answers(name)}
            if pids != published and ("postgres" in pids or "redis" in pids) or published and pids != published:
                self._publish(pids, complete=len(pids) == 1 + len(NAMES) or bool(published))
                if len(pids) == 1 + len(NAMES):
                    published, failures = pids, 0
            self.is_ending.wait(WATCH_TICK if pids == published else TICK / 5)

    def _publish(self, pids: dict[str, int], *, complete: bool) -> None:
        if complete:
            draft = self.where.ready.with_suffix(".new")
            draft.write_text(json.dumps(pids))
            draft.replace(self.where.ready)
