"""The programs that make up a running Beckon, as the supervisor starts them."""

from __future__ import annotations

import re
import socket
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CRITICAL_LANES = "critical,high"  # Of one worker that the other lanes can never keep busy.
ALL_LANES = "critical,high,medium,low,periodic"
# Celery's advice against root is about pickled messages, which are never accepted here.
QUIET = ("-W", "ignore:You're running the worker with superuser privileges")
GRACE_SECONDS = 15  # For requests that are being answered when the web server is told to stop.


@dataclass(frozen=True, slots=True)
class Program:
    """One child of the supervisor."""

    name: str
    stage: int  # Started in rising order, stopped in falling order.
    arguments: tuple[str, ...]  # A module and its arguments, as after `python -m`.
    ready_pattern: str = ""  # Matches the line of its output that says it is ready.
    ready_url: str = ""  # Or: answers 200 when it is ready.
    inherited: tuple[int, ...] = ()  # Descriptors of sockets that are already listening.

    def command(self, parent: int) -> list[str]:
        """The command line of a child of the process `parent`."""
        return [sys.executable, *QUIET, "-m", "config.child", str(parent), *self.arguments]

    def says_ready(self, line: str) -> bool:
        """Whether this line of its output means that it is ready."""
        return bool(self.ready_pattern and re.search(self.ready_pattern, line))

    def answers(self) -> bool:
        """Whether its URL answers 200 now."""
        if not self.ready_url:
            return False
        try:
            with urllib.request.urlopen(self.ready_url, timeout=2) as answer:  # noqa: S310 — our own http URL
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def mailbox(listener: socket.socket, ledger: Path) -> Program:
    """The local SMTP server, for when no EMAIL_URL is set."""
    number = listener.fileno()
    arguments = ("config.mailbox", "--fd", str(number), "--ledger", str(ledger), "--keep", "200")
    return Program("mailbox", 0, arguments, ready_pattern=r"^mailbox ready", inherited=(number,))


def web(listener: socket.socket, workers: int, threads: int) -> Program:
    """gunicorn with threads; it writes nothing into the home folder."""
    host, port = listener.getsockname()[:2]
    arguments = (
        "gunicorn",
        "config.wsgi",
        f"--bind=fd://{listener.fileno()}",
        "--worker-class=config.web_worker.PatientWorker",
        "--logger-class=config.web_worker.RedactedLogger",
        f"--workers={workers}",
        f"--threads={threads}",
        "--keep-alive=5",
        f"--graceful-timeout={GRACE_SECONDS}",
        "--no-control-socket",
        "--log-level=warning",
    )
    reachable = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104 — the operator's own choice
    url = f"http://{reachable}:{port}/healthz"
    return Program("web", 1, arguments, ready_url=url, inherited=(listener.fileno(),))


def workers(lanes: Sequence[str]) -> list[Program]:
    """One Celery worker with one process per entry; an entry is the lanes it serves, joined by commas."""
    programs: list[Program] = []
    seen: Counter[str] = Counter()
    for queues in lanes:
        kind = "worker-critical" if queues == CRITICAL_LANES else "worker"
        seen[kind] += 1
        name = kind if seen[kind] == 1 else f"{kind}-{seen[kind]}"
        arguments = (
            "celery",
            "--app=config.celery",
            "--quiet",
            "worker",
            f"--queues={queues}",
            "--concurrency=1",
            f"--hostname={name}@%h",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
            "--loglevel=INFO",
        )
        programs.append(Program(name, 2, arguments, ready_pattern=r"@\S+ ready\."))
    return programs


def beat() -> Program:
    """Celery's clock; its table of entries is in the database."""
    arguments = (
        "celery",
        "--app=config.celery",
        "--quiet",
        "beat",
        "--scheduler=django_celery_beat.schedulers:DatabaseScheduler",
        "--pidfile=",
        "--loglevel=INFO",
    )
    return Program("beat", 3, arguments, ready_pattern=r"beat: Starting")
