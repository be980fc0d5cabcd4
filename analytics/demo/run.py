"""The demo from an empty database to its result, against servers, web and workers that already run."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Final

from analytics.demo import article, install, summary
from analytics.demo.backdate import backdate
from analytics.demo.replay import Replay
from analytics.demo.screen import Screen
from analytics.demo.settle import settle, wait_for_room
from analytics.demo.shop import Shop, open_shop
from analytics.demo.summary import Counted, Summary
from automation.engine.types import Mode

PATIENCE: Final = 45.0  # Seconds without progress after which the run has failed; a sweep comes every ten.
MOST_WAITING: Final = (
    3_000  # Undecided events at which the replay waits: as fast as they are decided, no faster.
)
LIVE_SHARE, LIVE_MOST = 0.01, 150  # The last events come one by one, as on an ordinary day.
LIVE_PER_SECOND: Final = 20.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How large the demo is."""

    seed: int
    customers: int
    events: int


def run(
    plan: Plan, *, url: str, ledger: Path, screen: Screen, ended: Event, started: float
) -> tuple[Summary, str] | None:
    """Load, replay, wait, count. Returns the summary and the write key; None if `ended` was set before.

    `started` is when the command began (monotonic), for the seconds of the summary. Raises ReplayError or
    StuckError when the server takes or decides nothing more.
    """
    try:
        return _run(plan, url, ledger, screen, ended, started)
    except _Stopped:
        return None


class _Stopped(Exception):
    """Somebody wants the demo to end; a step that it interrupts is not reported as done."""


def _run(
    plan: Plan, url: str, ledger: Path, screen: Screen, ended: Event, started: float
) -> tuple[Summary, str]:
    began_at = datetime.now(UTC)
    with screen.step(f"shop of {plan.customers:,} customers made up from seed {plan.seed}"):
        shop = open_shop(seed=plan.seed, customers=plan.customers, events=plan.events, now=began_at)
    with screen.step("10 recipes live, a write key, the log-in demo / demo"):
        user = install.create_user()
        install.install_recipes(Mode.LIVE, by=user)
        install.suppress(shop.dead_addresses)
        token = install.issue_key()
    with Replay(url, token, ended=ended) as replay:
        before = _send(replay, shop, screen, ended)
        with screen.step("decisions moved to the days of their events"):
            backdate()
        with screen.step("numbers counted in the database, invariants verified"):
            counted, arrived = _count(ledger, ended)
            waits = summary.waits()
            checked, broken = summary.proofs()
        for line in replay.refused[:5]:
            screen.say(f"  refused: {line}")
        result = Summary(
            seed=plan.seed,
            customers=plan.customers,
            accepted=replay.accepted,
            doubles=replay.doubles,
            refused=len(replay.refused),
            counted=counted,
            smtp_received=arrived,
            lanes=summary.latencies(waits),
            lanes_live=summary.latencies(waits, before),
            broken=broken,
            invariants=checked,
            seconds=time.monotonic() - started,
        )
    return result, token


def _send(replay: Replay, shop: Shop, screen: Screen, ended: Event) -> summary.Waits:
    """Everything, and wait until it is dealt with; returns the waits before the last events."""
    # First what the shop knew before, and on one connection: so profiles get the same ids in every run.
    with screen.step(f"address book: {len(shop.address_book):,} traits and consents over HTTP"):
        replay.send(_example_customer(shop))
        replay.flood(shop.address_book, connections=1)
        _settle(ended)
    live = min(LIVE_MOST, int(len(shop.events) * LIVE_SHARE))
    flood, drip = shop.events[: len(shop.events) - live], shop.events[len(shop.events) - live :]
    with screen.progress("replaying 14 days", len(flood)) as meter:
        replay.flood(flood, pace=lambda: wait_for_room(MOST_WAITING, ended), tell=meter.advance)
    with screen.step("all of that decided, its mails sent"):
        _settle(ended)
    before = summary.waits()
    with screen.step(f"the last {live} events one by one, then the article's example"):
        replay.drip(drip, per_second=LIVE_PER_SECOND)
        replay.send((article.event(datetime.now(UTC)),))
        _settle(ended)
    return before


def _settle(ended: Event) -> None:
    if not settle(patience=PATIENCE, ended=ended):
        raise _Stopped


def _example_customer(shop: Shop) -> list[dict[str, object]]:
    """The customer of the article's example becomes known, and agrees to marketing."""
    at = shop.began_at.isoformat()
    word = {"topic": "marketing", "channel": "email", "is_granted": True}
    return [
        {"customer_id": article.CUSTOMER_ID, "event_type": name, "event_data": data, "timestamp": at}
        for name, data in (("identify", {"traits": article.TRAITS}), ("consent_changed", word))
    ]


def _count(ledger: Path, ended: Event) -> tuple[Counted, int]:
    """Both counts of one moment: the ledger is a file, so the database is asked before and after."""
    while True:
        before = summary.count(article.CUSTOMER_ID)
        arrived = summary.received(ledger)
        after = summary.count(article.CUSTOMER_ID)
        if before == after and not after.emails.get("sending"):
            return after, arrived
        _settle(ended)  # Something came due just now.
