"""T20: the disk of the database is full; shops are told to come back, and nothing has to be repaired."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from config.servers import Servers
from tests.chaos.harness.databases import url_of
from tests.chaos.harness.judge import judge
from tests.chaos.harness.report import Report
from tests.chaos.harness.scene import Scene
from tests.chaos.harness.size import FULL, full_only

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

BEFORE, REFUSED = 200, 20
DISK = "64m"
PREPARE = """
from django.db import connection
from tests.factories import EMAIL, make_trigger
make_trigger("mail", actions=[EMAIL])
with connection.cursor() as cursor:
    cursor.execute("SET statement_timeout = 0")
    cursor.execute("ALTER TABLE ALL IN TABLESPACE pg_default SET TABLESPACE small_disk")
    cursor.execute("ALTER INDEX ALL IN TABLESPACE pg_default SET TABLESPACE small_disk")
"""


def _admin(servers: Servers, statement: str) -> None:
    connection = psycopg2.connect(url_of(servers, "postgres"))
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


@pytest.fixture
def small_disk(chaos_servers: Servers) -> Iterator[Path]:
    """A tablespace `small_disk` on a disk of its own. Ask for it before the scene: it has to outlive it."""
    if not FULL:
        pytest.skip("only in the full set: make chaos")
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = chaos_servers.paths.state / "small_disk"
    folder.mkdir()
    try:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "beckon-small-disk", str(folder)]
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
        try:
            owner = chaos_servers.paths.postgres_data.stat()
            space = folder / "space"
            space.mkdir(mode=0o700)
            os.chown(space, owner.st_uid, owner.st_gid)
            _admin(chaos_servers, f"CREATE TABLESPACE small_disk LOCATION '{space}'")
            yield folder
            with contextlib.suppress(psycopg2.Error):
                _admin(chaos_servers, "DROP TABLESPACE small_disk")
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fill(folder: Path) -> Path:
    """Leave no byte; the file that has to go again."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1024 * 1024, 4096):
            with contextlib.suppress(OSError):
                while file.write(b"\0" * size) == size:
                    pass
    return ballast


@full_only
@pytest.mark.matrix("T20", "the disk of PostgreSQL's tables is full, then has room again")
def test_a_full_disk_refuses_events_and_needs_no_repair(
    small_disk: Path, make_scene: Callable[..., Scene], report: Report
) -> None:
    """T20, R-001, R-009: 503, never 202, while there is no room; then everything goes on by itself."""
    scene = make_scene(prepare=PREPARE, restart=True)
    scene.introduce(BEFORE + REFUSED)
    shop = scene.shop()
    shop.send(shop.event(f"c{n}") for n in range(BEFORE))
    ballast = fill(small_disk)
    report.faults = 1
    # Free room in pages that the tables have already is room: large events use it up.
    statuses: list[int | str] = []
    until = time.monotonic() + 40
    refused: list[dict[str, Any]] = []
    while len(refused) < REFUSED:
        assert time.monotonic() < until, statuses
        data = {"note": secrets.token_hex(3900)}
        event = shop.event(f"c{BEFORE + len(refused)}", data=data)
        statuses.append(shop.try_once(event))
        if statuses[-1] == 202:
            refused.clear()
        else:
            refused.append(event)
    report.figures = {"refused": statuses.count(503), "accepted_in_what_was_left": statuses.count(202)}
    ballast.unlink()
    freed = time.monotonic()
    for event in refused:
        shop.send_one(event)
    report.figures["accepted_again_s"] = round(time.monotonic() - freed, 1)
    waiting = (
        "SELECT (SELECT count(*) FROM automation_queuedevent) + (SELECT count(*) FROM automation_delivery"
    )
    scene.wait_until(
        lambda: scene.value(f"{waiting} WHERE status IN ('pending', 'sending'))") == 0,
        60,
        "all goes on by itself",
    )
    found = judge(scene, shop.accepted, must_decide=False)
    found.into(report)
    assert set(statuses) <= {202, 503}, statuses
    assert found.acquits(), f"seed {report.seed}: {found}"
    assert found.quarantined == []
    mails = scene.value("SELECT count(*) FROM automation_delivery WHERE status IN ('sent', 'uncertain')")
    assert mails == BEFORE + REFUSED
