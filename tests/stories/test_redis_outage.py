"""Redis is frozen, then gone, then back: shops notice nothing, and every mail goes out, later."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from config.programs import ALL_LANES
from config.supervisor import Supervisor

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

EACH = 40  # Customers of each phase.
SLOWER_SECONDS = 0.25  # R-010 allows so much more than in normal times.
PREPARE = """
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from tests.factories import EMAIL, make_trigger
make_trigger("cart", actions=[EMAIL])
second, _ = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
PeriodicTask.objects.filter(task="automation.tasks.periodic_sweep").update(interval=second, expire_seconds=5)
"""


@pytest.fixture
def beckon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    """A whole Beckon on servers of its own."""
    for name in ("DATABASE_URL", "REDIS_URL", "EMAIL_URL", "PUBLIC_URL", "REDIS_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    with tempfile.TemporaryDirectory(prefix="beckon-redis-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # Or root's servers, which run as another user, could not enter.
        with Supervisor(base=Path(folder), workers=[ALL_LANES], port=18_000) as running:
            running.manage("shell", "-c", PREPARE)
            assert running.wait_ready(60)
            yield running


class Shop:
    """Sends one customer after the other and keeps what was answered."""

    def __init__(self, beckon: Supervisor) -> None:
        key = json.loads(beckon.manage("create_key", "shop", "--json"))["key"]
        self.client = httpx.Client(
            base_url=beckon.url, headers={"Authorization": f"Bearer {key}"}, timeout=30
        )
        self.events: list[int] = []

    def send(self, phase: str) -> float:
        """Introduce customers and let each leave a cart; the 99th percentile of the answers in seconds."""
        took = []
        for n in range(EACH):
            who = f"{phase}-{n}"
            for body in (
                {"event_type": "identify", "event_data": {"traits": {"email": f"{who}@example.com"}}},
                {
                    "event_type": "consent_changed",
                    "event_data": {"topic": "marketing", "channel": "email", "is_granted": True},
                },
                {"event_type": "cart_abandonment", "event_data": {"total_value": 80}},
            ):
                started = time.monotonic()
                answer = self.client.post("/api/v1/events/", json={"customer_id": who, **body})
                took.append(time.monotonic() - started)
                assert answer.status_code == 202, answer.text
                self.events.append(answer.json()["event_id"])
        return statistics.quantiles(took, n=100)[-1]


def subjects(ledger: Path | None) -> list[str]:
    """To whom mail went."""
    if ledger is None or not ledger.exists():
        return []
    lines = [json.loads(line) for line in ledger.read_text().splitlines() if line.endswith("}")]
    return sorted(line["rcpt"][0] for line in lines)


def test_shops_do_not_notice_that_redis_is_frozen_or_gone_and_every_mail_goes_out_once(
    beckon: Supervisor,
) -> None:
    """R-010, R-011, H-021, H-024, H-050, S-087: requests never wait for Redis; nothing is lost or suppressed."""
    assert beckon.servers is not None
    shop = Shop(beckon)
    normal = shop.send("normal")
    beckon.servers.freeze("redis")
    frozen = shop.send("frozen")
    beckon.servers.thaw("redis")
    beckon.servers.kill("redis", stay_down=True)
    gone = shop.send("gone")
    beckon.servers.bring_up("redis")

    expected = sorted(
        f"{phase}-{n}@example.com" for phase in ("normal", "frozen", "gone") for n in range(EACH)
    )
    until = time.monotonic() + 60
    while len(subjects(beckon.ledger)) < len(expected) and time.monotonic() < until:
        time.sleep(0.2)
    assert subjects(beckon.ledger) == expected
    assert frozen <= normal + SLOWER_SECONDS
    assert gone <= normal + SLOWER_SECONDS
    for event_id in shop.events[2::3]:
        (execution,) = shop.client.get(f"/api/v1/events/{event_id}/").json()["executions"]
        assert (execution["status"], execution["reason"]) == ("triggered", "")
    assert "✗" not in beckon.manage("verify_invariants")
