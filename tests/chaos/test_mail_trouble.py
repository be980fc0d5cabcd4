"""T10: a mail server that refuses, hangs up in the middle, hangs and drips."""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.harness.report import Report
from tests.chaos.harness.scene import Scene
from tests.chaos.harness.shop import Shop
from tests.chaos.harness.sinks import http_sink
from tests.chaos.harness.size import full_only
from tests.chaos.harness.smtpsink import smtp_sink
from tests.chaos.harness.stream import Stream

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

EACH = 100
RATE = 60
BLOCKED_SECONDS = 15.0
# Healthy mails between the others: a quarter are outages. At half of them the circuit of the one mail server would
# open, as it should, and most would never be tried.
PATTERN = (
    *("ok", "421", "ok", "ok", "450", "ok", "ok", "drop-before"),
    *("ok", "550", "ok", "ok", "drop-after", "ok", "554", "ok"),
)
# status and attempts in the end, whether the address is suppressed, how often the server has the message.
OUTCOMES = {
    "ok": ("sent", 1, False, 1),
    "421": ("sent", 2, False, 1),
    "450": ("sent", 2, False, 1),
    "550": ("failed", 1, True, 0),
    "554": ("failed", 1, False, 0),
    "drop-before": (
        "sent",
        None,
        False,
        1,
    ),  # On a connection that was open already it is dialled anew at once.
    "drop-after": ("uncertain", 1, False, 1),
    "down": ("sent", None, False, 1),
}


def _triggers(hook: str) -> str:
    return f"""
from tests.factories import EMAIL, make_trigger
make_trigger("mail", actions=[EMAIL])
make_trigger("hook", on="page_viewed", actions=[{{"type": "webhook", "url": "{hook}"}}])
"""


def _introduce(scene: Scene, shop: Shop, addresses: list[str]) -> None:
    events: list[dict[str, Any]] = []
    for address in addresses:
        consent = {"topic": "marketing", "channel": "email", "is_granted": True}
        events.append(shop.event(address, "identify", data={"traits": {"email": f"{address}@example.com"}}))
        events.append(shop.event(address, "consent_changed", data=consent))
    shop.send(events)
    scene.wait_until(lambda: scene.is_settled(0), 120, "introduced")


_FOUND = """
SELECT split_part(p.customer_id, '.', 1), p.email, d.status, d.tries, s.address IS NOT NULL
FROM automation_delivery d JOIN profiles_profile p ON p.id = d.profile_id
LEFT JOIN profiles_addresssuppression s ON s.channel = 'email' AND s.address = p.email
WHERE d.channel = 'email'
"""
_OPEN = (
    "SELECT count(*) FROM automation_delivery WHERE channel = 'email' AND status IN ('pending', 'sending')"
)


def _hooks_p99(scene: Scene, shop: Shop, turn: str) -> float:
    """Of 100 webhooks to a receiver that works: seconds from the decision to the end of the call."""
    since = str(scene.value("SELECT now()"))
    with Stream(
        shop, lambda s, n: s.event(f"{turn}{n}", "page_viewed"), 25, limit=100, is_patient=True
    ) as stream:
        stream.join()
    query = (
        "SELECT extract(epoch FROM finished_at - created_at)::float8 FROM automation_delivery"
        " WHERE channel = 'webhook' AND created_at >= %s::timestamptz AND status = 'sent'"
    )
    scene.wait_until(lambda: len(scene.rows(query, since)) == 100, 60, "webhooks go on")
    return statistics.quantiles([seconds for (seconds,) in scene.rows(query, since)], n=100)[98]


