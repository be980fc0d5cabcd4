"""`manage.py services start | stop | status`: the embedded PostgreSQL and Redis alone."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.embedded import EmbeddedError
from config.servers import Servers, keeper_lives


class Command(BaseCommand):
    """Keeps the embedded servers running without Beckon, for psql, tests or a debugger."""

    help = "Start, stop or show the embedded PostgreSQL and Redis (used when DATABASE_URL is not set)."
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=("start", "stop", "status"))

    def handle(self, *args: Any, **options: Any) -> None:
        servers = Servers()
        try:
            if options["action"] == "start":
                servers.start()
                servers.paths.pinned.touch()
                servers.stop()
            elif options["action"] == "stop":
                self._stop(servers)
        except EmbeddedError as error:
            raise CommandError(str(error)) from error
        self._show(servers)

    def _stop(self, servers: Servers) -> None:
        servers.paths.pinned.unlink(missing_ok=True)
        if keeper_lives(servers.paths):
            servers.start()
            servers.stop()  # Returns when they have ended, or at once if somebody else uses them.

    def _show(self, servers: Servers) -> None:
        pids = servers.pids()
        if not pids or not keeper_lives(servers.paths):
            self.stdout.write(f"Not running. Data: {servers.paths.state}")
            return
        for name, pid in pids.items():
            self.stdout.write(f"{name:<9} pid {pid}")
        self.stdout.write(f"DATABASE_URL={servers.database_url}\nREDIS_URL={servers.redis_url}")
        if not servers.paths.pinned.exists():
            self.stdout.write("They stop when the last command that uses them ends.")
