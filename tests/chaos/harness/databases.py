"""A database for each scene, copied from one that is migrated once."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg2

from config.embedded import PROJECT
from config.servers import Servers

TEMPLATE = "chaos_template"
# Forgotten work is looked for every second, so that a test need not wait for long.
PREPARE = """
from django_celery_beat.models import IntervalSchedule, PeriodicTask
second, _ = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
PeriodicTask.objects.filter(task="automation.tasks.periodic_sweep").update(interval=second, expire_seconds=5)
"""
_numbers = itertools.count(1)


def url_of(servers: Servers, name: str) -> str:
    """The URL of another database of the same server."""
    return urlunsplit(urlsplit(servers.database_url)._replace(path=f"/{name}"))


@contextmanager
def _admin(servers: Servers) -> Iterator[psycopg2.extensions.cursor]:
    connection = psycopg2.connect(url_of(servers, "postgres"))
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def make_template(servers: Servers) -> None:
    """Migrate the database that scenes are copied from."""
    with _admin(servers) as cursor:
        cursor.execute(f"CREATE DATABASE {TEMPLATE}")
    env = {
        **os.environ,
        "DATABASE_URL": url_of(servers, TEMPLATE),
        "REDIS_URL": servers.redis_url,
        "SECRET_KEY": "only-for-the-chaos-tests-" * 3,
    }
    for arguments in (["migrate", "--no-input", "--verbosity=0"], ["shell", "--verbosity=0", "-c", PREPARE]):
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments], cwd=PROJECT, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def fresh_database(servers: Servers) -> Iterator[str]:
    """A new migrated database; gives its URL and removes it at the end."""
    name = f"chaos_{os.getpid()}_{next(_numbers)}"
    with _admin(servers) as cursor:
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    yield url_of(servers, name)
    with _admin(servers) as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
