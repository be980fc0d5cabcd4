"""manage.py quarantine: what is held and why, at night and without a browser; replay or discard many at once."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Count, Max, Min, QuerySet

from automation import audit
from automation.models import QuarantinedEvent
from automation.pipeline import quarantine

SHOWN = 20  # Lines of the traceback of one event.


class Command(BaseCommand):
    help = "List the events held in quarantine by their error; replay or discard them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--error", default="", help="Only those with this error class.")
        parser.add_argument("--event", type=int, action="append", default=[], help="Only this event's id.")
        parser.add_argument("--json", action="store_true", dest="as_json", help="Machine-readable list.")
        act = parser.add_mutually_exclusive_group()
        act.add_argument("--replay", action="store_true", help="Put them back into the queue.")
        act.add_argument("--discard", metavar="NOTE", default="", help="Give them up, and say why.")

    def handle(self, *args: Any, **options: Any) -> None:
        """A replay of what is in the queue already does nothing, so it may be repeated."""
        held = QuarantinedEvent.objects.filter(state=QuarantinedEvent.State.HELD)
        if options["error"]:
            held = held.filter(error_class=options["error"])
        if options["event"]:
            held = held.filter(event_id__in=options["event"])
        if options["replay"] or options["discard"]:
            self._settle(held, options["discard"])
        elif options["as_json"]:
            self.stdout.write(json.dumps(self._groups(held), default=str))
        else:
            self._show(held)

    def _settle(self, held: QuerySet[QuarantinedEvent], note: str) -> None:
        ids = list(held.order_by("pk").values_list("event_id", flat=True))
        if not ids:
            raise CommandError("Nothing is held that matches. See what is: manage.py quarantine")
        done = [id for id in ids if (quarantine.discard(id, note) if note else quarantine.replay(id))]
        audit.record(
            "quarantine.discarded" if note else "quarantine.replayed",
            actor=audit.shell(),
            target=f"{len(done)} events",
            details={"event_ids": done[:500], "note": note},
        )
        word = "given up" if note else "put back into the queue"
        self.stdout.write(f"{len(done)} of {len(ids)} {word}.")

    def _groups(self, held: QuerySet[QuarantinedEvent]) -> list[dict[str, Any]]:
        grouped = held.values("error_class").annotate(
            events=Count("pk"), first=Min("created_at"), last=Max("created_at"), example=Max("event_id")
        )
        return [dict(group) for group in grouped.order_by("-events")]

    def _show(self, held: QuerySet[QuarantinedEvent]) -> None:
        groups = self._groups(held)
        if not groups:
            self.stdout.write("Quarantine is empty.")
            return
        for group in groups:
            self.stdout.write(
                f"{group['events']:>7,}  {group['error_class']}  from {group['first']:%Y-%m-%d %H:%M}"
                f" to {group['last']:%Y-%m-%d %H:%M} UTC, for example event {group['example']}"
            )
        newest = held.filter(event_id=groups[0]["example"]).first()
        if newest is not None:
            self.stdout.write(f"\nThe end of what event {newest.event_id} said:")
            self.stdout.write("\n".join(newest.traceback.strip().splitlines()[-SHOWN:]))
        self.stdout.write("\nAfter the cause is mended: manage.py quarantine --replay [--error CLASS]")
