"""One PostgreSQL and one Redis for the whole run, started when the first test needs them.

The run gets a temporary base folder; settings compute from it where the servers will listen, so that tests
without a database start nothing. Each xdist worker joins the same servers and has its own database and its
own prefix of Redis keys. With DATABASE_URL and REDIS_URL set, those servers are used instead.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.embedded import paths
from config.servers import Servers, attached, keeper_lives

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")

if WORKER:
    os.environ["REDIS_PREFIX"] = f"beckon-{WORKER}:"
else:
    os.environ["BECKON_HOME"] = tempfile.mkdtemp(prefix="beckon-")  # The workers inherit it.
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
os.environ["BECKON_QUIET_START"] = os.environ["BECKON_QUIET_END"] = "00:00"  # Tests pass at night too.


def pytest_configure(config: pytest.Config) -> None:
    """Load the settings, now that the environment says where the servers of this run are."""
    import django

    django.setup()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the base folder once the last worker has let the servers go and they have ended."""
    if WORKER:
        return
    where = paths()
    deadline = time.monotonic() + 20
    while keeper_lives(where) and time.monotonic() < deadline:
        time.sleep(0.02)
    for folder in {where.base, where.state, where.run}:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers | None]:
    """The running servers of this test run; None when the environment names servers of its own."""
    with attached() as joined:
        yield joined


@pytest.fixture(scope="session")
def django_db_setup(servers: Servers | None, django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """pytest-django's creation of the test database, after the servers are up.

    Between transactional tests the tables are emptied, which the audit log refuses: here, and only here, that
    one trigger of it is switched off.
    """
    from django.db import connection

    from tests import emptying

    emptying.install()
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE automation_auditentry DISABLE TRIGGER audit_not_emptied")
    yield
    with (
        django_db_blocker.unblock(),
        connection.cursor() as cursor,
    ):  # Threads of web servers may be in it still.
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.fixture
def own_servers() -> Iterator[Servers]:
    """A pair of servers for one test that kills or freezes them; already started."""
    base = Path(tempfile.mkdtemp(prefix="beckon-own-"))
    with Servers(base) as mine:
        yield mine
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture(autouse=True)
def rows_of_migrations(request: pytest.FixtureRequest) -> None:
    """Transactional tests empty every table; put back the groups and beat entries that migrations had made."""
    wants_it = {"db", "transactional_db"} & set(request.fixturenames)
    if not wants_it and request.node.get_closest_marker("django_db") is None:
        return
    request.getfixturevalue("_django_db_helper")
    from importlib import import_module

    from django.apps import apps
    from django.contrib.auth.models import Group
    from django.db import connection

    if Group.objects.filter(name="Marketer").exists():
        return
    import_module("automation.migrations.0003_beat").add_entries(apps, None)
    import_module("automation.migrations.0006_audit").add_entries(apps, None)
    with connection.schema_editor(atomic=False) as editor:
        import_module("automation.migrations.0004_groups").make_groups(apps, editor)
        import_module("automation.migrations.0007_roles").assign(apps, editor)
        import_module("automation.migrations.0008_rejected_requests").assign(apps, editor)


@pytest.fixture(autouse=True)
def nothing_is_remembered() -> None:
    """Of the numbers that another test's page has shown."""
    from django.core.cache import cache

    cache.clear()


@pytest.fixture(autouse=True)
def rejections_are_written_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that writes them would use a session of its own, outside the test's transaction."""
    from automation.api import rejections  # The apps are not loaded yet when this file is read.

    rejections.forget()
    monkeypatch.setattr(rejections, "_ensure_writer", lambda: None)
