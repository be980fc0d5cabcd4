"""T6: there is no broker at all, from the start of the workers on, and the work is done all the same."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings
from django.db import connection

from automation.models import Delivery, Execution, QueuedEvent
from config.programs import ALL_LANES
from config.supervisor import Supervisor
from tests.chaos.harness.report import Report
from tests.chaos.harness.size import full_only, pick
from tests.factories import EMAIL, decide_all, incoming, known, make_trigger, send

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True), pytest.mark.timeout(240)]

NOBODY = "redis://127.0.0.1:1/0"


def run_no_broker(events: int, *, seconds: float = 60.0) -> dict[str, Any]:
    """Two workers whose Redis is a closed port, no beat; `events` mails. Needs an empty test database."""
    for start in range(0, events, 250):
        send(*(event for n in range(start, min(start + 250, events)) for event in known(f"c{n}")))
    decide_all()
    make_trigger(actions=[EMAIL])
    url = urlsplit(settings.DATABASE_URL or settings.EMBEDDED.database_url)
    environment = {
        "DATABASE_URL": urlunsplit(url._replace(path=f"/{connection.settings_dict['NAME']}")),
        "REDIS_URL": NOBODY,
        "SECRET_KEY": settings.SECRET_KEY,
        "EMAIL_URL": "",
        "BECKON_SWEEP_SECONDS": "2",
    }
    with tempfile.TemporaryDirectory(prefix="beckon-t6-") as folder:
        Path(folder).chmod(0o755)
        supervisor = Supervisor(
            environment, Path(folder), web=False, workers=[ALL_LANES] * 2, beat=False, migrate=False
        )
        supervisor.start()
        try:
            started = time.monotonic()
            for start in range(0, events, 100):
                send(*(incoming(customer_id=f"c{n}") for n in range(start, min(start + 100, events))))
            while time.monotonic() - started < seconds and not _is_done(events):
                time.sleep(0.2)
            took = time.monotonic() - started
        finally:
            supervisor.stop()
        ledger = supervisor.ledger
        mails = ledger.read_text().count("\n") if ledger is not None and ledger.exists() else 0
    return {
        "events": events,
        "decided": Execution.objects.count(),
        "sent": Delivery.objects.filter(status="sent").count(),
        "mails": mails,
        "lost": QueuedEvent.objects.count()
        + Delivery.objects.filter(status__in=["pending", "sending"]).count(),
        "seconds": round(took, 1),
    }


def _is_done(events: int) -> bool:
    return Delivery.objects.filter(status="sent").count() == events


@full_only
@pytest.mark.matrix("T6", "no broker at all, from the first moment on")
def test_without_any_broker_every_event_is_decided_and_every_mail_is_sent(report: Report) -> None:
    """T6, R-014: the watch of each worker does the work; nobody has ever connected to Redis."""
    events = pick(quick=100, full=1000)
    found = run_no_broker(events)
    report.faults, report.lost = 1, found["lost"]
    report.duplicates = found["mails"] - found["sent"]
    report.figures = {name: found[name] for name in ("events", "decided", "mails")}
    assert found | {"seconds": 0} == {
        "events": events,
        "decided": events,
        "sent": events,
        "mails": events,
        "lost": 0,
        "seconds": 0,
    }
    assert found["seconds"] < pick(quick=20, full=60)
