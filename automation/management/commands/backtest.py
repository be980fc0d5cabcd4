"""What a trigger would have done, had it been live: the numbers of the preview, from all events."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from automation import backtest, reasons, wording
from automation.engine.validate import validate_definition
from automation.models import Trigger
from automation.pipeline import publish

MOST_DAYS = 366


class Command(BaseCommand):
    help = "Judge the stored events of the last days by a trigger, and print what it would have done. Sends nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("trigger", help="A trigger's key, or a JSON file with the document of one.")
        parser.add_argument("--days", type=int, default=14, help="How far back; 14 unless told.")
        parser.add_argument("--json", action="store_true", dest="as_json", help="Machine-readable output.")

    def handle(self, *args: Any, trigger: str, days: int, as_json: bool, **options: Any) -> None:
        if not 1 <= days <= MOST_DAYS:
            raise CommandError(f"--days: use 1 to {MOST_DAYS}.", returncode=2)
        document, trigger_id = _document(trigger)
        problems = publish.check(document)
        definition, _ = validate_definition(document)
        if problems or definition is None:
            lines = [f"  {pointer or '/'}: {found.message}" for pointer, found in problems.items()]
            raise CommandError("\n".join([f"{trigger} is not valid:", *lines]))
        found = backtest.run(
            definition,
            now=datetime.now(UTC),
            days=days,
            trigger_id=trigger_id,
            max_events=None,
            max_seconds=None,
        )
        if as_json:
            answer = {
                "trigger": definition.key,
                "sentence": wording.parts(document),
                "backtest": found.document(),
                "nodes": {pointer: list(counts) for pointer, counts in found.nodes.items()},
                "broken": dict(found.broken),
            }
            self.stdout.write(json.dumps(answer, ensure_ascii=False))
        else:
            self.stdout.write(_text(document, found, days))


def _document(trigger: str) -> tuple[dict[str, Any], int | None]:
    """The document named, and the id of the stored trigger it belongs to."""
    stored = Trigger.objects.filter(key=trigger).first()
    if stored is not None:
        return stored.document(), stored.pk
    try:
        document = json.loads(Path(trigger).read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"There is no trigger with the key {trigger!r}, and no such file.") from error
    except ValueError as error:
        raise CommandError(f"{trigger} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise CommandError(f"{trigger} does not hold one trigger.")
    same = Trigger.objects.filter(key=str(document.get("key", ""))).first()
    return document, same.pk if same else None


def _text(document: dict[str, Any], found: backtest.Backtest, days: int) -> str:
    said = wording.places(document)
    out = [
        wording.sentence(document),
        f"{found.since:%Y-%m-%d %H:%M} to {found.until:%Y-%m-%d %H:%M} UTC, {found.events:,} events, had it been live:",
        f"  fired        {found.fired:>9,}  for {found.customers:,} customers",
        f"  held back    {sum(found.held_back.values()):>9,}",
        *(f"    {count:>9,}  {reasons.text(reason)}" for reason, count in found.held_back.items()),
    ]
    if found.waiting:
        out.append(f"  waiting      {found.waiting:>9,}  their moment has not come")
    out += ["", "  reached    passed  condition"]
    for pointer, (reached, passed) in found.nodes.items():
        indent = "  " * (pointer.count("/") // 2 - 1)
        broken = found.broken.get(pointer)
        note = f"  ({broken:,} could not be checked)" if broken else ""
        out.append(f"{reached:>9,} {passed:>9,}  {indent}{said.get(pointer, pointer)}{note}")
    out += ["", f"  fired per day, oldest first: {' '.join(map(str, found.days))}"]
    return "\n".join(out)
