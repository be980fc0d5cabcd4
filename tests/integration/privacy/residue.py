"""Look for somebody in everything that PostgreSQL and Redis hold."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable

import redis
from django.conf import settings
from django.db import connection

from config.binaries import find_binaries


def dump() -> str:
    """All data of the test database, with PostgreSQL's statistics, by its own pg_dump."""
    program = find_binaries(settings.EMBEDDED.state, must_be_open=False).postgres.parent / "pg_dump"
    parameters = connection.get_connection_params()
    arguments = [f"--dbname={parameters['dbname']}", "--no-owner"]
    for option, key in (("--host", "host"), ("--port", "port"), ("--username", "user")):
        if parameters.get(key):
            arguments.append(f"{option}={parameters[key]}")
    if b"--statistics" in subprocess.run([program, "--help"], capture_output=True, check=True).stdout:
        arguments += ["--statistics"]
    done = subprocess.run([program, *arguments], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def redis_dump() -> str:
    """Every key of Redis with its value, as it is stored."""
    client = redis.Redis.from_url(settings.REDIS_CLIENT_URL)
    found = []
    for key in client.scan_iter(count=1000):
        found += [key, client.dump(key) or b""]
    return b"\n".join(found).decode("utf-8", "replace")


def hits(text: str, needles: Iterable[str]) -> dict[str, int]:
    """How often each needle that occurs does, whatever its case."""
    lowered = text.lower()
    return {needle: n for needle in needles if (n := lowered.count(needle.lower()))}
