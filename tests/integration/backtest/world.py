"""Random events, really decided moment by moment, and random triggers that were live while they were."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from automation.engine.conditions import model_of
from automation.engine.validate import validate_conditions
from automation.models import Execution, Trigger
from automation.pipeline import claim, decide, due, process
from automation.pipeline.decide import Decision, Outcomes
from tests.factories import EMAIL, SEGMENT, decide_all, incoming, make_trigger, send
from tests.unit.engine.documents import attribute, group, happens, leaves, row

CUSTOMERS = 24
STEP = timedelta(hours=5, minutes=7)
NAMES = ("cart_abandonment", "page_view", "product_view", "purchase_completed", "search")
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "Pacific/Auckland")
MORE = [
    happens("cart_abandonment", row("total_value", "greater_than", 50)),
    attribute("orders_count", "greater_than", 0),
    attribute("lifetime_value", "greater_than", 100),
    attribute("engagement_score", "greater_than", 0.4),
    attribute("plan", "equals", "pro"),
    attribute("country", "not_equals", "DE"),
    attribute("favorite_category", "exists"),
    {"type": "event_count", "event_type": "page_view", "value": 2, "timeframe_hours": 48},
    {"type": "absence", "event_type": "purchase_completed", "within_hours": 40},
    {"type": "absence", "event_type": "purchase_completed", "within_minutes": 500, "after": True},
    {"type": "sequence", "sequence": [{"event_type": "page_view"}, {"event_type": "cart_abandonment"}]},
    {"type": "time_based", "time_condition_type": "time_since_last_email", "hours": 30},
    {"type": "time_based", "time_condition_type": "time_of_day", "start": "08:00", "end": "20:00"},
    {"type": "segment", "segment": "seen"},
]
TIMINGS: list[dict[str, Any]] = [
    {"kind": "immediate"},
    {"kind": "immediate"},
    {"kind": "immediate"},
    {"kind": "delay", "minutes": 400},
    {"kind": "local_time", "time": "09:30"},
    {"kind": "optimal_personal", "within_hours": 24},
    {"kind": "within_24h"},
]
Answer = tuple[str, str]  # Ending and reason.


def _by_type() -> list[list[dict[str, Any]]]:
    """The documents to choose from, one list for each type of condition that is no group."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for document in [*MORE, *leaves()]:
        model = model_of(document)
        found[model.key() if model else ""].append(document)
    return list(found.values())


def conditions(chance: random.Random, number: int) -> list[dict[str, Any]]:
    """The list of the trigger with this number; together they go round all types of conditions."""
    types = _by_type()
    while True:
        picked = [chance.choice(types[(2 * number + one) % len(types)]) for one in range(2)]
        if chance.random() < 0.4:
            picked = [group(chance.choice(("any", "any", "all", "not")), *picked)]
        nodes = [happens(chance.choice(NAMES)), *picked]
        if validate_conditions(nodes)[0] is not None:
            return nodes


def triggers(chance: random.Random, count: int) -> list[Trigger]:
    """Live triggers that do not get into one another's way: only the first two send messages."""
    made = []
    for number in range(count):
        more: dict[str, Any] = {}
        if number == 0:
            more = {"conditions": [happens("cart_abandonment")], "actions": [EMAIL]}
        elif number == 1:
            more = {"actions": [EMAIL], "message_class": "transactional"}
        more.setdefault("conditions", conditions(chance, number))
        made.append(
            make_trigger(
                f"random-{number}",
                actions=more.pop("actions", [SEGMENT]),
                timing=chance.choice(TIMINGS),
                cooldown_minutes=chance.choice((None, None, 60 * 20)),
                max_per_customer=chance.choice((None, None, 2)),
                max_per_period=chance.choice((None, {"count": 1, "hours": 60})),
                dedupe_path=chance.choice(("", "", "event.data.product_id")),
                cancel_when=chance.choice(([], ["purchase_completed"])),
                holdout_percent=chance.choice((0, 20)),
                **more,
            )
        )
    return made


