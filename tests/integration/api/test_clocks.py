"""The clocks of web servers and workers jump by an hour: nothing fires twice, nothing is missed."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from automation.engine.types import Priority
from automation.models import Execution
from automation.pipeline import due
from automation.pipeline.deliver import deliver_batch
from tests.factories import decide_all, make_trigger
from tests.integration.api.shops import Shop

pytestmark = pytest.mark.django_db(transaction=True)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize("workers", [-HOUR, 0 * HOUR, HOUR])
@pytest.mark.parametrize("web", [-HOUR, 0 * HOUR, HOUR])
def test_clock_jumps_fire_nothing_twice_and_miss_nothing(
    shop: Shop, web: timedelta, workers: timedelta
) -> None:
    """T14, R-007, R-023: events of now, of the future and of last week, each sent before and after the jump."""
    plain, waits = make_trigger("plain"), make_trigger("waits", timing={"kind": "delay", "minutes": 30})
    now = datetime.now(UTC)
    times = {
        "now": now,
        "ahead": now + 2 * HOUR,  # Of the future: clamped, and decided now.
        "behind": now - timedelta(days=6),
        "late": now - timedelta(days=8),
    }
    bodies = [
        {
            "event_type": "cart_abandonment",
            "customer_id": name,
            "message_id": name,
            "timestamp": at.isoformat(),
        }
        for name, at in times.items()
    ]
    bodies.append({"event_type": "cart_abandonment", "customer_id": "no time", "message_id": "no time"})
    for jump, status in ((web, "accepted"), (0 * HOUR, "duplicate"), (web, "duplicate")):
        with time_machine.travel(now + jump, tick=True):
            answer = shop.post({"events": bodies})
        assert Counter(item["status"] for item in answer.json()["results"]) == {status: 5}

    for jump in (workers, 0 * HOUR, workers):  # There, back, and there again.
        with ExitStack() as stack:
            if jump:
                stack.enter_context(time_machine.travel(datetime.now(UTC) + jump, tick=True))
            decide_all()
            for lane in Priority:
                due.decide_due(lane)
                deliver_batch(lane.lane, worker="test", limit=50)
    # Half an hour passes for PostgreSQL.
    Execution.objects.filter(trigger=waits, due_at__isnull=False).update(due_at=now - timedelta(seconds=1))
    for jump in (workers, 0 * HOUR):
        with ExitStack() as stack:
            if jump:
                stack.enter_context(time_machine.travel(datetime.now(UTC) + jump, tick=True))
            for lane in Priority:
                due.decide_due(lane)
                deliver_batch(lane.lane, worker="test", limit=50)

    for trigger in (plain, waits):
        found = Counter(
            (row.profile.customer_id, row.status) for row in Execution.objects.filter(trigger=trigger)
        )
        fired = {(name, "triggered"): 1 for name in ("now", "ahead", "behind", "no time")}
        assert {key: n for key, n in found.items() if key[1] != "suppressed"} == fired
        assert {key[0] for key in found if key[1] == "suppressed"} <= {"late"}
