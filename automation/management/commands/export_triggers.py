"""Triggers as JSON, for files in version control."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from automation import transfer
from automation.engine.types import Mode
from automation.models import Trigger


class Command(BaseCommand):
    help = "Write triggers as JSON: all but the archived ones, or those with the given keys."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("keys", nargs="*", metavar="key", help="Keys of triggers.")
        parser.add_argument("--folder", help="Write a file <key>.json for each into this folder.")
        parser.add_argument(
            "--dry-run", action="store_true", help="With --folder: only say what would be written."
        )
        parser.add_argument(
            "--json", action="store_true", dest="as_json", help="With --folder: list the files as JSON."
        )

    def handle(
        self, *args: Any, keys: list[str], folder: str | None, dry_run: bool, as_json: bool, **options: Any
    ) -> None:
        found = list(
            Trigger.objects.filter(key__in=keys).order_by("key")
            if keys
            else Trigger.objects.exclude(mode=Mode.ARCHIVED).order_by("key")
        )
        missing = sorted(set(keys) - {trigger.key for trigger in found})
        if missing:
            raise CommandError(f"There is no trigger {', '.join(missing)}.", returncode=2)
        if folder is None:
            self.stdout.write(transfer.text([transfer.exported(one) for one in found]), ending="")
            return
        written = []
        for trigger in found:
            path = Path(folder) / f"{trigger.key}.json"
            written.append(str(path))
            if not dry_run:
                _write(path, transfer.text(transfer.exported(trigger)))
        self.stdout.write(transfer.text({"files": written}) if as_json else "\n".join(written))


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.", returncode=2) from error
