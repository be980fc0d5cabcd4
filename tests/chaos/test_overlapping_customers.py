"""T26: customers are merged, renamed and written to by everybody at once: no deadlock, no torn profile."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from config.programs import ALL_LANES
from tests.chaos.harness.judge import judge
from tests.chaos.harness.report import Report
from tests.chaos.harness.scene import Scene
from tests.chaos.harness.shop import Shop
from tests.chaos.harness.size import dice, full_only

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

CLIENTS, WORKERS, SECONDS = 8, 4, 25.0
NAMES = 40  # Customers, and as many visitors without a name, shared by all clients.
WISH = 0.98
RENAMES = 0.05  # So many aliases a batch: each makes one customer of two, for good.
PREPARE = """
from tests.factories import EMAIL, SEGMENT, make_trigger
make_trigger("mail", actions=[EMAIL])
make_trigger("segment", on="wish", actions=[SEGMENT])
"""
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
# Names that lead to a customer who is no more, and merged customers from whom no way leads to a living one.
TORN = """
WITH RECURSIVE way (start, here, steps) AS (
  SELECT id, merged_into_id, 1 FROM profiles_profile WHERE merged_into_id IS NOT NULL
  UNION ALL
  SELECT start, p.merged_into_id, steps + 1 FROM way JOIN profiles_profile p ON p.id = here
  WHERE p.merged_into_id IS NOT NULL AND steps < 1000)
SELECT (SELECT count(*) FROM profiles_identity i JOIN profiles_profile p ON p.id = i.profile_id
  WHERE p.merged_into_id IS NOT NULL),
 (SELECT count(*) FROM profiles_profile p WHERE p.merged_into_id IS NOT NULL AND NOT EXISTS (
  SELECT FROM way JOIN profiles_profile q ON q.id = here WHERE start = p.id AND q.merged_into_id IS NULL))
"""


def _batch(shop: Shop, draw: random.Random) -> list[dict[str, Any]]:
    events = []
    for _ in range(draw.randint(5, 30)):
        who, visitor = f"c{draw.randrange(NAMES)}", f"v{draw.randrange(NAMES)}"
        kind = draw.random()
        if kind < 0.3:
            traits = {"traits": {"email": f"{who}@example.com", "first_name": visitor}}
            events.append(shop.event(who, "identify", data=traits, anonymous_id=visitor))
        elif kind < 0.5:
            event = shop.event(who, anonymous_id=visitor)
            del event["customer_id"]
            events.append(event)
        else:
            # Some have an action that locks the customer, too; fewer, since each is a transaction.
            events.append(shop.event(who, "wish" if kind > WISH else "cart_abandonment"))
    return events


def _rename(client: httpx.Client, shop: Shop, draw: random.Random) -> None:
    """Two customers turn out to be one: Segment's alias, repeated until it is acknowledged."""
    call = {
        "userId": f"c{draw.randrange(NAMES)}",
        "previousId": f"c{draw.randrange(NAMES)}",
        "messageId": shop.event("alias")["message_id"],
    }
    for _ in range(20):
        answer = client.post("/v1/alias", json=call)
        if answer.status_code == 200:
            shop.accepted.append(call["messageId"])
            return
        assert answer.status_code in (429, 503), answer.text
        time.sleep(0.1)


def _send(shop: Shop, draw: random.Random, until: float) -> int:
    batches = 0
    with httpx.Client(base_url=shop.url, auth=(shop.key, ""), timeout=30, trust_env=False) as client:
        while time.monotonic() < until:
            shop.send(_batch(shop, draw))
            if draw.random() < RENAMES:
                _rename(client, shop, draw)
            batches += 1
    return batches


@full_only
@pytest.mark.matrix("T26", f"{CLIENTS} clients merge and batch the same customers, {WORKERS} workers")
def test_merges_and_batches_on_the_same_customers_do_not_deadlock(
    make_scene: Callable[..., Scene], report: Report
) -> None:
    """T26, R-015: pg_stat_database.deadlocks stays as it was, and every name leads to one living customer."""
    scene = make_scene(prepare=PREPARE, workers=(ALL_LANES,) * WORKERS)
    shops = [scene.shop() for _ in range(CLIENTS)]
    before = scene.value(DEADLOCKS)
    until = time.monotonic() + SECONDS
    with ThreadPoolExecutor(CLIENTS) as pool:
        jobs = [pool.submit(_send, shop, dice(f"T26:{n}"), until) for n, shop in enumerate(shops)]
        batches = sum(job.result() for job in jobs)
    accepted = [message_id for shop in shops for message_id in shop.accepted]
    open_ = "SELECT (SELECT count(*) FROM automation_queuedevent) + (SELECT count(*) FROM automation_delivery"
    scene.wait_until(
        lambda: scene.value(f"{open_} WHERE status IN ('pending', 'sending'))") == 0,
        90,
        "all decided and delivered",
    )
    time.sleep(1)  # PostgreSQL's statistics are a second late at most.
    found = judge(scene, accepted, must_decide=False)
    found.into(report)
    says = " ".join(scene.said(name) for name in [*scene.workers, "web"])
    merged = scene.value("SELECT count(*) FROM profiles_profile WHERE merged_into_id IS NOT NULL")
    report.figures = {
        "events": len(accepted),
        "batches": batches,
        "merged": merged,
        "deadlocks": scene.value(DEADLOCKS) - before,
        "aborted": says.count("DeadlockDetected") + says.count("SerializationFailure"),
    }
    assert (report.figures["deadlocks"], report.figures["aborted"]) == (0, 0)
    assert merged > 0
    assert found.acquits(), f"seed {report.seed}: {found}"
    assert found.quarantined == []
    assert scene.rows(TORN) == [(0, 0)]
