"""Examine the installation: ✓ or ✗ with the remedy; exit code 1 when something is not well."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from automation.doctor import examine


class Command(BaseCommand):
    help = "Examine database, Redis, workers, beat, mail and clock. Exit code 1 when something is not well."
    requires_system_checks: list[str] = []  # It must run above all when things are not well.

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="Machine-readable output.")

    def handle(self, *args: Any, as_json: bool, **options: Any) -> None:
        found = examine()
        ill = [finding for finding in found if not finding.is_ok]
        if as_json:
            self.stdout.write(json.dumps({"ok": not ill, "findings": [asdict(one) for one in found]}))
        else:
            width = max(len(finding.name) for finding in found)
            for finding in found:
                self.stdout.write(f"{'✓' if finding.is_ok else '✗'} {finding.name:<{width}}  {finding.saw}")
                if finding.fix:
                    self.stdout.write(f"  {'':<{width}}  → {finding.fix}")
        if ill:
            raise CommandError(f"{len(ill)} of {len(found)} examinations are not well.", returncode=1)
