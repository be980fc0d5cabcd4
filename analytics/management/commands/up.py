"""`manage.py up`: the whole of Beckon in one terminal."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from argparse import ArgumentParser
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.embedded import EmbeddedError
from config.programs import ALL_LANES, CRITICAL_LANES
from config.supervisor import Supervisor, SupervisorError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Command(BaseCommand):
    """Starts servers if needed, migrates, then runs mailbox, web, workers and beat until Ctrl-C."""

    help = "Run all of Beckon in this terminal: servers, web, workers, beat. Ctrl-C stops everything."
    requires_system_checks: list[str] = []  # The database may not be running yet.
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
        parser.add_argument("--port", type=int, default=8000, help="first port to try (default 8000)")
        parser.add_argument("--web-workers", type=int, default=2, help="web processes of 8 threads each")
        parser.add_argument(
            "--workers",
            type=int,
            default=1,
            help="workers for all lanes, beside the one for critical and high",
        )
        parser.add_argument("--quiet", action="store_true", help="do not print what the parts of Beckon log")

    def handle(self, *args: Any, **options: Any) -> None:
        os.environ.setdefault("BECKON_LOG_FORMAT", "text")
        ended = threading.Event()

        def end(number: int, frame: FrameType | None) -> None:
            if ended.is_set():  # A second Ctrl-C: the kernel ends our children with us.
                os._exit(1)
            ended.set()

        former = {number: signal.signal(number, end) for number in SIGNALS}
        supervisor = Supervisor(
            host=options["host"],
            port=options["port"],
            web_workers=options["web_workers"],
            workers=[CRITICAL_LANES, *[ALL_LANES] * options["workers"]],
            log=(lambda name, line: None) if options["quiet"] else self._print_line,
        )
        try:
            supervisor.start()
            if supervisor.port != options["port"]:
                self.stdout.write(f"Port {options['port']} is busy, using {supervisor.port}.")
            self._await(supervisor, ended)
        except (SupervisorError, EmbeddedError) as error:
            raise CommandError(str(error)) from error
        finally:
            supervisor.stop()
            for number, handler in former.items():
                signal.signal(number, handler)
        self.stdout.write("Stopped.")

    def _await(self, supervisor: Supervisor, ended: threading.Event) -> None:
        if not supervisor.wait_ready(ended=ended):
            return
        self.stdout.write(self.style.SUCCESS(f"Beckon is ready: {supervisor.url}/admin/  (Ctrl-C stops it)"))
        if supervisor.ledger:
            self.stdout.write(f"No EMAIL_URL is set: mail is written to {supervisor.ledger}")
        self.stdout.flush()
        ended.wait()
        self.stdout.write("Stopping…")
        self.stdout.flush()

    def _print_line(self, name: str, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # Nobody reads any more; Beckon runs on.
            sys.stdout.write(f"{name:<15} | {line}\n")
            sys.stdout.flush()
