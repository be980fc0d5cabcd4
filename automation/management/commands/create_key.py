"""manage.py create_key: a write key for a shop; its secret is shown once."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from automation import audit
from automation.models.keys import WriteKey


class Command(BaseCommand):
    help = "Create a write key and print it; only its hash is stored, so it can never be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="What people call it, for example the shop's name.")
        parser.add_argument(
            "--source",
            default="default",
            help="Message ids are unique within a source; a replacement shares it.",
        )
        parser.add_argument(
            "--scopes",
            default=WriteKey.Scope.EVENTS_WRITE.value,
            help=f"Comma list of {', '.join(WriteKey.Scope.values)}.",
        )
        parser.add_argument("--expires-days", type=int, default=0, help="0: it does not expire.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Nothing is created unless every argument is valid."""
        days = options["expires_days"]
        key = WriteKey(
            name=options["name"],
            source=options["source"],
            scopes=[scope.strip() for scope in options["scopes"].split(",") if scope.strip()],
            expires_at=timezone.now() + timedelta(days=days) if days > 0 else None,
        )
        token = key.issue()
        try:
            key.full_clean()
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from None
        with transaction.atomic():
            key.save()
            audit.record(
                "writekey.added",
                actor=audit.shell(),
                target=f"automation.writekey {key.pk}",
                details={
                    "name": str(key),
                    "source": key.source,
                    "scopes": key.scopes,
                    "expires_at": key.expires_at,
                },
            )
        if options["json"]:
            document = {
                "key": token,
                "name": key.name,
                "source": key.source,
                "scopes": key.scopes,
                "expires_at": key.expires_at and key.expires_at.isoformat(),
            }
            self.stdout.write(json.dumps(document))
            return
        self.stdout.write(
            f"The key of {key.name} (source {key.source}; {', '.join(key.scopes)}):\n\n  {token}\n"
        )
        self.stdout.write("Keep it now: it cannot be shown again.")
