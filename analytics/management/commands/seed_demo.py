"""`manage.py seed_demo`: the demo's recipes, customers and events into the configured database."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand

from analytics.demo.recipes import recipes
from analytics.demo.screen import Screen
from analytics.demo.seed import seed
from analytics.demo.shop import open_shop
from automation.engine.types import Mode


class Command(BaseCommand):
    """Sends nothing unless it is told to: the recipes are put into shadow mode."""

    help = (
        "Load the demo shop into the configured database: ten recipes, customers, two weeks of events. "
        "Workers that run there decide them. In shadow mode (the default) nothing is sent."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--mode", choices=("draft", "shadow", "live"), default="shadow")
        parser.add_argument("--seed", type=int, default=7)
        parser.add_argument("--customers", type=int, default=2_000)
        parser.add_argument("--events", type=int, default=30_000, help="about how many events")
        parser.add_argument("--dry-run", action="store_true", help="say what would be loaded, change nothing")
        parser.add_argument("--quiet", action="store_true", help="print no progress")
        parser.add_argument(
            "--json", action="store_true", help="one JSON object on stdout, the rest on stderr"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        screen = Screen(sys.stderr if options["json"] else sys.stdout, is_quiet=options["quiet"])
        shop = open_shop(
            seed=options["seed"],
            customers=options["customers"],
            events=options["events"],
            now=datetime.now(UTC),
        )
        found = {
            "customers": len(shop.customers),
            "events": len(shop) - shop.doubles,
            "recipes": len(recipes()),
            "mode": options["mode"],
            "new_events": 0,
        }
        if not options["dry_run"]:
            with screen.progress("loading", len(shop)) as meter:
                found["new_events"] = seed(shop, Mode(options["mode"]), tell=meter.advance)
        if options["json"]:
            self.stdout.write(json.dumps(found))
            return
        verb = "Would load" if options["dry_run"] else "Loaded"
        self.stdout.write(
            f"{verb} {found['recipes']} recipes ({found['mode']}), {found['customers']:,} customers"
            f" and {found['events']:,} events."
        )
