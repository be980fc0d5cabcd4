"""manage.py tombstones: a list to keep beside the backups, and what to do with it after a restore."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from automation import audit
from automation.privacy import restored


class Command(BaseCommand):
    help = "Print the tombstones of erased people, or erase again whom a restored backup brought back."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--apply", metavar="FILE", default="", help="A list printed before; - for standard input."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Without arguments prints one keyed hash a line; nothing can be read from it without SECRET_KEY."""
        if not options["apply"]:
            for digest in restored.listed():
                self.stdout.write(digest)
            return
        try:
            text = sys.stdin.read() if options["apply"] == "-" else Path(options["apply"]).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"The list cannot be read: {error}") from None
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        for number, line in enumerate(lines, start=1):
            if not restored.DIGEST.fullmatch(line):
                raise CommandError(
                    f"Line {number} is no tombstone: {line[:20]!r}. Give a list that `manage.py tombstones` printed."
                )
        done = restored.forget_again(lines, by=audit.shell(), now=timezone.now())
        self.stdout.write(f"{done.erased} people erased again, {done.buried} tombstones put back.")
