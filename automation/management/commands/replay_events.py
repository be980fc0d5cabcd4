"""Judge stored events again by the triggers of today, and send nothing."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections import Counter
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from automation.backtest.replay import Replay, reading
from automation.backtest.step import Ending
from automation.engine.types import Mode
from automation.engine.validate import validate_definition
from automation.engine.values import instant
from automation.models import Execution, Trigger


class Command(BaseCommand):
    help = "Judge stored events again by the live and shadow triggers of today; nothing is sent or written."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--from", dest="since", required=True, help="First moment, e.g. 2025-12-01T08:00Z."
        )
        parser.add_argument("--to", dest="until", required=True, help="Last moment.")
        parser.add_argument(
            "--shadow", action="store_true", help="Needed: judge only. There is no other way."
        )
        parser.add_argument("--trigger", help="Only the trigger with this key.")
        parser.add_argument("--json", action="store_true", dest="as_json", help="Machine-readable output.")

    def handle(
        self,
        *args: Any,
        since: str,
        until: str,
        shadow: bool,
        trigger: str | None,
        as_json: bool,
        **options: Any,
    ) -> None:
        if not shadow:
            raise CommandError("Add --shadow: events are judged again, never answered again.", returncode=2)
        first, last = _moment("--from", since), _moment("--to", until)
        if first >= last:
            raise CommandError("--to must lie after --from.", returncode=2)
        wanted = Trigger.objects.filter(mode__in=(Mode.LIVE, Mode.SHADOW), current_version__isnull=False)
        if trigger:
            wanted = wanted.filter(key=trigger)
            if not wanted.exists():
                raise CommandError(f"There is no live or shadow trigger with the key {trigger!r}.")
        rows = [_row(one, first, last) for one in wanted.select_related("current_version").order_by("key")]
        if as_json:
            answer = {"from": first.isoformat(), "to": last.isoformat(), "triggers": rows}
            self.stdout.write(json.dumps(answer, ensure_ascii=False))
            return
        self.stdout.write(
            f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC, judged again; nothing was sent."
        )
        self.stdout.write("   events     fired  held back  waiting  not met   really fired  trigger")
        for row in rows:
            self.stdout.write(
                f"{row['events']:>9,} {row['fired']:>9,} {sum(row['held_back'].values()):>10,} {row['waiting']:>8,}"
                f" {row['not_met']:>8,} {row['really_fired']:>14,}  {row['trigger']} ({row['mode']})"
            )


def _moment(option: str, text: str) -> datetime:
    moment = instant(text)
    if moment is None:
        raise CommandError(f"{option}: enter a date and time, such as 2025-12-01T08:00Z.", returncode=2)
    return moment


def _row(trigger: Trigger, since: datetime, until: datetime) -> dict[str, Any]:
    assert trigger.current_version is not None
    definition, problems = validate_definition(trigger.current_version.definition)
    if definition is None:
        raise CommandError(f"{trigger.key} cannot be read: {next(iter(problems.values())).message}")
    replay = Replay(definition, since=since, until=until, trigger_id=trigger.pk)
    with reading(patiently=True):
        replay.load(None)
        replay.run()
        really = Execution.objects.filter(
            trigger=trigger, event_at__range=(since, until), waiting=""
        ).exclude(status="suppressed")
        fired = really.count()
    endings = Counter(step.ending for step in replay.steps)
    return {
        "trigger": trigger.key,
        "mode": trigger.mode,
        "version": trigger.current_version.number,
        "events": replay.events,
        "fired": endings[Ending.FIRED],
        "held_back": dict(
            Counter(str(step.reason) for step in replay.steps if step.ending is Ending.HELD).most_common()
        ),
        "waiting": endings[Ending.WAITING],
        "not_met": endings[Ending.NOT_MET],
        "really_fired": fired,
    }