@full_only
@pytest.mark.matrix("T10", "SMTP refused, 421, 450, 550, 554, drops, hang, drip; 100 each")
def test_each_failure_of_the_mail_server_has_its_outcome(
    make_scene: Callable[..., Scene], report: Report, tmp_path: Path
) -> None:
    """T10, R-028, R-029, R-030, R-031: retry, uncertain or final as the table says; no worker is held for more
    than 15 s; while the server hangs, webhooks go on.
    """
    turns = itertools.cycle(PATTERN)
    names = [f"{next(turns)}.{n}" for n in range(EACH * len(PATTERN))]
    down = [f"down.{n}" for n in range(EACH)]
    stuck = [f"{('hang', 'drip')[n % 2]}.{n}" for n in range(2 * EACH)]
    with smtp_sink() as sink, http_sink(tmp_path) as hook:
        scene = make_scene(
            prepare=_triggers(hook.url),
            env={
                "EMAIL_URL": sink.url,
                "BECKON_WEBHOOK_PORTS": f"80,443,{hook.port}",
                "BECKON_LEASE_SECONDS": "30",
            },
        )
        shop = scene.shop()
        _introduce(scene, shop, names + down + stuck)
        normal = _hooks_p99(scene, shop, "normal")

        # One after the other: refused connections, then answers of all kinds.
        sink.go_down()
        shop.send(shop.event(name) for name in down)
        tried = "SELECT count(*) FROM automation_delivery WHERE channel = 'email' AND error_class = %s"
        scene.wait_until(lambda: scene.value(tried, "smtp_connection") >= 3, 30, "refused")
        scene.wait_until(lambda: scene.value(_OPEN) == EACH, 60, "all decided, none lost or sent")
        wasted = int(scene.value("SELECT sum(tries) FROM automation_delivery WHERE channel = 'email'"))
        sink.come_up()
        # Fresh processes, and nothing in Redis: circuits are closed again.
        for worker in scene.workers:
            scene.kill(worker)
        scene.redis.flushall()
        scene.rows("UPDATE automation_delivery SET due_at = now() WHERE status = 'pending' RETURNING 1")
        for worker in scene.workers:
            scene.revive(worker, wait=False)
        scene.supervisor.wait_ready(60)
        with Stream(shop, lambda s, n: s.event(names[n]), RATE, limit=len(names), is_patient=True) as stream:
            stream.join()
        scene.wait_until(lambda: scene.value(_OPEN) == 0, 120, "every mail has its outcome")
        received = Counter(address for address, _ in sink.ledger)
        wrong = [
            (kind, email, status, tries, dead, received[email])
            for kind, email, status, tries, dead in scene.rows(_FOUND)
            if (status, OUTCOMES[kind][1] and tries, dead, received[email]) != OUTCOMES[kind]
        ]
        # Each worker that we killed may have been in the middle of one call.
        cut = [found for found in wrong if found[0] == "down" and found[2:4] == ("uncertain", 1)]
        wrong = [found for found in wrong if found not in cut[: len(scene.workers)]]
        found = Counter(kind for kind, *_ in scene.rows(_FOUND))

        # The server hangs and drips: webhooks while it is found out, and after.
        shop.send(shop.event(name) for name in stuck)
        at_first = _hooks_p99(scene, shop, "first")
        scene.wait_until(lambda: scene.redis.keys("*email:127.0.0.1*") != [], 90, "the circuit is open")
        after = _hooks_p99(scene, shop, "after")
        held = scene.value(
            "SELECT max(extract(epoch FROM finished_at - sending_at))::float8 FROM automation_delivery"
            " WHERE channel = 'email' AND status = 'uncertain' AND error_class = 'smtp_no_answer'"
        )
        ended = scene.rows(
            "SELECT status, error_class, count(*) FROM automation_delivery d JOIN profiles_profile p"
            " ON p.id = d.profile_id WHERE p.email ~ '^(hang|drip)' GROUP BY 1, 2"
        )
        report.faults = len(names) + len(down) + len(stuck)
        report.uncertain = scene.value("SELECT count(*) FROM automation_delivery WHERE status = 'uncertain'")
        ids = Counter(id for _, id in sink.ledger)
        report.duplicates = sum(n > 1 for n in ids.values())
        report.lost = len(wrong)
        report.figures = {
            "outcomes": dict(found),
            "wrong": len(wrong),
            "tries_when_down": wasted,
            "held_s": round(held, 1),
            "stuck": {f"{status} {error}".strip(): n for status, error, n in ended},
            "hooks_p99_s": {
                "normal": round(normal, 2),
                "hanging": round(at_first, 2),
                "open": round(after, 2),
            },
        }
        assert not wrong, wrong[:5]
        assert found == Counter(dict.fromkeys(OUTCOMES, EACH) | {"ok": EACH * PATTERN.count("ok")})
        assert report.duplicates == 0
        assert held <= BLOCKED_SECONDS + 1
        assert {(status, error) for status, error, _ in ended} <= {
            ("uncertain", "smtp_no_answer"),
            ("pending", ""),
            ("pending", "circuit_open"),
            ("sending", ""),
        }
        assert after <= 1.2 * normal + 0.2
