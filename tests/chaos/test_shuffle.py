"""T13: the same events in any order, three times each, through four workers: the same answers."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from config.programs import ALL_LANES
from tests.chaos.harness.judge import broken_invariants
from tests.chaos.harness.report import Report
from tests.chaos.harness.scene import Scene
from tests.chaos.harness.shop import Shop
from tests.chaos.harness.size import dice, pick

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

EVENTS = pick(quick=1000, full=10_000)
CUSTOMERS = pick(quick=50, full=400)
SEEDS = pick(quick=1, full=20)
TIMES = 3  # Each event is sent so often.
ENOUGH_SECONDS = 240.0  # No further seed is begun after this; the line of the table says how many there were.
CONNECTIONS = 4
NAMES = (
    "page_viewed",
    "product_viewed",
    "add_to_cart",
    "purchase_completed",
    "search",
    "identify",
    "session_ended",
)
# Neither caps nor what a customer was at the time: these answers follow from the event alone.
PREPARE = """
from tests.factories import EMAIL, SEGMENT, make_trigger
def rule(name, field, value):
    return [{"type": "event_match", "event_type": name, "data_conditions": [
        {"field": field, "operator": "greater_than", "value": value}]}]
make_trigger("big", conditions=rule("purchase_completed", "total_value", 900), actions=[EMAIL],
    message_class="transactional")
make_trigger("dear", conditions=rule("product_viewed", "price", 500), actions=[SEGMENT])
"""


class Answers(NamedTuple):
    """What came of one run, without the prefix of its customers."""

    profiles: dict[str, str]
    executions: set[tuple[str, ...]]
    sends: set[tuple[str, ...]]


_PROFILES = """
SELECT replace(p.customer_id, %(prefix)s, ''), replace((to_jsonb(p) - ARRAY['id', 'created_at', 'updated_at'])::text,
  %(prefix)s, '')
FROM profiles_profile p WHERE p.customer_id LIKE %(prefix)s || '%%'
"""
_EXECUTIONS = """
SELECT t.key, replace(p.customer_id, %(prefix)s, ''), replace(e.message_id, %(prefix)s, ''), x.status, x.reason,
  x.held_count::text
FROM automation_execution x JOIN automation_trigger t ON t.id = x.trigger_id
JOIN profiles_profile p ON p.id = x.profile_id JOIN automation_event e ON e.id = x.event_id
WHERE p.customer_id LIKE %(prefix)s || '%%'
"""
_SENDS = """
SELECT t.key, replace(p.customer_id, %(prefix)s, ''), replace(e.message_id, %(prefix)s, ''), d.channel, d.status
FROM automation_delivery d JOIN automation_trigger t ON t.id = d.trigger_id
JOIN profiles_profile p ON p.id = d.profile_id JOIN automation_event e ON e.id = d.event_id
WHERE p.customer_id LIKE %(prefix)s || '%%'
"""


def _profiles(rows: Iterable[tuple[str, str]]) -> dict[str, str]:
    """State by customer, as canonical JSON. Sums of floats differ in their last digit by the order of adding."""

    def rounded(text: str) -> float:
        return round(float(text), 9)

    return {who: json.dumps(json.loads(state, parse_float=rounded), sort_keys=True) for who, state in rows}


def events_of(draw: random.Random, now: datetime) -> list[dict[str, Any]]:
    """In order of (time, message id); many share a second."""
    start = now - timedelta(days=5)
    drawn = []
    for number in range(EVENTS):
        name = draw.choice(NAMES)
        data: dict[str, Any] = {
            "total_value": round(draw.uniform(1, 1000), 2),
            "price": round(draw.uniform(1, 1000), 2),
            "order_id": f"o-{number}",
            "product_id": f"p-{draw.randrange(50)}",
        }
        if name == "identify":
            data = {"traits": {"plan": draw.choice("abc"), draw.choice("xyz"): draw.randrange(9)}}
        at = start + timedelta(seconds=draw.randrange(400_000))
        who, id = f"{draw.randrange(CUSTOMERS)}", f"m{draw.randrange(10**9):09}-{number}"
        drawn.append((at, id, who, name, data))
    drawn.sort(key=lambda row: row[:2])
    return [
        {
            "timestamp": at.isoformat(),
            "message_id": id,
            "customer_id": who,
            "event_type": name,
            "event_data": data,
        }
        for at, id, who, name, data in drawn
    ]


def introductions(now: datetime) -> list[dict[str, Any]]:
    """Who the customers are, before all else."""
    at = (now - timedelta(days=6)).isoformat()
    return [
        {
            "timestamp": at,
            "message_id": f"i{n}",
            "customer_id": f"{n}",
            "event_type": "identify",
            "event_data": {"traits": {"email": f"c{n}@example.com", "first_name": f"c{n}"}},
        }
        for n in range(CUSTOMERS)
    ]


def named(event: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The event as the one of another run."""
    mine = {key: prefix + event[key] for key in ("message_id", "customer_id")}
    return {**event, **mine}


