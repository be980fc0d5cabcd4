"""PostgreSQL and Redis from wheels, for a machine that has neither.

Importing this module does nothing and needs only the standard library: settings import it to compute where
the servers would listen. `Servers` starts them, or joins the ones that already run for the same base folder.

Who keeps them alive: one keeper process (config/keeper.py) per base folder is their parent. Every user holds
a shared `flock` on the file `users`; the keeper waits for the exclusive one. The kernel drops a lock when its
holder ends, however it ends, so after a `kill -9` of the last user the keeper stops the servers.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pwd
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

SOCKET_PATH_LIMIT = 107  # Bytes in sockaddr_un.sun_path on Linux, less the closing NUL.
START_TIMEOUT = 60.0  # Seconds; a first start copies files and runs initdb, about one second on two cores.
STOP_TIMEOUT = 20.0
NAMES = ("postgres", "redis")


class EmbeddedError(RuntimeError):
    """The embedded servers cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the servers of one base folder keep their files and listen."""

    base: Path  # The folder asked for; holds `state` unless its parents are closed to the servers' user.
    state: Path  # Data, logs, locks and copied binaries.
    run: Path  # The sockets; elsewhere when the path would be too long for one.
    database_url: str
    redis_url: str  # For redis-py and Django's cache.
    broker_url: str  # The same server, as kombu spells it.

    @property
    def postgres_data(self) -> Path:
        """The cluster's folder; its presence means that initdb has finished."""
        return self.state / "postgres"

    @property
    def redis_data(self) -> Path:
        """Folder of the append-only file."""
        return self.state / "redis"

    @property
    def logs(self) -> Path:
        """One file per server, and the keeper's own."""
        return self.state / "log"

    @property
    def ready(self) -> Path:
        """JSON of the keeper's and the servers' process ids; exists only while the servers answer."""
        return self.state / "ready.json"

    def held_down(self, name: str) -> Path:
        """While this file exists the keeper does not restart the server `name`."""
        return self.state / f"{name}.down"

    @property
    def pinned(self) -> Path:
        """While this file exists the keeper runs on without users (`manage.py services start`)."""
        return self.state / "pinned"


def default_base(environ: Mapping[str, str] = os.environ) -> Path:
    """`BECKON_HOME`, else `.beckon` beside manage.py."""
    chosen = environ.get("BECKON_HOME", "").strip()
    return Path(chosen).absolute() if chosen else Path(__file__).resolve().parent.parent / ".beckon"


def paths(base: Path | None = None) -> Paths:
    """Compute, without touching anything, where the servers of `base` live. The same answer in every process."""
    base = default_base() if base is None else Path(base).absolute()
    digest = hashlib.sha256(os.fsencode(base)).hexdigest()[:12]
    state = base
    if os.geteuid() == 0 and not is_traversable(base.parent):
        # PostgreSQL will not run as root, and its own user cannot reach a folder below, say, /root.
        state = Path("/var/lib") / f"beckon-{digest}"
    run = state / "run"
    if len(os.fsencode(run / ".s.PGSQL.5432")) > SOCKET_PATH_LIMIT:
        run = Path("/tmp") / f"beckon-{os.geteuid()}-{digest}"  # noqa: S108 — owner and mode are checked at start
    socket = quote(str(run / "redis.sock"))
    return Paths(
        base=base,
        state=state,
        run=run,
        database_url=f"postgresql://postgres@/beckon?host={quote(str(run))}",
        redis_url=f"unix://{socket}?db=0",
        broker_url=f"redis+socket://{socket}?virtual_host=0",
    )


def broker_url(redis_url: str) -> str:
    """kombu's spelling of a redis-py URL: only Unix sockets differ."""
    if not redis_url.startswith("unix://"):
        return redis_url
    location, _, query = redis_url.removeprefix("unix://").partition("?")
    return f"redis+socket://{location}?{query.replace('db=', 'virtual_host=')}" if query else f"redis+socket://{location}"


def is_traversable(folder: Path) -> bool:
    """Whether any user may pass through `folder`; parts that do not exist yet would be made passable."""
    return all(
        not part.exists() or bool(part.stat().st_mode & stat.S_IXOTH) for part in (folder, *folder.parents)
    )


