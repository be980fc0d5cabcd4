"""manage.py erase: forget a person, or let one who was forgotten come back."""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from automation import audit
from automation.privacy import AmbiguousError, Who, erase, lift
from automation.privacy.export import preview

QUIET_SECONDS = 3.0  # After this long the command says where it is.


def add_who(parser: ArgumentParser) -> None:
    """The three ways to name a person."""
    parser.add_argument("customer", nargs="?", help="The customer's id in your system.")
    parser.add_argument("--anonymous-id", help="The id of a visitor who is not known by name.")
    parser.add_argument("--email", help="The present address, when one customer has it.")


def who_of(options: dict[str, Any]) -> Who:
    """Whom the arguments name. Raises CommandError."""
    try:
        return Who(options["customer"], options["anonymous_id"], options["email"])
    except ValueError as error:
        raise CommandError(str(error)) from None


class Command(BaseCommand):
    help = "Erase everything about a person, for ever, and leave a tombstone against late events."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_who(parser)
        parser.add_argument("--yes", action="store_true", help="Do not ask.")
        parser.add_argument("--json", action="store_true", dest="as_json", help="Print one JSON object.")
        parser.add_argument(
            "--lift",
            action="store_true",
            help="Instead: let an erased person come back, as somebody new, for example after a new sign-up.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Asks for the id on a terminal; without one, --yes is needed."""
        who = who_of(options)
        if options["lift"]:
            self._lift(who, options["as_json"])
            return
        try:
            if not options["yes"]:
                self._ask(who)
            receipt = erase(who, by=audit.shell(), now=timezone.now(), progress=self._progress())
        except AmbiguousError as error:
            raise CommandError(str(error)) from None
        if options["as_json"]:
            self.stdout.write(json.dumps(receipt.document()))
            return
        self.stdout.write(f"Receipt {receipt.id}: {receipt.outcome.replace('_', ' ')}")
        for table, count in sorted(receipt.counts.items()):
            self.stdout.write(f"  {table:<30}{count:>10,}")
        self.stdout.write(f"Tombstones keep {receipt.names} of their names from coming back by a late event.")

    def _ask(self, who: Who) -> None:
        typed = who.customer_id or who.anonymous_id or who.email
        if not sys.stdin.isatty():
            raise CommandError("Nothing was erased. Add --yes where nobody can be asked.")
        found = preview(who, timezone.now())
        self.stdout.write("This cannot be undone. It concerns:")
        for table, count in sorted(found.items()):
            self.stdout.write(f"  {table:<30}{count:>10,}")
        if not found:
            self.stdout.write("  nothing that is stored; a tombstone will be left all the same")
        if input("Type the id once more to go on: ").strip() != typed:
            raise CommandError("That is not the same. Nothing was erased.")

    def _lift(self, who: Who, as_json: bool) -> None:
        freed = lift(who, by=audit.shell(), now=timezone.now())
        if as_json:
            self.stdout.write(json.dumps({"lifted": freed}))
        elif freed:
            self.stdout.write(f"{freed} names may be used again. Nothing that was erased returns.")
        else:
            raise CommandError("This name has no tombstone: nothing was changed.")

    def _progress(self) -> Any:
        started = time.monotonic()

        def tell(table: str) -> None:
            if time.monotonic() - started >= QUIET_SECONDS:
                self.stderr.write(f"… {table}")

        return tell