def send(shop: Shop, events: list[dict[str, Any]], connections: int) -> None:
    """Over several connections at once."""
    shops = [Shop(shop.url, shop.key) for _ in range(connections)]
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            shops[number].send(events[number::connections])
        except BaseException as error:  # noqa: BLE001 — raised again below.
            failed.append(error)

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in shops:
        each.close()
    if failed:
        raise failed[0]


def run(
    scene: Scene,
    shop: Shop,
    people: list[dict[str, Any]],
    events: list[dict[str, Any]],
    number: int,
    connections: int,
) -> Answers:
    """Send the events for customers of their own, and wait for all answers."""
    prefix = f"run{number}-"
    shop.send(named(event, prefix) for event in people)
    scene.wait_until(lambda: scene.is_settled(0), 120, "introduced")
    send(shop, [named(event, prefix) for event in events], connections)
    scene.wait_until(lambda: scene.is_settled(0), 120, "decided and delivered")
    named_by = {"prefix": prefix}
    return Answers(
        _profiles(scene.rows(_PROFILES, named_by)),
        set(scene.rows(_EXECUTIONS, named_by)),
        set(scene.rows(_SENDS, named_by)),
    )


@pytest.mark.matrix("T13", f"{EVENTS:,} events x {TIMES} in any order, 4 workers")
def test_order_and_repeats_change_no_answer(make_scene: Callable[..., Scene], report: Report) -> None:
    """T13, R-002, R-008, R-017: profiles, executions and sends equal those of the sorted single run."""
    started = time.monotonic()
    scene = make_scene(prepare=PREPARE, workers=(ALL_LANES,) * 4)
    shop = scene.shop()
    now = datetime.now(UTC)
    people, events = introductions(now), events_of(dice("T13"), now)
    wanted = run(scene, shop, people, events, 0, 1)
    assert len(wanted.profiles) == CUSTOMERS
    assert wanted.executions
    assert wanted.sends
    done = 0
    for seed in range(1, SEEDS + 1):
        if time.monotonic() - started > ENOUGH_SECONDS:
            break
        shuffled = events * TIMES
        random.Random(f"{report.seed}:{seed}").shuffle(shuffled)
        found = run(scene, shop, people, shuffled, seed, CONNECTIONS)
        different = [who for who, state in wanted.profiles.items() if found.profiles.get(who) != state]
        assert not different, (
            f"seed {report.seed}:{seed}\n{wanted.profiles[different[0]]}\n{found.profiles.get(different[0])}"
        )
        assert found.executions == wanted.executions, f"seed {report.seed}:{seed}"
        assert found.sends == wanted.sends, f"seed {report.seed}:{seed}"
        done += 1
        report.faults += len(shuffled) - len(events)  # Repeats.
        report.figures = {
            "seeds": done,
            "of": SEEDS,
            "executions": len(wanted.executions),
            "sends": len(wanted.sends),
            "events_per_s": round((done * TIMES + 1) * EVENTS / (time.monotonic() - started)),
        }
    mails = [mail["message_id"] for mail in scene.received()]
    report.duplicates = len(mails) - len(set(mails))
    wanted_mails = (done + 1) * sum(send[3] == "email" for send in wanted.sends)
    report.lost = wanted_mails - len(set(mails))
    assert report.duplicates == 0
    assert report.lost == 0
    assert broken_invariants(scene) == []
