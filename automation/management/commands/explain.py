"""Why did they get it, or why not? The trace of a decision as text."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from automation.explain import Explanation, NothingFoundError, explain


class Command(BaseCommand):
    help = "Explain what a trigger did for a customer: conditions with what they saw, guard rails, actions."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("customer", help="The customer's id (or anonymous id).")
        parser.add_argument(
            "about", help="A trigger's key, an event's id, or an event's name (its newest one)."
        )
        parser.add_argument("--json", action="store_true", dest="as_json", help="Machine-readable output.")

    def handle(self, *args: Any, customer: str, about: str, as_json: bool, **options: Any) -> None:
        try:
            found = explain(customer, about)
        except NothingFoundError as error:
            raise CommandError(str(error), returncode=1) from error
        if as_json:
            self.stdout.write(json.dumps([_document(one) for one in found], default=str, ensure_ascii=False))
            return
        self.stdout.write("\n\n".join(_text(one) for one in found))


def _document(one: Explanation) -> dict[str, Any]:
    return {
        **asdict(one),
        "conditions": [{**line._asdict(), "verdict": line.verdict} for line in one.conditions],
        "guards": [guard._asdict() for guard in one.guards],
    }


def _text(one: Explanation) -> str:
    version = f"version {one.version}" if one.version else "never published"
    origin = "as it was decided" if one.is_stored else "judged again, as of the event"
    out = [
        f"{one.trigger_name} ({one.trigger}, {one.mode}, {version})",
        f"{one.customer} · {one.event_name} {one.event_id} · {one.occurred_at:%Y-%m-%d %H:%M:%S} UTC",
        f"({origin})",
        f"{one.outcome.upper()}: {one.summary}",
    ]
    if one.conditions:
        out.append("")
        width = max(len(line.verdict) for line in one.conditions)
        for line in one.conditions:
            saw = f"  – saw {line.seen}" if line.seen else ""
            why = f"  {line.reason}" if line.reason else ""
            out.append(f"  {line.verdict:<{width}}  {'  ' * line.depth}{line.text}{saw}{why}")
    if one.guards:
        out += ["", "  Guard rails"]
        for guard in one.guards:
            until = f" until {guard.until:%Y-%m-%d %H:%M} UTC" if guard.until else ""
            details = f" ({guard.details})" if guard.details else ""
            out.append(f"  ✗ {guard.code}{until}: {guard.text}{details}")
    if one.actions:
        out += ["", "  Actions"]
        for action in one.actions:
            why = " ".join(filter(None, (action.reason, action.error)))
            tries = f"{action.tries} {'try' if action.tries == 1 else 'tries'}"
            out.append(f"  {action.type} by {action.channel}: {action.status}, {tries}  {why}".rstrip())
    return "\n".join(out)
