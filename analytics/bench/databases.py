"""Databases of one run: a migrated template, and a clone of it for each thing that is measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg2

from analytics.bench.errors import UnsafeError

PREFIX = "beckon_bench_"
TEMPLATE = "template"


class Databases:
    """Creates and drops databases on the server of `url`; their names begin with PREFIX."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.names: list[str] = []  # What this run has created.

    def url(self, name: str) -> str:
        """URL of the database `name` of this run."""
        return urlunsplit(urlsplit(self._url)._replace(path=f"/{PREFIX}{name}"))

    def create(self, name: str, *, template: str | None = None) -> str:
        """A new database, empty or a copy; returns its URL. One that an earlier run left is dropped."""
        copied = f' TEMPLATE "{PREFIX}{template}"' if template else ""
        with connected(self._url) as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{PREFIX}{name}" WITH (FORCE)')
            cursor.execute(f'CREATE DATABASE "{PREFIX}{name}"{copied}')
        self.names.append(name)
        return self.url(name)

    def has(self, name: str) -> bool:
        """Whether this run has created it."""
        return name in self.names

    def drop(self, name: str) -> None:
        """Drop one database, whoever is connected to it."""
        with connected(self._url) as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{PREFIX}{name}" WITH (FORCE)')
        self.names.remove(name)

    def drop_all(self) -> None:
        """Drop what this run has created."""
        for name in list(self.names):
            self.drop(name)

    def facts(self) -> dict[str, str]:
        """The server's version and settings that matter. Raises UnsafeError when commits may be lost."""
        with connected(self._url) as cursor:
            found = {}
            for name in (
                "server_version",
                "fsync",
                "synchronous_commit",
                "shared_buffers",
                "full_page_writes",
            ):
                cursor.execute(f"SHOW {name}")
                found[name] = cursor.fetchone()[0]
        if found["fsync"] != "on" or found["synchronous_commit"] != "on":
            raise UnsafeError(
                "PostgreSQL may lose commits here "
                f"(fsync={found['fsync']}, synchronous_commit={found['synchronous_commit']}): no figure would count."
            )
        return found


@contextmanager
def connected(url: str) -> Iterator[Any]:
    """A cursor of a connection of its own, each statement committed by itself."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()
