"""The batch decides exactly as its events would one at a time, whatever the order they came in."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from automation.engine.types import Priority
from automation.models import Event, Execution, MessageKey, QueuedEvent, SendReservation, TriggerState
from automation.pipeline.ingest import Incoming
from profiles.models import Profile
from tests.factories import EMAIL, decide_all, incoming, known, make_trigger, send

pytestmark = pytest.mark.django_db(transaction=True)

START = datetime.now(UTC) - timedelta(hours=2)
NAMES = ["product_view", "add_to_cart", "purchase_completed", "page_view", "checkout_started"]


def triggers() -> None:
    """Cooldown, limits, caps, look-backs, a dedupe key and a sequence, competing for the same customers."""
    make_trigger("cooled", on="product_view", cooldown_minutes=60)
    make_trigger("limited", on="add_to_cart", max_per_customer=2)
    make_trigger("mail-one", on="add_to_cart", actions=[EMAIL])
    make_trigger("mail-two", on="checkout_started", actions=[EMAIL], value=5)
    make_trigger("once", on="purchase_completed", dedupe_path="event.order_id")
    counted = {
        "type": "event_count",
        "event_type": "product_view",
        "operator": "greater_than_or_equal",
        "value": 3,
        "timeframe_hours": 1,
    }
    make_trigger("third", conditions=[{"type": "event_match", "event_type": "product_view"}, counted])
    steps = [{"event_type": "product_view"}, {"event_type": "add_to_cart"}]
    make_trigger("steps", conditions=[{"type": "sequence", "sequence": steps, "timeframe_hours": 1}])


def stream(seed: int, count: int) -> list[Incoming]:
    """Events of a few customers, some at the same instant, some sent twice."""
    draw = random.Random(seed)
    events = []
    for n in range(count):
        data = {"order_id": f"o{draw.randrange(6)}", "total": draw.randrange(100), "n": n}
        at = START + timedelta(seconds=draw.randrange(60) * 60)
        name, who = draw.choice(NAMES), f"c{draw.randrange(5)}"
        events.append(incoming(name, who, data=data, at=at, message_id=f"m{n:04}"))
    events += draw.sample(events, count // 5)
    return events


def outcome() -> dict[str, Any]:
    """What was decided, without the ids and moments that differ between runs."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT t.key, p.customer_id, x.status, x.reason, sum(x.held_count) FROM automation_execution x"
            " JOIN automation_trigger t ON t.id = x.trigger_id JOIN profiles_profile p ON p.id = x.profile_id"
            " GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
        )
        decisions = [tuple(map(str, row)) for row in cursor.fetchall()]
        cursor.execute(
            "SELECT t.key, e.message_id FROM automation_execution x JOIN automation_trigger t ON t.id = x.trigger_id"
            " JOIN automation_event e ON e.id = x.event_id WHERE x.status = 'pending' ORDER BY 1, 2"
        )
        fired = cursor.fetchall()
    return {"decisions": decisions, "fired": fired, "profiles": profile_hashes()}


def profile_hashes() -> dict[str, str]:
    """A hash of each profile; numbers rounded to 1e-9, since sums of floats depend on their order (R-008)."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(inner) for key, inner in sorted(value.items())}
        if isinstance(value, list):
            return [plain(inner) for inner in value]
        return round(value, 9) if isinstance(value, float) else str(value)

    hashes = {}
    for profile in Profile.objects.order_by("customer_id"):
        known_values = {
            field: plain(getattr(profile, field))
            for field in (
                "traits",
                "behavioral_patterns",
                "lifetime_value",
                "orders_count",
                "engagement_value",
                "engagement_at",
                "last_activity",
                "first_seen",
                "behavior_segment",
                "email",
            )
        }
        hashes[profile.customer_id] = hashlib.sha256(
            json.dumps(known_values, sort_keys=True).encode()
        ).hexdigest()
    return hashes


def wipe() -> None:
    """Forget all customers and decisions, keep the triggers."""
    for model in (Execution, SendReservation, TriggerState, MessageKey, QueuedEvent, Event):
        model.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM automation_delivery; DELETE FROM automation_executionkey;"
            "DELETE FROM automation_task; DELETE FROM automation_tally; DELETE FROM automation_misssample"
        )
    Profile.objects.all().delete()


PEOPLE = [event for n in range(5) for event in known(f"c{n}")]
PEOPLE = [replace(event, message_id=f"known-{n}") for n, event in enumerate(PEOPLE)]


def run(events: list[Incoming], limit: int) -> dict[str, Any]:
    wipe()
    send(*PEOPLE)
    decide_all()
    for start in range(0, len(events), 50):
        send(*events[start : start + 50])
    while QueuedEvent.objects.exists():
        for lane in Priority:
            from automation.pipeline import process

            process.decide_next(lane, limit=limit, worker="reference")
    return outcome()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_batch_decides_like_one_event_at_a_time(seed: int, settings: Any) -> None:
    """performance.md §2, T13: same stream, with duplicates; identical decisions and profiles."""
    settings.LANE_SHARERS = 1
    triggers()
    events = stream(seed, 120)
    one_by_one = run(events, limit=1)
    batched = run(events, limit=500)
    assert batched == one_by_one
    assert len(one_by_one["fired"]) > 20


def test_any_order_and_repetition_of_arrival_gives_the_same_profiles(settings: Any) -> None:
    """R-008, H-017, H-053, T13: every event three times, fully shuffled."""
    settings.LANE_SHARERS = 1
    events = stream(3, 80)
    expected = run(sorted(events, key=lambda event: event.occurred_at), limit=500)
    shuffled = events * 3
    random.Random(4).shuffle(shuffled)
    assert run(shuffled, limit=37)["profiles"] == expected["profiles"]
