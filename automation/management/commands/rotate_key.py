"""manage.py rotate_key: a second key beside an old one, which ends some days later."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from automation import audit
from automation.models.keys import PREFIX, WriteKey
from automation.rotation import KEEP_DAYS, LONGEST_KEEP_DAYS, NotReplaceableError, replace


class Command(BaseCommand):
    help = "Replace a write key: print a new one, and let the old one end after some days."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("public_id", help="The eight characters after bk_live_; the whole key works too.")
        parser.add_argument(
            "--keep-days",
            type=int,
            default=KEEP_DAYS,
            help=f"Days that the old key still works (0 to {LONGEST_KEEP_DAYS}); 0: it ends at once.",
        )
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Nothing changes unless every argument is valid."""
        keep_days = options["keep_days"]
        if not 0 <= keep_days <= LONGEST_KEEP_DAYS:
            raise CommandError(f"--keep-days is {keep_days}: use a number from 0 to {LONGEST_KEEP_DAYS}.")
        public_id = options["public_id"].removeprefix(PREFIX)[:8]
        key = WriteKey.objects.filter(public_id=public_id).first()
        if key is None:
            raise CommandError(f"There is no key {PREFIX}{public_id}_…; the admin lists them under API keys.")
        try:
            new, token, ends_at = replace(
                key, keep_days=keep_days, now=datetime.now(UTC), actor=audit.shell()
            )
        except NotReplaceableError as error:
            raise CommandError(str(error)) from None
        if options["json"]:
            document = {"key": token, "replaces": public_id, "old_ends_at": ends_at.isoformat()}
            self.stdout.write(json.dumps(document))
            return
        self.stdout.write(f"The new key of {new.name} (source {new.source}):\n\n  {token}\n")
        self.stdout.write("Keep it now: it cannot be shown again.")
        self.stdout.write(f"The old one, {PREFIX}{public_id}_…, ends at {ends_at:%Y-%m-%d %H:%M} UTC.")
