"""The demo's decisions belong to the days of their events, and every promise still holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from analytics.demo.backdate import backdate
from automation import invariants
from automation.models import Delivery, Event, Execution, SendReservation, Tally
from automation.pipeline.deliver import deliver_batch
from tests.factories import decide_all, incoming, known, make_trigger, send

pytestmark = pytest.mark.django_db(transaction=True)

MAIL = {"type": "send_email", "template_id": "hello"}


def test_what_is_over_moves_to_the_day_of_its_event(mailoutbox: list[object]) -> None:
    """Times keep their distances, counts follow, and a second call finds nothing to move."""
    past = datetime.now(UTC) - timedelta(days=5)
    make_trigger("mail", actions=[MAIL])
    make_trigger("later", actions=[MAIL], timing={"kind": "delay", "minutes": 20 * 24 * 60})
    send(*known(), incoming(at=past))
    decide_all()
    while deliver_batch("medium", worker="test", limit=10):
        pass
    waits = Execution.objects.get(trigger__key="later")
    took = (
        Execution.objects.get(trigger__key="mail").decided_at
        - Event.objects.get(name="cart_abandonment").received_at
    )
    assert backdate() == 1
    moved = Execution.objects.get(trigger__key="mail")
    assert moved.status == "triggered"
    assert abs(moved.decided_at - (past + took)) < timedelta(milliseconds=1)
    assert Execution.objects.get(trigger__key="later").decided_at == waits.decided_at
    row = Delivery.objects.get(execution_id=moved.pk)
    assert row.execution_decided_at == moved.decided_at
    assert row.finished_at is not None
    assert row.finished_at - past < timedelta(minutes=1)
    assert SendReservation.objects.get(execution_id=moved.pk).reserved_at - past < timedelta(minutes=1)
    hours = Tally.objects.filter(kind="executions", label="fired").values_list("hour", "count")
    assert list(hours) == [(moved.decided_at.replace(minute=0, second=0, microsecond=0), 1)]
    assert Tally.objects.filter(kind="executions", label="waiting:delay").count() == 1
    assert [proof.name for proof in invariants.verify() if proof.breaches] == []
    assert backdate() == 0
