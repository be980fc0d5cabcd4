"""`manage.py retention`: make coming partitions, drop those past the retention."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from automation import audit
from automation.models.partitioned import expired_partitions, missing_partitions, month_start
from automation.pipeline import retention


class Command(BaseCommand):
    help = "Make the partitions of the coming months and drop those older than BECKON_RETENTION_MONTHS."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only say what would be done.")
        parser.add_argument("--json", action="store_true", help="Answer with one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        now = datetime.now(UTC)
        if options["dry_run"]:
            oldest = month_start(now, -settings.RETENTION_MONTHS)
            done = {"made": missing_partitions(now, back=0), "dropped": expired_partitions(oldest)}
        else:
            done = retention.keep(now)
            audit.record("retention.kept", actor=audit.shell(), details=done)
        if options["json"]:
            self.stdout.write(json.dumps(done))
            return
        word = "would be " if options["dry_run"] else ""
        for verb, names in done.items():
            listed = ", ".join(names) or "none"
            self.stdout.write(f"Partitions {word}{verb}: {listed}")
