"""Start the embedded servers of a base folder, or join the ones that already run.

Who keeps them alive: one keeper process (config/keeper.py) per base folder is their parent. Every user holds
a shared `flock` on the file `users`; the keeper waits for the exclusive one. The kernel drops a lock when its
holder ends, however it ends, so after a `kill -9` of the last user the keeper stops the servers.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from config.embedded import NAMES, PROJECT, EmbeddedError, Paths, default_base, paths

START_TIMEOUT = 60.0  # Seconds; a first start copies files and runs initdb, about one second on two cores.
STOP_TIMEOUT = 20.0
STARTS_ITS_OWN = {"up", "services", "demo", "bench"}
NEEDS_NONE = {"", "help", "version", "check", "collectstatic", "findstatic", "diffsettings", "spectacular"}
_KEEPERS: dict[Path, subprocess.Popen[bytes]] = {}  # Started by this process; they may outlive `Servers`.


class Servers:
    """The embedded PostgreSQL and Redis of one base folder, started or joined.

    `start()` returns when both answer. `stop()` gives them up: they end when nobody uses them any more, and
    it returns after they have ended. A context manager does both.
    """

    def __init__(self, base: Path | None = None) -> None:
        self.paths = paths(base)
        self._users: int | None = None  # Descriptor that holds the shared lock.

    @property
    def database_url(self) -> str:
        """URL of the database `beckon` and its superuser; the socket's folder is closed to other users."""
        return self.paths.database_url

    @property
    def redis_url(self) -> str:
        """URL of Redis database 0 for redis-py."""
        return self.paths.redis_url

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, timeout: float = START_TIMEOUT) -> Self:
        """Start the servers, or join those that run. Raises EmbeddedError with the end of the log."""
        prepare_servers(self.paths)
        # Blocks only while a keeper that nobody used any more is stopping: it holds the exclusive lock.
        self._users = self._users or lock(self.paths.state / "users", fcntl.LOCK_SH)
        try:
            with _locked(self.paths.state / "start"):  # Of several at once, one spawns a keeper.
                self._await_keeper(time.monotonic() + timeout)
        except BaseException:
            self._let_go()
            raise
        return self

    def _await_keeper(self, deadline: float) -> None:
        keeper: subprocess.Popen[bytes] | None = None
        while not (keeper_lives(self.paths) and self._is_complete()):
            if keeper is None and not keeper_lives(self.paths):
                self.paths.ready.unlink(missing_ok=True)  # Left by a keeper that was killed.
                keeper = self._spawn()
            if keeper is not None and keeper.poll() is not None:
                raise EmbeddedError(self._explain("The embedded servers did not start."))
            if time.monotonic() > deadline:
                raise EmbeddedError(self._explain("The embedded servers did not answer in time."))
            time.sleep(0.01)

    def _is_complete(self) -> bool:
        """Whether every server answers that is not held down."""
        pids = self.pids()
        return "keeper" in pids and all(name in pids or self.paths.held_down(name).exists() for name in NAMES)

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """Give the servers up. If nobody else uses them, return after both have ended."""
        if self._users is None:
            return
        self._let_go()
        deadline = time.monotonic() + timeout
        shared_since = None
        while keeper_lives(self.paths) and time.monotonic() < deadline and not self.paths.pinned.exists():
            # A shared lock can be had while others share it, never while the keeper is stopping the servers.
            if _can_share(self.paths.state / "users"):
                shared_since = shared_since or time.monotonic()
                if time.monotonic() - shared_since > 0.5:
                    return
            else:
                shared_since = None
            time.sleep(0.02)
        if not keeper_lives(self.paths) and (keeper := _KEEPERS.pop(self.paths.state, None)):
            keeper.wait(timeout)

    def pids(self) -> dict[str, int]:
        """Process ids by name: `keeper`, `postgres`, `redis`; empty while the servers are not ready."""
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            found: dict[str, int] = json.loads(self.paths.ready.read_text())
            return found
        return {}

    # What a test of crashes needs. The keeper restarts a server that ended unless it is held down.

    def kill(self, name: str, *, stay_down: bool = False) -> None:
        """SIGKILL the server. It comes back by itself, or with `stay_down` not before `bring_up`."""
        if stay_down:
            self.paths.held_down(name).touch()
        os.kill(self.pids()[name], signal.SIGKILL)

    def kill_postgres(self) -> None:
        """SIGKILL PostgreSQL and wait until the new one answers."""
        self._replace("postgres")

    def restart_redis(self) -> None:
        """SIGKILL Redis and wait until the new one answers; what its append-only file holds is kept."""
        self._replace("redis")

    def bring_up(self, name: str, timeout: float = START_TIMEOUT) -> None:
        """Let a server that was held down start again, and wait until both answer."""
        self.paths.held_down(name).unlink(missing_ok=True)
        self._wait(lambda: name in self.pids(), timeout)

    def freeze(self, name: str) -> None:
        """SIGSTOP the server's main process: it accepts connections and answers nothing (Redis)."""
        os.kill(self.pids()[name], signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Undo `freeze`."""
        os.kill(self.pids()[name], signal.SIGCONT)

    def _replace(self, name: str) -> None:
        before = self.pids()[name]
        self.kill(name)
        self._wait(lambda: self.pids().get(name, before) != before, START_TIMEOUT)

    def _wait(self, condition: Callable[[], bool], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise EmbeddedError(self._explain(f"The embedded servers were not back in {timeout:.0f} s."))
            time.sleep(0.01)

    def _spawn(self) -> subprocess.Popen[bytes]:
        """Start the keeper in a session of its own, so that Ctrl-C reaches us and not it."""
        if former := _KEEPERS.pop(self.paths.state, None):
            former.wait(STOP_TIMEOUT)
        with (self.paths.logs / "keeper.log").open("wb") as log:
            keeper = subprocess.Popen(
                [sys.executable, "-m", "config.keeper", str(self.paths.base)],
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        _KEEPERS[self.paths.state] = keeper
        return keeper

    def _let_go(self) -> None:
        if self._users is not None:
            os.close(self._users)
            self._users = None

    def _explain(self, message: str) -> str:
        lines = [message, f"Files: {self.paths.state}"]
        for name in ("keeper", *NAMES):
            with contextlib.suppress(FileNotFoundError):
                tail = (self.paths.logs / f"{name}.log").read_text(errors="replace").splitlines()[-8:]
                lines += [f"-- end of {name}.log", *tail] if tail else []
        return "\n".join(lines)


def prepare(where: Paths) -> None:
    """Create the base folder and a secret key; needs no embedded servers."""
    _make(where.base)
    where.logs.mkdir(exist_ok=True)
    if not where.secret_key.exists():  # Settings read it when SECRET_KEY is not set.
        with tempfile.NamedTemporaryFile("w", dir=where.base) as draft:  # Readable by us alone.
            draft.write(secrets.token_urlsafe(50))
            draft.flush()
            with contextlib.suppress(FileExistsError):  # Of several processes the first one wins.
                os.link(draft.name, where.secret_key)


def prepare_servers(where: Paths) -> None:
    """`prepare`, and create the folder of the servers' data."""
    prepare(where)
    _make(where.state)
    if os.geteuid() == 0:
        where.state.chmod(0o755)  # The servers run as another user and must pass through.


def _make(folder: Path) -> None:
    """Create a folder, refusing one that belongs to somebody else."""
    folder.mkdir(parents=True, exist_ok=True)
    if folder.stat().st_uid != os.geteuid():
        raise EmbeddedError(
            f"{folder} belongs to another user. Set BECKON_HOME to a folder of your own, "
            "or set DATABASE_URL and REDIS_URL."
        )


def keeper_lives(where: Paths) -> bool:
    """Whether a keeper serves this folder: it holds an exclusive lock as long as it lives."""
    return not _can_share(where.state / "keeper")


@contextlib.contextmanager
def attached(environ: Mapping[str, str] = os.environ) -> Iterator[Servers | None]:
    """Have servers for the length of the block: start or join them, unless both URLs are given."""
    if environ.get("DATABASE_URL") and environ.get("REDIS_URL"):
        yield None
        return
    with Servers(default_base(environ)) as servers:
        yield servers


@contextlib.contextmanager
def attached_for(arguments: Sequence[str]) -> Iterator[None]:
    """Have servers while `manage.py` runs with these arguments, if its command needs a database.

    Call it after the settings are loaded: a `.env` may name servers. Ends the process with a message when
    the servers do not start.
    """
    command = arguments[1] if len(arguments) > 1 else ""
    if command.startswith("-") or command in STARTS_ITS_OWN | NEEDS_NONE or {"--help", "-h"} & {*arguments}:
        yield
        return
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(attached())
        except EmbeddedError as error:
            sys.exit(f"{error}\nThis command needs PostgreSQL and Redis. See also: manage.py services status")
        yield


def lock(file: Path, how: int) -> int:
    """Take a lock and return the descriptor that holds it; not inherited by programs we start."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, how)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    descriptor = lock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def _can_share(file: Path) -> bool:
    """Whether nobody holds the exclusive lock at this moment."""
    if not file.exists():
        return True
    try:
        os.close(lock(file, fcntl.LOCK_SH | fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
