"""`manage.py worker_health`: does the work get done? For the health checks of docker-compose.yml."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Max, Min
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from automation.engine.types import Priority
from automation.models import Heartbeat, QueuedEvent

GRACE = timedelta(seconds=60)  # Over a lane's deadline, before an undecided event means something is wrong.
FRESH = timedelta(seconds=60)  # A batch begun so lately means that the lane is behind, not stuck.
BEAT_FRESH = timedelta(minutes=6)  # The scheduler writes its last runs every three minutes.


class Command(BaseCommand):
    """A running process proves nothing: Celery's worst failures keep it. So look at the rows.

    Exit code 1 with the reason when the oldest due event of a lane is over its limit and no worker has begun
    a batch of these lanes lately; with --beat, when no periodic task was started lately.
    """

    help = "Exit 1 when events of the given lanes wait too long and nobody works on them."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        every = ",".join(priority.lane for priority in Priority)
        parser.add_argument("--lanes", default=every, help=f"lanes to look at, by default {every}")
        parser.add_argument("--beat", action="store_true", help="look at the clock instead of the lanes")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        problem = beat_problem(now) if options["beat"] else lane_problem(options["lanes"].split(","), now)
        if problem:
            raise CommandError(problem)
        self.stdout.write("ok")


def lane_problem(lanes: list[str], now: datetime) -> str:
    """What is wrong with these lanes; empty when nothing is."""
    try:
        chosen = [Priority[lane.strip().upper()] for lane in lanes]
    except KeyError as error:
        raise CommandError(f"There is no lane {error}.") from error
    oldest = dict(
        QueuedEvent.objects.filter(lane__in=chosen, due_at__lte=now)
        .values_list("lane")
        .annotate(oldest=Min("due_at"))
    )
    late = [lane for lane in chosen if lane in oldest and now - oldest[lane] > lane.deadline + GRACE]
    last = Heartbeat.objects.filter(lane__in=chosen).aggregate(last=Max("at"))["last"]
    if not late or (last is not None and now - last < FRESH):
        return ""
    waited = ", ".join(f"{lane.lane} {(now - oldest[lane]).total_seconds():.0f} s" for lane in late)
    return f"Events wait and nobody works on them: {waited}. Last batch: {last or 'never'}."


def beat_problem(now: datetime) -> str:
    """What is wrong with the clock; empty when nothing is."""
    last = PeriodicTask.objects.aggregate(last=Max("last_run_at"))["last"]
    if last is not None and now - last < BEAT_FRESH:
        return ""
    return f"No periodic task was started lately. Last: {last or 'never'}."
