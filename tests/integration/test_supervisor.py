"""`manage.py up` and the Supervisor on real processes: start, crash of a child, crash of all, clean stop."""

from __future__ import annotations

import json
import os
import signal
import smtplib
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from config.embedded import PROJECT
from config.programs import ALL_LANES, CRITICAL_LANES
from config.servers import Servers
from config.supervisor import Supervisor, SupervisorError, listen

linux_only = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="looks for processes in /proc"
)


@pytest.fixture
def base() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="beckon-up-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # Or root's servers, which run as another user, could not enter.
        yield Path(folder)


@pytest.fixture(autouse=True)
def _no_servers_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "REDIS_URL", "EMAIL_URL", "PUBLIC_URL", "REDIS_PREFIX"):
        monkeypatch.delenv(name, raising=False)


def of_base(base: Path) -> set[int]:
    """Every process that has the folder in its command line or environment, but this one."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if os.fsencode(base) in text and int(process.name) != os.getpid():
            found.add(int(process.name))
    return found


def eventually(condition: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def up(base: Path, port: int) -> subprocess.Popen[str]:
    """`manage.py up` in another process; returns when it says that Beckon is ready."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", "up", "--quiet", f"--port={port}"],
        cwd=PROJECT,
        env={**os.environ, "BECKON_HOME": str(base)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if "Beckon is ready" in line:
            return process
    raise AssertionError("".join(said))


@linux_only
def test_everything_starts_serves_survives_crashes_and_stops(base: Path) -> None:
    """S-009: a web server, a reserved and a general worker and beat; each comes back when it is killed."""
    supervisor = Supervisor(base=base, port=8400, web_workers=1)
    with supervisor:
        supervisor.wait_ready(60)
        assert list(supervisor.processes) == ["mailbox", "web", "worker-critical", "worker", "beat"]
        with urllib.request.urlopen(f"{supervisor.url}/healthz") as answer:
            assert answer.status == 200

        killed = supervisor.processes["worker"].pid
        os.kill(killed, signal.SIGKILL)
        assert eventually(lambda: supervisor.processes["worker"].pid != killed)
        supervisor.wait_ready(60)

        former = supervisor.processes["web"].pid
        supervisor.respawn("web")
        assert supervisor.processes["web"].pid != former
        with urllib.request.urlopen(f"{supervisor.url}/healthz") as answer:
            assert answer.status == 200

        began = time.monotonic()
    assert time.monotonic() - began < 25
    assert all(process.poll() is not None for process in supervisor.processes.values())
    assert of_base(base) == set()


@linux_only
def test_the_mailbox_writes_a_message_down_before_it_answers(base: Path) -> None:
    supervisor = Supervisor(base=base, web=False, workers=[], beat=False, migrate=False)
    with supervisor:
        supervisor.wait_ready(30)
        assert supervisor.ledger is not None
        message = EmailMessage()
        message["From"], message["To"] = "Beckon <hello@example.com>", "alice@example.com"
        message["Subject"], message["Message-ID"] = "Dein Warenkorb wartet – 20 €", "<42@beckon.local>"
        message["List-Unsubscribe"] = "<https://example.com/u/1>"
        message.set_content("Hallo")
        host, port = supervisor.env["EMAIL_URL"].removeprefix("smtp://").split(":")
        with smtplib.SMTP(host, int(port)) as client:
            client.send_message(message)
            line = json.loads(supervisor.ledger.read_text().splitlines()[-1])
    assert line["mail_from"] == "hello@example.com"
    assert line["rcpt"] == ["alice@example.com"]
    assert line["message_id"] == "<42@beckon.local>"
    assert line["subject"] == "Dein Warenkorb wartet – 20 €"
    assert line["headers"]["List-Unsubscribe"] == "<https://example.com/u/1>"
    assert line["received_at"].endswith("+00:00")
    kept = list(supervisor.ledger.parent.glob("*.eml"))
    assert len(kept) == 1
    assert b"\nHallo" in kept[0].read_bytes()


def test_a_child_that_cannot_start_is_named_with_its_last_words(base: Path) -> None:
    supervisor = Supervisor(
        {"SECRET_KEY": "x" * 60, "LOG_LEVEL": "", "BECKON_QUIET_START": "never"},
        base=base,
        web=False,
        workers=[CRITICAL_LANES],
        beat=False,
        migrate=False,
    )
    with supervisor, pytest.raises(SupervisorError, match=r"(?s)worker-critical does not get ready.*never"):
        supervisor.wait_ready(60)


@linux_only
def test_up_leaves_nothing_when_it_is_killed_and_stops_cleanly_on_sigterm(base: Path) -> None:
    process = up(base, 8440)
    assert len(of_base(base)) > 8
    process.kill()
    process.communicate()
    assert eventually(lambda: of_base(base) == set()), of_base(base)

    process = up(base, 8440)
    process.send_signal(signal.SIGTERM)
    rest = process.communicate(timeout=30)[0]
    assert process.returncode == 0, rest
    assert rest.splitlines()[-1] == "Stopped."
    assert of_base(base) == set()


def test_the_servers_come_back_under_a_running_supervisor(base: Path) -> None:
    with Supervisor(base=base, web=False, workers=[ALL_LANES], beat=False, migrate=False) as supervisor:
        supervisor.wait_ready(60)
        servers = Servers(base)
        keeper = servers.pids()["keeper"]
        os.kill(keeper, signal.SIGKILL)
        assert eventually(lambda: servers.pids().get("keeper", keeper) != keeper)


def test_a_busy_port_gives_the_next_one() -> None:
    with listen("127.0.0.1", 8460) as first, listen("127.0.0.1", 8460) as second:
        assert 8460 <= first.getsockname()[1] < second.getsockname()[1] < 8560


@linux_only
def test_who_connects_while_the_web_server_starts_anew_is_answered(base: Path) -> None:
    with Supervisor(base=base, port=8480, web_workers=1, workers=[], beat=False, migrate=False) as supervisor:
        supervisor.wait_ready(60)
        os.kill(supervisor.processes["web"].pid, signal.SIGKILL)
        with urllib.request.urlopen(f"{supervisor.url}/healthz", timeout=60) as answer:
            assert answer.status == 200
