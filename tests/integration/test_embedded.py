"""The launcher of the embedded servers, on real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest
import redis

from config.embedded import PROJECT, EmbeddedError, paths
from config.servers import Servers, attached, attached_for, keeper_lives
from config.strays import is_running

HOLD = """
import sys, time
from pathlib import Path
from config.servers import Servers
with Servers(Path(sys.argv[1])) as servers:
    print(servers.pids()["postgres"], flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    """One folder for all tests here, so that the cluster is made once; every test leaves it stopped."""
    with new_base() as folder:
        yield folder


@contextmanager
def new_base() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="beckon-embedded-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # Or root's servers, which run as another user, could not enter.
        yield Path(folder)


def hold(base: Path) -> subprocess.Popen[str]:
    """Another process that uses the servers until it is ended; returns when it has them."""
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(base)], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    other.first_line = other.stdout.readline().strip()  # type: ignore[attr-defined]
    return other


def end(process: subprocess.Popen[str], number: signal.Signals) -> None:
    process.send_signal(number)
    process.wait(10)
    assert process.stdout is not None
    process.stdout.close()


def eventually(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def lives(pid: int) -> bool:
    """Whether the process runs; one that ended and awaits its parent has no command line any more."""
    return is_running(pid, "/") or is_running(pid, "config")


def ask(url: str, statement: str) -> object:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


def test_a_first_start_gives_both_servers_and_a_durable_database() -> None:
    with new_base() as base, Servers(base) as servers:
        wanted = {"fsync": "on", "synchronous_commit": "on", "listen_addresses": "", "TimeZone": "UTC"}
        assert {name: ask(servers.database_url, f"SHOW {name}") for name in wanted} == wanted
        assert (
            ask(servers.database_url, "SELECT datlocale FROM pg_database WHERE datname = 'beckon'")
            == "C.UTF-8"
        )
        with closing(redis.Redis.from_url(servers.redis_url, decode_responses=True)) as client:
            found = client.config_get("appendonly", "appendfsync", "maxmemory-policy", "port")
        assert found == {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "port": "0",
        }
        pids = servers.pids()
        assert sorted(pids) == ["keeper", "postgres", "redis"]
        assert servers.paths.secret_key.stat().st_mode & 0o777 == 0o600
        servers.stop()
        assert servers.pids() == {}
    assert not any(map(lives, pids.values()))


def test_what_was_written_is_there_after_the_next_start(base: Path) -> None:
    with Servers(base) as servers:
        ask(servers.database_url, "DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 42 AS answer")
        with closing(redis.Redis.from_url(servers.redis_url)) as client:
            client.set("kept", "42")
    with Servers(base) as servers:
        assert ask(servers.database_url, "SELECT answer FROM kept") == 42
        with closing(redis.Redis.from_url(servers.redis_url)) as client:
            assert client.get("kept") == b"42"


def test_several_processes_at_once_share_one_pair_of_servers(base: Path) -> None:
    others = [
        subprocess.Popen(
            [sys.executable, "-c", HOLD, str(base)], cwd=PROJECT, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    with Servers(base) as servers:
        assert all(other.stdout is not None for other in others)
        seen = {other.stdout.readline().strip() for other in others if other.stdout}
        assert seen == {str(servers.pids()["postgres"])}
        for other in others:
            end(other, signal.SIGTERM)
        assert ask(servers.database_url, "SELECT 1") == 1  # Who leaves takes nothing from who stays.
    assert not keeper_lives(servers.paths)


def test_the_one_who_started_them_may_leave_first(base: Path) -> None:
    first = hold(base)
    with Servers(base) as servers:
        end(first, signal.SIGTERM)
        time.sleep(0.5)
        assert ask(servers.database_url, "SELECT 1") == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_runs_on_after_the_launcher_was_ended(base: Path, number: signal.Signals) -> None:
    launcher = hold(base)
    pids = Servers(base).pids()
    assert len(pids) == 3
    end(launcher, number)
    assert eventually(lambda: not any(map(lives, pids.values())))
    with Servers(base) as servers:
        assert ask(servers.database_url, "SELECT 1") == 1


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the parent-death signal exists on Linux only"
)
def test_the_servers_end_with_a_killed_keeper_and_the_next_start_works(base: Path) -> None:
    with Servers(base) as servers:
        pids = servers.pids()
        ask(servers.database_url, "DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 42 AS answer")
        os.kill(pids["keeper"], signal.SIGKILL)
        assert eventually(lambda: not any(map(lives, pids.values())))
        servers.start()
        assert servers.pids()["keeper"] != pids["keeper"]
        assert ask(servers.database_url, "SELECT answer FROM kept") == 42


def test_a_killed_server_comes_back_with_its_data(base: Path) -> None:
    with Servers(base) as servers:
        before = servers.pids()
        ask(servers.database_url, "DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 42 AS answer")
        servers.kill_postgres()
        servers.restart_redis()
        after = servers.pids()
        assert after["keeper"] == before["keeper"]
        assert after["postgres"] != before["postgres"]
        assert after["redis"] != before["redis"]
        assert ask(servers.database_url, "SELECT answer FROM kept") == 42
        with closing(redis.Redis.from_url(servers.redis_url)) as client:
            assert client.ping()


def test_a_server_held_down_stays_down_until_it_is_brought_up(base: Path) -> None:
    with Servers(base) as servers, closing(redis.Redis.from_url(servers.redis_url)) as client:
        client.ping()
        servers.kill("redis", stay_down=True)
        time.sleep(0.6)
        with pytest.raises(redis.ConnectionError):
            client.ping()
        assert sorted(servers.pids()) == ["keeper", "postgres"]
        servers.bring_up("redis")
        assert client.ping()


def test_a_frozen_redis_accepts_and_does_not_answer(base: Path) -> None:
    with (
        Servers(base) as servers,
        closing(redis.Redis.from_url(servers.redis_url, socket_timeout=0.3, retry=None)) as client,
    ):
        client.ping()
        servers.freeze("redis")
        with pytest.raises(redis.TimeoutError):
            client.ping()
        servers.thaw("redis")
        assert client.ping()


def test_lock_files_and_sockets_of_a_dead_machine_do_not_stop_the_start(base: Path) -> None:
    with Servers(base) as servers:
        where = servers.paths
    stranger = os.getpid()  # The number of a dead server, given to somebody else since.
    (where.postgres_data / "postmaster.pid").write_text(f"{stranger}\n{where.postgres_data}\n")
    (where.run / ".s.PGSQL.5432.lock").write_text(f"{stranger}\n")
    (where.run / ".s.PGSQL.5432").touch()
    (where.run / "redis.sock").touch()
    where.ready.write_text(f'{{"keeper": {stranger}, "postgres": {stranger}, "redis": {stranger}}}')
    with Servers(base) as servers:
        assert ask(servers.database_url, "SELECT 1") == 1
        assert stranger not in servers.pids().values()


def test_a_base_folder_too_deep_for_a_socket_still_works(base: Path) -> None:
    deep = base / ("deep" * 20) / ("deeper" * 10)
    deep.mkdir(parents=True)
    with Servers(deep) as servers:
        assert len(os.fsencode(servers.paths.run / ".s.PGSQL.5432")) <= 107
        assert servers.paths.run.stat().st_mode & 0o077 == 0
        assert ask(servers.database_url, "SELECT 1") == 1
        with closing(redis.Redis.from_url(servers.redis_url)) as client:
            assert client.ping()


def test_data_of_another_major_version_are_refused_with_advice(base: Path) -> None:
    with Servers(base) as servers:
        where = servers.paths
    mark = where.postgres_data / "PG_VERSION"
    mark.write_text("17\n")
    try:
        with pytest.raises(EmbeddedError, match=r"was written by PostgreSQL 17, this is 18"):
            Servers(base).start()
        assert not keeper_lives(where)
    finally:
        mark.write_text("18\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to hide from PostgreSQL")
def test_root_below_a_closed_folder_keeps_data_where_the_servers_can_reach_them(base: Path) -> None:
    closed = base / "closed"
    closed.mkdir(mode=0o700)
    assert paths(closed / "home").state.parent == Path("/var/lib")
    assert paths(base / "open").state == base / "open"


def test_a_stray_is_known_by_its_command_line_alone() -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "a-mark"])
    try:
        assert eventually(lambda: is_running(sleeper.pid, "a-mark"))
        assert not is_running(sleeper.pid, "another-mark")
    finally:
        sleeper.kill()
        sleeper.wait()
    assert not is_running(sleeper.pid, "a-mark")


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["manage.py", "migrate"], True),
        (["manage.py", "shell", "-c", "1"], True),
        (["manage.py", "migrate", "--help"], False),
        (["manage.py", "check", "--deploy"], False),
        (["manage.py", "up"], False),
        (["manage.py", "--version"], False),
        (["manage.py"], False),
    ],
)
def test_a_command_has_servers_for_its_length_if_it_needs_them(
    base: Path, arguments: list[str], wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BECKON_HOME", str(base))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with attached_for(arguments):
        assert keeper_lives(paths(base)) == wanted
    assert not keeper_lives(paths(base))


def test_no_server_is_started_when_both_urls_are_given(base: Path) -> None:
    urls = {"DATABASE_URL": "postgres://db/x", "REDIS_URL": "redis://r/0", "BECKON_HOME": str(base)}
    with attached(urls) as servers:
        assert servers is None
    with attached({**urls, "REDIS_URL": ""}) as servers:
        assert servers is not None
        assert sorted(servers.pids()) == ["keeper", "postgres", "redis"]
