"""The health check of workers and beat looks at rows, not at processes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from analytics.management.commands.worker_health import beat_problem, lane_problem
from automation.engine.types import Priority
from automation.models import Heartbeat, QueuedEvent

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def waiting(lane: Priority, seconds: float, now: datetime = NOW) -> None:
    due = now - timedelta(seconds=seconds)
    number = QueuedEvent.objects.count() + 1
    QueuedEvent.objects.create(
        event_id=number, profile_id=1, lane=lane, shard=1, occurred_at=due, accepted_at=due, due_at=due
    )


@pytest.mark.parametrize(
    ("lane", "waited", "is_late"),
    [
        (Priority.CRITICAL, 59, False),
        (Priority.CRITICAL, 61, True),
        (Priority.HIGH, 119, False),
        (Priority.HIGH, 121, True),
        (Priority.LOW, 959, False),
        (Priority.LOW, 961, True),
        (Priority.LOW, -3600, False),  # Not due before an hour from now.
    ],
)
def test_a_lane_is_stuck_one_minute_after_its_deadline(lane: Priority, waited: float, is_late: bool) -> None:
    waiting(lane, waited)
    problem = lane_problem([lane.lane], NOW)
    assert bool(problem) == is_late
    if is_late:
        assert f"{lane.lane} {waited} s" in problem


def test_a_lane_that_is_behind_but_worked_on_is_healthy() -> None:
    waiting(Priority.HIGH, 5000)
    Heartbeat.objects.create(worker="w", lane=Priority.HIGH, backend_pid=1, at=NOW - timedelta(seconds=59))
    assert lane_problem(["high"], NOW) == ""
    Heartbeat.objects.update(at=NOW - timedelta(seconds=61))
    assert "high 5000 s" in lane_problem(["high"], NOW)


def test_other_lanes_are_no_concern_of_this_worker() -> None:
    waiting(Priority.LOW, 5000)
    assert lane_problem(["critical", "high"], NOW) == ""


def test_a_clock_that_starts_nothing_is_unhealthy() -> None:
    PeriodicTask.objects.update(last_run_at=None)
    assert "never" in beat_problem(NOW)
    PeriodicTask.objects.update(last_run_at=NOW - timedelta(minutes=5))
    assert beat_problem(NOW) == ""
    assert "No periodic task was started lately" in beat_problem(NOW + timedelta(minutes=2))


def test_the_command_says_ok_or_exits_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("worker_health", "--lanes=critical,high")
    assert capsys.readouterr().out == "ok\n"
    due = timezone.now() - timedelta(hours=1)
    QueuedEvent.objects.create(
        event_id=1,
        profile_id=1,
        lane=Priority.CRITICAL,
        shard=1,
        occurred_at=due,
        accepted_at=due,
        due_at=due,
    )
    with pytest.raises(CommandError, match=r"Events wait and nobody works on them: critical 36\d\d s"):
        call_command("worker_health", "--lanes=critical,high")
    with pytest.raises(CommandError, match="There is no lane 'URGENT'"):
        call_command("worker_health", "--lanes=urgent")
