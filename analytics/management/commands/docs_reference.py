"""Write the generated pages of docs/reference/ from what the code declares."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from analytics.reference import language, operation, permissions

FOLDER = Path("docs/reference")
PAGES: dict[str, Callable[[], str]] = {
    "triggers.md": language.triggers,
    "conditions.md": language.conditions,
    "actions.md": language.actions,
    "reasons.md": operation.reasons,
    "errors.md": operation.errors,
    "commands.md": operation.commands,
    "permissions.md": permissions.permissions,
}


class Command(BaseCommand):
    help = "Write the pages of docs/reference/ that follow from the code."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="Write nothing; exit code 1 when a page is stale."
        )

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        texts = {FOLDER / name: write() for name, write in PAGES.items()}
        stale = [path for path, text in texts.items() if _stored(path) != text]
        if check and stale:
            raise CommandError(
                f"Stale: {', '.join(map(str, stale))}. Run manage.py docs_reference.", returncode=1
            )
        for path in stale:
            (settings.BASE_DIR / path).parent.mkdir(parents=True, exist_ok=True)
            (settings.BASE_DIR / path).write_text(texts[path], encoding="utf-8")
            self.stdout.write(f"wrote {path}")
        if not stale:
            self.stdout.write("All pages are up to date.")


def _stored(path: Path) -> str | None:
    where = settings.BASE_DIR / path
    return where.read_text(encoding="utf-8") if where.exists() else None
