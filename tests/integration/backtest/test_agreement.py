"""The backtest and the pipeline decide the same: there is one evaluator."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from automation.backtest.replay import Replay, reading
from automation.engine.validate import validate_definition
from automation.models import Event, Trigger
from automation.models.partitioned import ensure_partitions
from automation.pipeline import plan
from tests.integration.backtest.world import STEP, Answer, World, live, triggers

pytestmark = pytest.mark.django_db(transaction=True)

STEPS, TRIGGERS = 50, 12


def replayed(trigger: Trigger, since: datetime, until: datetime) -> dict[int, Answer]:
    """Event -> how the backtest says it ended, as the pipeline would record it."""
    definition, problems = validate_definition(trigger.document())
    assert definition is not None, problems
    replay = Replay(definition, since=since, until=until, trigger_id=trigger.pk)
    with reading():
        replay.load(None)
        replay.run()
    # A repeat of a value that was decided before leaves no decision behind.
    kept = [s for s in replay.steps if s.ending != "not_met" and s.reason != "duplicate"]
    return {step.event.id: (str(step.ending), str(step.reason)) for step in kept}


def test_preview_and_engine_agree_on_a_thousand_events(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """Same ending and same reason for every event and trigger, also in the night and after delays."""
    settings.QUIET_HOURS = (time(21), time(8))
    plan.policy.cache_clear()
    chance = random.Random(4)
    made = triggers(chance, TRIGGERS)
    now = datetime.now(UTC)
    began = now.replace(hour=3, minute=14) - STEPS * STEP - timedelta(days=2)
    ensure_partitions(now, back=2)
    world = live(monkeypatch, chance, began=began, steps=STEPS)
    assert world.events >= 1000
    seen = Counter(answer for answer in world.answers.values())
    print(world.events, seen, flush=True)
    assert {ending for ending, _ in seen} == {"fired", "held_back", "waiting"}
    for trigger in made:
        assert_same(trigger, world, since=began)
    halfway = began + STEPS // 2 * STEP
    for trigger in made:
        if trigger.timing["kind"] == "immediate" and not waits(trigger):
            assert_same(trigger, world, since=halfway)


def waits(trigger: Trigger) -> bool:
    """Whether something of it may be under way when the time of a backtest begins."""
    return '"after": true' in str(trigger.conditions).replace("True", "true").replace("'", '"') or bool(
        trigger.actions[0]["type"] == "send_email"
    )


def assert_same(trigger: Trigger, world: World, *, since: datetime) -> None:
    """The backtest of the time from `since` on says what was decided in it."""
    got = replayed(trigger, since, world.ended - timedelta(microseconds=1))
    asked = set(Event.objects.filter(occurred_at__gte=since).values_list("pk", flat=True))
    really = {
        event: said for (key, event), said in world.answers.items() if key == trigger.pk and event in asked
    }
    differing = {
        event: (really.get(event), got.get(event))
        for event in really.keys() | got.keys()
        if really.get(event) != got.get(event)
    }
    assert not differing, (trigger.document(), list(differing.items())[:5], len(differing), len(really))
