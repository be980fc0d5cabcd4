"""Triggers from JSON files, validated as the admin validates them."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from automation import audit, transfer
from automation.audit.entries import shell
from automation.transfer import Imported

STDIN = "-"


class Command(BaseCommand):
    help = (
        "Store triggers from files of export_triggers, all or none: new ones as drafts, others in the mode they have."
        " Exits with 1 when one is refused, and prints where."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "paths", nargs="+", metavar="path", help="Files, folders of *.json, or - for standard input."
        )
        parser.add_argument(
            "--publish",
            action="store_true",
            help="Publish those whose file says shadow or live; else the engine sees nothing of them.",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="Validate and say what would change; store nothing."
        )
        parser.add_argument("--json", action="store_true", dest="as_json", help="Machine-readable output.")

    def handle(
        self, *args: Any, paths: list[str], publish: bool, dry_run: bool, as_json: bool, **options: Any
    ) -> None:
        documents = _read(paths)
        with transaction.atomic():  # Together with its entry in the audit log.
            found = transfer.bring_in(documents, by=None, is_published=publish, is_dry=dry_run)
            is_refused = any(one.problems for one in found)
            if not (dry_run or is_refused):
                _record(found)
        if as_json:
            listed = [{name: value for name, value in _document(one).items() if value} for one in found]
            self.stdout.write(json.dumps(listed, ensure_ascii=False))
        else:
            self.stdout.write("\n".join(line for one in found for line in _lines(one)))
        if is_refused:
            raise CommandError("Nothing was stored.", returncode=1)


def _read(paths: Sequence[str]) -> list[dict[str, Any]]:
    documents: list[dict[str, Any]] = []
    for path in (file for given in paths for file in _files(given)):
        try:
            text = sys.stdin.read() if path == STDIN else Path(path).read_text(encoding="utf-8")
            documents += transfer.read(text)
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.", returncode=2) from error
        except (transfer.UnreadableError, UnicodeDecodeError) as error:
            raise CommandError(f"{path}: {error}", returncode=2) from error
    keys = [one["key"] for one in documents]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise CommandError(f"More than one file is about {', '.join(twice)}.", returncode=2)
    return documents


def _files(given: str) -> list[str]:
    folder = Path(given)
    return sorted(map(str, folder.glob("*.json"))) if given != STDIN and folder.is_dir() else [given]


def _record(found: Sequence[Imported]) -> None:
    for one in found:
        if one.what != "unchanged" or one.version is not None:
            details = {
                "key": one.key,
                "what": one.what,
                "changes": one.changes[:2000],
                "version": one.version,
            }
            audit.record(
                "trigger.import", actor=shell(), target=f"automation.trigger {one.key}", details=details
            )


def _document(one: Imported) -> dict[str, Any]:
    return asdict(one) | {
        "problems": {pointer: problem._asdict() for pointer, problem in (one.problems or {}).items()}
    }


def _lines(one: Imported) -> list[str]:
    published = f", version {one.version} published" if one.version is not None else ""
    lines = [f"{one.key}: {one.what}{published}"]
    lines += [f"  {change}" for change in one.changes.splitlines()]
    for pointer, problem in (one.problems or {}).items():
        lines.append(f"  {pointer or '/'}: {problem.message} {problem.hint}".rstrip())
    return lines
