"""T22: a worker is stopped in the middle of its calls, others take over, then it goes on where it was."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from config.mailbox import Mailbox
from config.programs import ALL_LANES
from config.supervisor import listen
from tests.chaos.harness.judge import judge
from tests.chaos.harness.report import Report
from tests.chaos.harness.scene import Scene
from tests.chaos.harness.sinks import http_sink, ok
from tests.chaos.harness.size import full_only
from tests.chaos.harness.stream import Stream

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

ROUNDS, AT_ONCE, WORKERS = 10, 2, 4
STOPS = ROUNDS * AT_ONCE
RATE, CUSTOMERS = 15, 1500
LEASE_SECONDS = 2
SLOW_SECONDS = 0.15  # A receiver's answer: most of the time a worker is in the middle of a call.
CALLS = "SELECT id, channel FROM automation_delivery WHERE status = 'sending' AND worker LIKE %s"
HELD = "SELECT count(*) FROM automation_delivery WHERE id = ANY(%s::uuid[]) AND worker LIKE ANY(%s)"
SWEEPS = "SELECT coalesce(sum(count), 0)::int FROM automation_tally WHERE kind = 'sweeps'"
SWEEP_LIMIT_SECONDS = 30.0
# Who has held the lock of the sweep and said nothing for two seconds.
SWEEPERS = """
SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.objid = 7000001 AND l.granted AND a.datname = current_database()
  AND a.state LIKE 'idle%' AND a.state_change < now() - interval '2 seconds'
"""


class SlowMailbox(Mailbox):
    """Writes at once and answers late."""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        answer = await super().handle_DATA(server, session, envelope)
        await asyncio.sleep(SLOW_SECONDS)
        return answer


@contextlib.contextmanager
def slow_mailbox(ledger: Path) -> Iterator[int]:
    """A running one; gives its port."""
    listener, mailbox, loop = listen("127.0.0.1", 2525), SlowMailbox(ledger), asyncio.new_event_loop()
    serving = loop.create_server(lambda: SMTP(mailbox, hostname="localhost", loop=loop), sock=listener)
    server = loop.run_until_complete(serving)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        mailbox.close()


def _slowly(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(SLOW_SECONDS)
    ok(handler)


def _stop_in_a_call(scene: Scene, name: str) -> set[tuple[str, str]]:
    """SIGSTOP a worker and its pool in the middle of a call; the delivery it holds."""
    calls: list[tuple[str, str]] = []

    def is_caught() -> bool:
        if not scene.rows(CALLS, f"%:{scene.pid(name)}/%"):
            return False
        scene.signal(name, signal.SIGSTOP)
        calls[:] = scene.rows(CALLS, f"%:{scene.pid(name)}/%")
        if not calls:
            scene.signal(name, signal.SIGCONT)
        return bool(calls)

    scene.wait_until(is_caught, 30, f"{name} is in the middle of a call")
    return set(calls)


def _are_rescued(scene: Scene, claims: list[list[str]]) -> bool:
    """Whether no delivery of these ids is any more in the hands of these workers."""
    return bool(scene.value(HELD, *claims) == 0)


@full_only
@pytest.mark.matrix("T22", "SIGSTOP of a worker past its lease in the middle of a call, SIGCONT")
def test_a_worker_that_wakes_up_after_its_lease_changes_nothing(
    make_scene: Callable[..., Scene], report: Report, tmp_path: Path
) -> None:
    """T22, R-013, R-026: its result is discarded; its mail is uncertain and not sent again; a webhook is called
    again with the same key; no decision is made twice.
    """
    ledger = tmp_path / "mails.jsonl"
    with http_sink(tmp_path, _slowly) as hook, slow_mailbox(ledger) as port:
        scene = make_scene(
            prepare=f"""
from tests.factories import EMAIL, make_trigger
make_trigger("mail", actions=[EMAIL])
make_trigger("hook", actions=[{{"type": "webhook", "url": "{hook.url}"}}])
""",
            workers=(ALL_LANES,) * WORKERS,
            env={
                "BECKON_WEBHOOK_PORTS": f"80,443,{hook.port}",
                "BECKON_LEASE_SECONDS": str(LEASE_SECONDS),
                "EMAIL_URL": f"smtp://127.0.0.1:{port}",
            },
        )
        scene.supervisor.ledger = ledger
        scene.introduce(CUSTOMERS)
        uncertain: set[str] = set()
        with Stream(
            scene.shop(), lambda s, n: s.event(f"c{n}"), RATE, limit=CUSTOMERS, is_patient=True
        ) as stream:
            for turn in range(ROUNDS):
                stopped = [scene.workers[(turn * AT_ONCE + n) % WORKERS] for n in range(AT_ONCE)]
                try:
                    held = set().union(*(_stop_in_a_call(scene, name) for name in stopped))
                    claims = [[id for id, _ in held], [f"%:{scene.pid(name)}/%" for name in stopped]]
                    scene.wait_until(partial(_are_rescued, scene, claims), 30, "others have taken over")
                    uncertain |= {id for id, channel in held if channel == "email"}
                finally:
                    for name in stopped:
                        scene.signal(name, signal.SIGCONT)
                report.faults += len(stopped)
        accepted = stream.accepted
        scene.wait_until(lambda: scene.is_settled(2 * len(accepted)), 90, "all decided and delivered")
        found = judge(scene, accepted)
        found.into(report)
        calls = hook.keys()
    hooks = {str(id) for (id,) in scene.rows("SELECT id FROM automation_delivery WHERE channel = 'webhook'")}
    now_uncertain = {
        id for (id,) in scene.rows("SELECT id FROM automation_delivery WHERE status = 'uncertain'")
    }
    report.figures = {
        "stale_results_discarded": scene.value(
            "SELECT coalesce(sum(count), 0)::int FROM automation_tally WHERE kind = 'lease_lost'"
        ),
        "stale_results_applied": len(uncertain - now_uncertain),
        "webhooks_repeated": sum(calls.values()) - len(calls),
        "decisions": scene.value("SELECT count(*) FROM automation_execution"),
    }
    assert report.faults == STOPS
    assert report.figures["stale_results_applied"] == 0
    assert report.figures["stale_results_discarded"] > 0
    assert report.figures["decisions"] == 2 * len(accepted)
    assert found.acquits(), f"seed {report.seed}: {found}"
    assert found.quarantined == []
    assert found.uncertain <= STOPS
    assert set(calls) == hooks


@full_only
@pytest.mark.matrix("T22", "SIGSTOP of a worker in the middle of a sweep, never continued")
def test_a_worker_that_stands_still_in_a_sweep_does_not_keep_others_from_sweeping(
    make_scene: Callable[..., Scene], report: Report
) -> None:
    """T22, R-014: its session ends, and with it its hold on the sweep; others sweep on."""
    scene = make_scene(workers=(ALL_LANES,))
    scene.wait_until(lambda: scene.value(SWEEPS) > 0, 30, "a sweep")
    scene.signal(*scene.workers, signal.SIGSTOP)  # Until the armed one has begun a sweep of its own.
    scene.armed_worker("sweep_mid:stop@1")
    scene.wait_until(lambda: scene.value(SWEEPERS) > 0, 90, "the armed worker sweeps and stands still")
    scene.signal(*scene.workers, signal.SIGCONT)
    report.faults = 1
    before = scene.value(SWEEPS)
    took = scene.wait_until(lambda: scene.value(SWEEPS) > before, SWEEP_LIMIT_SECONDS, "another sweep")
    report.figures = {"next_sweep_s": round(took, 1), "limit_s": SWEEP_LIMIT_SECONDS}
