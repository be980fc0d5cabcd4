"""manage.py export_customer: everything that is stored about a person, as JSON."""

from __future__ import annotations

import os
import shutil
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from automation import audit
from automation.management.commands.erase import add_who, who_of
from automation.privacy import AmbiguousError
from automation.privacy.export import exported


class Command(BaseCommand):
    help = "Write everything that is stored about a person as JSON: the tables that `erase` empties."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_who(parser)
        parser.add_argument(
            "--output", type=Path, help="File to write, readable by you alone; default: standard output."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """A file appears when it is complete."""
        target: Path | None = options["output"]
        try:
            with exported(who_of(options), by=audit.shell(), now=timezone.now()) as file:
                if target is None:
                    for line in file:
                        self.stdout.write(line.decode(), ending="")
                    return
                descriptor, draft = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
                try:
                    with os.fdopen(descriptor, "wb") as copy:
                        shutil.copyfileobj(file, copy)
                    Path(draft).replace(target)
                finally:
                    Path(draft).unlink(missing_ok=True)
        except AmbiguousError as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            raise CommandError(f"Cannot write {target}: {error.strerror}.") from None
        self.stderr.write(f"Written to {target}.")
