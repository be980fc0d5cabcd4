"""`manage.py demo`: a shop, its recipes and two weeks of its events, through a whole running Beckon."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import sys
import threading
import time
from argparse import ArgumentParser
from pathlib import Path
from types import FrameType
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from analytics.demo import curl
from analytics.demo.replay import ReplayError
from analytics.demo.run import Plan, run
from analytics.demo.screen import Screen
from analytics.demo.settle import StuckError
from config.embedded import PROJECT, EmbeddedError, Paths, default_base, paths
from config.servers import keeper_lives, prepare
from config.supervisor import Supervisor, SupervisorError

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CUSTOMERS, EVENTS = 2_000, 30_000

# Servers, mail and data of the demo are its own, whatever the environment or `.env` say.
ENVIRONMENT: Final = {
    "DATABASE_URL": "",
    "REDIS_URL": "",
    "EMAIL_URL": "",
    "DEBUG": "false",
    "ALLOWED_HOSTS": "127.0.0.1,localhost",
    "SECRET_KEY": "",
    "BECKON_LATE_AFTER_DAYS": "15",  # Two weeks ago is not too late to fire.
    "BECKON_QUIET_START": "00:00",  # No quiet hours, or the night decides what the screen shows.
    "BECKON_QUIET_END": "00:00",
    "BECKON_LOG_FORMAT": "text",
    "DEFAULT_FROM_EMAIL": "Fern & Bean <hello@shop.example.com>",
}


class Command(BaseCommand):
    """Starts everything in a folder of its own, replays, shows the result, serves until Ctrl-C."""

    help = (
        "Show Beckon at work: embedded servers, web, workers and beat, a small shop whose events of two weeks"
        " are sent over HTTP, and what came of them. Uses a database of its own, made anew each time."
    )
    requires_system_checks: list[str] = []  # The database does not run yet.
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="end when the numbers are there")
        parser.add_argument(
            "--json", action="store_true", help="one JSON object on stdout, the rest on stderr"
        )
        parser.add_argument("--quiet", action="store_true", help="print the result alone")
        parser.add_argument("--seed", type=int, default=7, help="another seed, another shop (default 7)")
        parser.add_argument("--customers", type=int, default=CUSTOMERS, help=f"default {CUSTOMERS}")
        parser.add_argument("--events", type=int, default=EVENTS, help=f"about so many (default {EVENTS})")
        parser.add_argument("--port", type=int, default=8000, help="first port to try (default 8000)")
        parser.add_argument(
            "--folder", type=Path, help="its servers and data, emptied first (default: demo in BECKON_HOME)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        started = time.monotonic()
        where = paths(options["folder"] or default_base() / "demo")
        if not _is_ours(where):
            _become_ours(where, options)
        try:
            _empty(where)
        except EmbeddedError as error:
            raise CommandError(str(error)) from error
        logging.getLogger("httpx").setLevel(logging.WARNING)  # It would tell of every request.
        screen = Screen(sys.stderr if options["json"] else sys.stdout, is_quiet=options["quiet"])
        ended = threading.Event()

        def end(number: int, frame: FrameType | None) -> None:
            if ended.is_set():  # A second Ctrl-C: the kernel ends our children with us.
                os._exit(1)
            ended.set()

        former = {number: signal.signal(number, end) for number in SIGNALS}
        supervisor = Supervisor(ENVIRONMENT, base=where.base, port=options["port"])
        supervisor.env["PUBLIC_URL"] = supervisor.url
        try:
            self._run(supervisor, screen, ended, options, started)
        except (SupervisorError, EmbeddedError, ReplayError, StuckError) as error:
            raise CommandError(f"{error}\nLogs: {where.logs}") from error
        finally:
            supervisor.stop()
            for number, handler in former.items():
                signal.signal(number, handler)

    def _run(
        self,
        supervisor: Supervisor,
        screen: Screen,
        ended: threading.Event,
        options: dict[str, Any],
        started: float,
    ) -> None:
        with screen.step("PostgreSQL and Redis (embedded), migrations"):
            supervisor.start()
        with screen.step("web, two workers, beat, local SMTP server"):
            if not supervisor.wait_ready(ended=ended):
                raise SystemExit(1)
        if supervisor.port != options["port"]:
            screen.say(f"  Port {options['port']} is busy, using {supervisor.port}.")
        assert supervisor.ledger is not None
        plan = Plan(options["seed"], options["customers"], options["events"])
        found = run(
            plan,
            url=supervisor.url,
            ledger=supervisor.ledger,
            screen=screen,
            ended=ended,
            started=started,
        )
        if found is None:
            if options["once"]:
                raise SystemExit(1)
            return
        summary, token = found
        if options["json"]:
            self.stdout.write(json.dumps({**summary.document(), "url": f"{supervisor.url}/admin/"}))
            self.stdout.flush()
        else:
            screen.result(summary, url=supervisor.url, curl=curl.command(supervisor.url, token))
        if not options["once"]:
            screen.say("  Serving until Ctrl-C.")
            ended.wait()
            screen.say("  Stopping …")
        elif summary.problems:
            raise SystemExit(1)


def _is_ours(where: Paths) -> bool:
    """Whether this process has read its settings from the demo's environment."""
    is_meant = all(os.environ.get(name) == value for name, value in ENVIRONMENT.items())
    return bool(is_meant and where == settings.EMBEDDED)


def _become_ours(where: Paths, options: dict[str, Any]) -> None:
    """Start this command again with the demo's environment: settings are read once in a process."""
    arguments = [f"--{name}={options[name]}" for name in ("seed", "customers", "events", "port")]
    arguments += [f"--{name}" for name in ("once", "json", "quiet") if options[name]]
    environment = {**os.environ, **ENVIRONMENT, "BECKON_HOME": str(where.base)}
    command = [sys.executable, str(PROJECT / "manage.py"), "demo", f"--folder={where.base}", *arguments]
    sys.stdout.flush()
    os.execve(sys.executable, command, environment)  # noqa: S606 — ourselves, without a shell


def _empty(where: Paths) -> None:
    """Make the folder as if the demo had never run; refuses when it is in use, or holds other data."""
    prepare(where)
    if keeper_lives(where):
        raise CommandError(f"A demo runs in {where.base} already. Stop it (Ctrl-C), or choose --folder.")
    mark = where.state / "demo"
    if where.postgres_data.exists() and not mark.exists():
        raise CommandError(f"{where.base} holds a database that is not the demo's. Choose another --folder.")
    mark.touch()
    for folder in (where.postgres_data, where.redis_data, where.state / "mail"):
        if folder.exists():
            shutil.rmtree(folder)