def server_user(data: Path) -> pwd.struct_passwd | None:
    """Whom the servers run as: None means as we do; root gives way to the data's owner, `postgres` or `nobody`."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(FileNotFoundError, KeyError):
        if (owner := data.stat().st_uid) != 0:
            return pwd.getpwuid(owner)
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise EmbeddedError("PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody` to run it as.")


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
        """URL of the database `beckon`, owned by its superuser; the socket folder is closed to other users."""
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
        if self._users is not None:
            return self
        prepare(self.paths)
        deadline = time.monotonic() + timeout
        # Blocks only while a keeper that nobody used any more is stopping: it holds the exclusive lock.
        self._users = _lock(self.paths.state / "users", fcntl.LOCK_SH)
        try:
            with _locked(self.paths.state / "start", fcntl.LOCK_EX):  # Of several at once, one spawns a keeper.
                keeper: subprocess.Popen[bytes] | None = None
                while not self.paths.ready.exists() or not keeper_lives(self.paths):
                    if keeper is None and not keeper_lives(self.paths):
                        keeper = self._spawn()
                    if keeper is not None and keeper.poll() is not None:
                        raise EmbeddedError(self._explain("The embedded servers did not start."))
                    if time.monotonic() > deadline:
                        raise EmbeddedError(self._explain(f"The embedded servers did not answer in {timeout:.0f} s."))
                    time.sleep(0.02)
        except BaseException:
            self._let_go()
            raise
        return self

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """Give the servers up. If nobody else uses them, return after both have ended."""
        if self._users is None:
            return
        self._let_go()
        deadline = time.monotonic() + timeout
        shared_since = None
        while keeper_lives(self.paths) and time.monotonic() < deadline and not self.paths.pinned.exists():
            # A shared lock can be had while others share it, never while the keeper is stopping the servers.
            if _free(self.paths.state / "users", fcntl.LOCK_SH):
                shared_since = shared_since or time.monotonic()
                if time.monotonic() - shared_since > 0.5:
                    return
            else:
                shared_since = None
            time.sleep(0.02)

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
        self._wait(lambda pids: name in pids, timeout)

    def freeze(self, name: str) -> None:
        """SIGSTOP the server's main process: it accepts connections and answers nothing (Redis)."""
        os.kill(self.pids()[name], signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Undo `freeze`."""
        os.kill(self.pids()[name], signal.SIGCONT)

    def _replace(self, name: str) -> None:
        before = self.pids()[name]
        self.kill(name)
        self._wait(lambda pids: pids.get(name, before) != before, START_TIMEOUT)

    def _wait(self, condition: Any, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not condition(self.pids()):
            if time.monotonic() > deadline:
                raise EmbeddedError(self._explain(f"The embedded servers were not back in {timeout:.0f} s."))
            time.sleep(0.02)

    def _spawn(self) -> subprocess.Popen[bytes]:
        """Start the keeper in a session of its own, so that Ctrl-C reaches us and not it."""
        with (self.paths.logs / "keeper.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "config.keeper", str(self.paths.base)],
                cwd=Path(__file__).resolve().parent.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

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
    """Create the state folder, refusing one that belongs to somebody else."""
    where.state.mkdir(parents=True, exist_ok=True)
    if where.state.stat().st_uid != os.geteuid():
        raise EmbeddedError(
            f"{where.state} belongs to another user. Set BECKON_HOME to a folder of your own, "
            "or set DATABASE_URL and REDIS_URL."
        )
    if os.geteuid() == 0:
        where.state.chmod(0o755)  # The servers run as another user and must pass through.
    where.logs.mkdir(exist_ok=True)


def keeper_lives(where: Paths) -> bool:
    """Whether a keeper serves this folder: it holds an exclusive lock as long as it lives."""
    return not _free(where.state / "keeper", fcntl.LOCK_EX)


@contextlib.contextmanager
def attached(environ: Mapping[str, str] = os.environ) -> Iterator[Servers | None]:
    """Have servers for the length of the block: nothing to do when both URLs are given, else start or join."""
    if environ.get("DATABASE_URL") and environ.get("REDIS_URL"):
        yield None
        return
    with Servers(default_base(environ)) as servers:
        yield servers


def _lock(file: Path, how: int) -> int:
    """Take a lock and return the descriptor that holds it; not inherited by programs we start."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, how)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextlib.contextmanager
def _locked(file: Path, how: int) -> Iterator[None]:
    descriptor = _lock(file, how)
    try:
        yield
    finally:
        os.close(descriptor)


def _free(file: Path, how: int) -> bool:
    """Whether the lock could be had at this moment."""
    if not file.exists():
        return True
    try:
        os.close(_lock(file, how | fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