def event_data(chance: random.Random) -> dict[str, Any]:
    """What an event carries; now and then something that cannot be compared."""
    return {
        "total_value": chance.choice((10, 60, "75.5", 120, ["a", "list"])),
        "total": chance.choice((15, 80)),
        "product_id": f"p{chance.randint(1, 9)}",
        "category": chance.choice(("shoes", "hats")),
        "cart_id": f"c{chance.randint(1, 4)}",
        "items": [{"sku": "a", "price": chance.choice((5, 50))}],
    }


class World(NamedTuple):
    """What really happened."""

    answers: dict[tuple[int, int], Answer]  # (trigger, event) -> what the pipeline decided last.
    began: datetime
    ended: datetime
    events: int


class _Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)


@contextmanager
def _recording(patch: pytest.MonkeyPatch, answers: dict[tuple[int, int], Answer]) -> Iterator[_Clock]:
    """The pipeline with a clock of ours; what it decides is noted before repeats are collapsed."""
    clock, decide_batch, write = _Clock(), decide.decide, due._write

    def note(decision: Decision) -> None:
        key = (decision.plan.trigger.trigger_id, decision.event.id)
        if decision.status == "suppressed":
            answers[key] = ("held_back", str(decision.held[0].reason))
        else:
            answers[key] = ("waiting", "") if decision.due_at is not None else ("fired", "")

    def decided(*args: Any, **kwargs: Any) -> Outcomes:
        outcomes = decide_batch(*args, **kwargs)
        for decision in outcomes.decisions:
            note(decision)
        return outcomes

    def written(decisions: Any, *args: Any) -> None:
        for decision, _ in decisions:
            note(decision)
        write(decisions, *args)

    with patch.context() as patched:
        patched.setattr(process.decide, "decide", decided)
        patched.setattr(due, "_write", written)
        patched.setattr(claim, "moment", lambda: clock.now)
        yield clock


def _come_due(clock: _Clock, before: datetime) -> None:
    while True:
        waiting = (
            Execution.objects.filter(status="pending", due_at__lt=before).order_by("due_at", "id").first()
        )
        if waiting is None or waiting.due_at is None:
            return
        clock.now = waiting.due_at
        due._decide_chosen([waiting.pk])


def live(patch: pytest.MonkeyPatch, chance: random.Random, *, began: datetime, steps: int) -> World:
    """Let `steps` moments pass; at each of them most customers do one thing, and it is decided at once."""
    answers: dict[tuple[int, int], Answer] = {}
    count = itertools.count()
    with _recording(patch, answers) as clock:
        for number in range(steps):
            now = began + number * STEP
            _come_due(clock, now)
            events = []
            for customer in range(CUSTOMERS):
                if number and chance.random() < 0.15:
                    continue
                name = "identify" if not number else chance.choice(NAMES)
                data = event_data(chance)
                roll = chance.random()
                if not number or roll < 0.04:
                    traits = {"plan": chance.choice(("pro", "free")), "birthday": "1990-05-17"}
                    name, data = "identify", {"traits": {**traits, "email": f"c{customer}@example.com"}}
                elif number == 1 or roll < 0.1:
                    granted = number == 1 or chance.random() < 0.7
                    name = "consent_changed"
                    data = {"topic": "marketing", "channel": "email", "is_granted": granted}
                elif roll < 0.16:
                    name = "email_delivered"
                context = {"location": {"country": chance.choice(("DE", "FR"))}}
                if chance.random() < 0.5:
                    context["timezone"] = chance.choice(ZONES)  # type: ignore[assignment]
                events.append(
                    incoming(
                        name,
                        f"c{customer}",
                        data=data,
                        at=now,
                        received_at=now,
                        message_id=f"m{next(count):06}",
                        context=context,
                        session_id=f"s{customer}-{number // 3}",
                        is_late=roll > 0.98,
                        is_import=0.96 < roll < 0.98,
                    )
                )
            send(*events)
            clock.now = now
            decide_all()
        ended = began + steps * STEP
        _come_due(clock, ended)
    return World(answers, began, ended, next(count))
