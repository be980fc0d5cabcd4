"""`manage.py bench`: measure this version beside a floor and two peers (docs/benchmarks.md)."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import threading
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from analytics.bench import printing, sizes
from analytics.bench.errors import BenchError
from analytics.bench.run import all_keys, run
from analytics.bench.site import Site
from config.embedded import broker_url
from config.servers import Servers
from config.supervisor import Supervisor

SIGN_OF_LIFE_SECONDS = 5.0


class Command(BaseCommand):
    """Runs on servers of its own in a temporary folder, or on those of DATABASE_URL and REDIS_URL."""

    help = "Measure throughput, latency and memory; prints nothing that was not accounted for."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """How much, and what."""
        parser.add_argument("--quick", action="store_true", help="Two minutes; says what it shrinks.")
        parser.add_argument("--tiny", action="store_true", help="Only proves that the bench works.")
        parser.add_argument("--json", action="store_true", help="One JSON object on stdout.")
        parser.add_argument("--markdown", action="store_true", help="The table of docs/benchmarks.md.")
        parser.add_argument("--only", default="", metavar="KEY[,KEY]", help="Measure only these keys.")
        parser.add_argument("--list", action="store_true", help="List the keys and end.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Measure and print."""
        if options["list"]:
            self.stdout.write("\n".join(all_keys()))
            return
        wanted = [key for key in options["only"].split(",") if key]
        if unknown := sorted(set(wanted) - set(all_keys())):
            raise CommandError(f"Unknown keys: {', '.join(unknown)}. `--list` lists them.")
        chosen = sizes.TINY if options["tiny"] else sizes.QUICK if options["quick"] else sizes.FULL
        try:
            with _told() as tell, _site() as site:
                figures = run(site, chosen, wanted, tell)
        except BenchError as error:
            raise CommandError(f"No figures: {error} ({type(error).__name__})") from error
        if options["json"]:
            self.stdout.write(json.dumps(figures))
        elif options["markdown"]:
            self.stdout.write(printing.markdown(figures))
        else:
            printing.show(figures)


@contextmanager
def _site() -> Iterator[Site]:
    """Servers and a folder for this run; both are gone afterwards."""
    base = Path(tempfile.mkdtemp(prefix="beckon-bench-"))
    base.chmod(0o755)  # The embedded servers may run as another user.
    try:
        database, redis = settings.DATABASE_URL, settings.REDIS_URL
        if database and redis:
            with Site(base, database, redis, broker_url(redis), Supervisor) as site:
                yield site
            return
        with Servers(base) as servers:
            urls = servers.database_url, servers.redis_url, broker_url(servers.redis_url)
            with Site(base, *urls, Supervisor, lambda: list(servers.pids().values())) as site:
                yield site
    finally:
        shutil.rmtree(base, ignore_errors=True)


@contextmanager
def _told() -> Iterator[Any]:
    """A function that tells stderr what is going on; a line comes at least every few seconds."""
    started = told_at = time.monotonic()
    last = "starting"
    ended = threading.Event()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {text}", file=sys.stderr, flush=True)

    def tell(text: str) -> None:
        nonlocal last, told_at
        last, told_at = text, time.monotonic()
        say(text)

    def watch() -> None:
        while not ended.wait(SIGN_OF_LIFE_SECONDS):
            if time.monotonic() - told_at >= SIGN_OF_LIFE_SECONDS:
                say(f"… (since: {last})")

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield tell
    finally:
        ended.set()
