"""`manage.py bench_pages`: server time of every list of the admin over a million events."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from analytics.bench import pages
from analytics.bench.errors import UnsafeError


class Command(BaseCommand):
    """Prints the median of five answers for each page; exit code 1 above the target."""

    help = (
        "Fill an empty database with events, decisions and deliveries, and measure the server time of each list"
        " of the admin. `make pages` runs it on servers of its own."
    )
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--events", type=int, default=pages.EVENTS, help=f"default {pages.EVENTS}")
        parser.add_argument("--json", action="store_true", help="one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = pages.measured(options["events"])
        except UnsafeError as error:
            raise CommandError(str(error)) from error
        slow = [figure for figure in found if figure.median_ms > pages.TARGET_MS]
        if options["json"]:
            document = {"events": options["events"], "pages": [figure._asdict() for figure in found]}
            self.stdout.write(json.dumps(document))
        else:
            self.stdout.write(f"{'page':<48}{'median':>10}{'slowest':>10}{'queries':>9}")
            for one in found:
                self.stdout.write(
                    f"{one.page:<48}{one.median_ms:>7.0f} ms{one.slowest_ms:>7.0f} ms{one.queries:>9}"
                )
            said = f"{len(slow)} of {len(found)} pages above {pages.TARGET_MS} ms"
            self.stdout.write(f"{said}, with {options['events']:,} events")
        if slow:
            raise SystemExit(1)
