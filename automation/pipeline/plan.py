"""A compiled trigger with all that deciding and acting need, worked out once for each version."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import connection

from automation.actions.registry import Planned, plan
from automation.engine import paths
from automation.engine.definition import TriggerDefinition
from automation.engine.logic import Check, conjunction
from automation.engine.rules import CompiledTrigger, compile_trigger, walk
from automation.engine.schedule import due_at
from automation.engine.suppression import Ask, Cap, Policy
from automation.engine.types import Facts, MessageClass, Mode, Priority, Verdict
from profiles.behavior import best_hour


@dataclass(frozen=True, slots=True)
class Plan:
    """One version of a trigger, ready to decide."""

    trigger: CompiledTrigger
    checks: tuple[Check, ...]  # The top-level conditions one by one, to say which was not met.
    again: Check  # What is asked again at the due moment: all but what compares with before the event.
    actions: tuple[Planned, ...]
    channels: tuple[str, ...]  # One for each action that sends a message.
    is_immediate: bool  # Judged when the event comes; others are judged at their due moment.
    cooldown: timedelta | None
    max_per_period: tuple[int, timedelta] | None
    holdout_percent: float | None

    @property
    def lane(self) -> Priority:
        return self.trigger.definition.priority

    def failing(self, facts: Facts) -> str:
        """Pointer to the first top-level condition that is not met; broken ones come after those."""
        broken = ""
        for position, check in enumerate(self.checks):
            verdict = check(facts).verdict
            if verdict is Verdict.NOT_MET:
                return f"/conditions/{position}"
            if verdict is Verdict.BROKEN and not broken:
                broken = f"/conditions/{position}"
        return broken or "/conditions"

    def due_at(self, facts: Facts) -> datetime:
        """The moment this trigger wants to act, for an event that just matched."""
        at = facts.event.occurred_at
        own = best_hour(facts.profile["behavioral_patterns"], facts.zone, at)
        moment = due_at(
            self.trigger.definition.timing,
            at=at,
            zone=facts.zone,
            best_hour=own,
            global_hour=settings.BEST_HOUR,
        )
        wait = self.trigger.wait
        return max(moment, at + wait) if wait else moment

    def dedupe_key(self, facts: Facts) -> str:
        """What makes the decision unique: the event, or the value the trigger names."""
        path = self.trigger.definition.dedupe_path
        value = _text(path, facts) if path else ""
        return f"p:{value}"[:200] if value else f"e:{facts.event.id}"

    def ask(self, facts: Facts, dedupe_key: str, *, is_late: bool, fired_this_hour: int) -> Ask:
        """The question for the judge."""
        definition = self.trigger.definition
        return Ask(
            trigger_id=self.trigger.trigger_id,
            key=definition.key,
            priority=int(definition.priority),
            value=definition.value,
            message_class=definition.message_class,
            topic=definition.topic,
            channels=self.channels,
            is_shadow=self.trigger.mode is Mode.SHADOW,
            is_late=is_late,
            cooldown=self.cooldown,
            cooldown_key=_text(definition.cooldown_path, facts) if definition.cooldown_path else "",
            max_per_customer=definition.max_per_customer,
            max_per_period=self.max_per_period,
            holdout_percent=self.holdout_percent,
            dedupe_key=dedupe_key,
            valid_from=definition.valid_from,
            valid_until=definition.valid_until,
            fired_this_hour=fired_this_hour,
            max_per_hour=definition.max_per_hour,
            on_lost=definition.on_lost,
        )


def _text(path: str, facts: Facts) -> str:
    value: Any = paths.resolve(paths.parse(path), facts)
    return str(value)[:190] if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


_plans: dict[tuple[int, Mode], Plan] = {}


def plan_of(trigger: CompiledTrigger) -> Plan:
    """The plan of a trigger in the index."""
    key = (trigger.version_id, trigger.mode)
    found = _plans.get(key)
    if found is None or found.trigger is not trigger:
        found = _plans[key] = make(trigger)
    return found


@lru_cache(maxsize=1000)
def plan_of_version(version_id: int, mode: Mode) -> Plan:
    """The plan of any version: a waiting execution keeps the one it was decided with (R-022)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT trigger_id, definition::text FROM automation_triggerversion WHERE id = %s", [version_id]
        )
        trigger_id, text = cursor.fetchone()
    definition = TriggerDefinition.model_validate_json(text)
    return make(compile_trigger(definition, trigger_id=trigger_id, version_id=version_id, mode=mode))


def make(trigger: CompiledTrigger) -> Plan:
    """The plan of one compiled version, also of one that was never published."""
    definition = trigger.definition
    actions = plan(definition.actions)
    period = definition.max_per_period
    return Plan(
        trigger=trigger,
        checks=tuple(node.compile() for node in definition.conditions),
        again=conjunction(
            [n.compile() for n in definition.conditions if not any(c.needs_before for c in walk([n]))]
        ),
        actions=actions,
        channels=tuple(action.channel for action in actions if action.is_message),
        is_immediate=definition.timing.kind == "immediate" and trigger.wait is None,
        cooldown=timedelta(minutes=definition.cooldown_minutes) if definition.cooldown_minutes else None,
        max_per_period=(period.count, timedelta(hours=period.hours)) if period else None,
        holdout_percent=definition.holdout_percent,
    )


@lru_cache(maxsize=1)
def policy() -> Policy:
    """The rules of this installation, from the settings."""
    start, end = settings.QUIET_HOURS
    return Policy(
        caps=(
            Cap(
                channel="email",
                message_class=MessageClass.MARKETING,
                limit=settings.EMAIL_CAP,
                window=timedelta(hours=settings.EMAIL_CAP_HOURS),
                calendar_day=settings.EMAIL_CAP_BY_DAY,
            ),
        ),
        low_engagement_threshold=settings.LOW_ENGAGEMENT,
        min_received=settings.LOW_ENGAGEMENT_EVIDENCE,
        global_holdout_percent=settings.GLOBAL_HOLDOUT_PERCENT,
        default_holdout=settings.HOLDOUT_PERCENT,
        quiet_start=None if start == end else start,
        quiet_end=end,
        is_opt_in_required=settings.CONSENT_OPT_IN,
    )
