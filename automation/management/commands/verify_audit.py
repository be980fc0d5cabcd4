"""Walk the chain of the audit log: exit code 1 when an entry is not as it was written."""

from __future__ import annotations

import json
import re
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from automation import audit

_ANCHOR = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")


class Command(BaseCommand):
    help = "Verify that no entry of the audit log was altered, removed or put in. Exit code 1 when one was."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--json", action="store_true", dest="as_json", help="Answer with one JSON object."
        )
        parser.add_argument(
            "--expect",
            action="append",
            default=[],
            metavar="ID:HASH",
            help="An entry as it was noted outside the database, such as a head printed earlier; may be repeated.",
        )

    def handle(self, *args: Any, as_json: bool, expect: list[str], **options: Any) -> None:
        report = audit.verify(expect=[_anchor(text) for text in expect])
        if as_json:
            self.stdout.write(json.dumps(asdict(report)))
        elif report.ok:
            erased = f", {report.erased} with personal values erased" if report.erased else ""
            self.stdout.write(f"✓ {report.checked:,} entries are as they were written{erased}.")
            self.stdout.write(f"  Note this head outside the database: {report.head_id}:{report.head_hash}")
        if not report.ok:
            raise CommandError(
                f"The audit log does not verify: {report.problem}. The last sound entry is {report.head_id}.",
                returncode=1,
            )


def _anchor(text: str) -> tuple[int, str]:
    found = _ANCHOR.fullmatch(text)
    if found is None:
        raise CommandError(f"--expect takes ID:HASH, a number and 64 hexadecimal digits; got {text!r}.")
    return int(found[1]), found[2]
