"""PostgreSQL and Redis from wheels, for a machine that has neither: where they live and listen.

Importing this module does nothing and needs only the standard library, because settings import it. Servers
are started and joined by config/servers.py and run by config/keeper.py.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

PROJECT = Path(__file__).resolve().parent.parent  # Where manage.py lies.
SOCKET_PATH_LIMIT = 107  # Bytes in sockaddr_un.sun_path on Linux, less the closing NUL.
NAMES = ("postgres", "redis")


class EmbeddedError(RuntimeError):
    """The embedded servers cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the servers of one base folder keep their files and listen."""

    base: Path  # The folder asked for: key, logs, mail.
    state: Path  # Data, locks and copied binaries: the base, unless the servers' user cannot reach it.
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
        """One file per server and child process."""
        return self.base / "log"

    @property
    def mail(self) -> Path:
        """What the local mailbox received: ledger.jsonl and the newest messages."""
        return self.base / "mail"

    @property
    def secret_key(self) -> Path:
        """A random SECRET_KEY for this folder, so that links and sessions outlive a restart."""
        return self.base / "secret_key"

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
    """`BECKON_HOME`, a relative one beside manage.py; `.beckon` when it is not set."""
    return PROJECT / (environ.get("BECKON_HOME", "").strip() or ".beckon")


def paths(base: Path | None = None) -> Paths:
    """Compute, without touching anything, where the servers of `base` live; every process gets one answer."""
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
    return redis_url.replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=", 1)


def is_traversable(folder: Path) -> bool:
    """Whether any user may pass through `folder`; parts that do not exist yet would be made passable."""
    return all(
        not part.exists() or bool(part.stat().st_mode & stat.S_IXOTH) for part in (folder, *folder.parents)
    )


def server_user(data: Path) -> pwd.struct_passwd | None:
    """Whom the servers run as. None: as we do. Root gives way to the data's owner, `postgres` or `nobody`."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(FileNotFoundError, KeyError):
        if (owner := data.stat().st_uid) != 0:
            return pwd.getpwuid(owner)
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise EmbeddedError(
        "PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody` to run it as. "
        "Run this as a normal user, or set DATABASE_URL and REDIS_URL."
    )
