"""Statements that PostgreSQL plans once per connection instead of once per call.

Planning the insertion of a single event takes about as long as carrying it out. Needs direct connections or a
pooler in session mode, as advisory locks do.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

from django.db import connection


class Prepared:
    """One statement with `$1 …` parameters of the given PostgreSQL types."""

    def __init__(self, name: str, types: tuple[str, ...], statement: str) -> None:
        self._prepare = f"PREPARE {name} ({', '.join(types)}) AS {statement}"
        self._execute = f"EXECUTE {name} ({', '.join(f'%s::{kind}' for kind in types)})"
        self._known: WeakSet[Any] = WeakSet()  # Connections that have it; a new connection has nothing.

    def execute(self, cursor: Any, parameters: list[Any]) -> None:
        """Run it on `cursor`, a cursor of Django's connection."""
        raw = connection.connection
        if raw not in self._known:
            cursor.execute(self._prepare)  # Survives a rollback of this transaction.
            self._known.add(raw)
        cursor.execute(self._execute, parameters)
