"""One event and one definition: every condition with what it saw, and every guard rail."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings

from automation import reasons, traces
from automation.backtest import window
from automation.backtest.replay import Replay, reading
from automation.backtest.step import Explanation, GuardLine, Line
from automation.engine.definition import TriggerDefinition
from automation.engine.suppression import Ask, CustomerState, Outcome, Policy
from automation.engine.suppression import judge as ask_judge
from automation.engine.types import MessageClass, Reason
from automation.pipeline.plan import policy

QUIET_HOURS = "quiet_hours"  # They put a message off; they hold nothing back, so they are no Reason.


class NoSuchEventError(LookupError):
    """The event is not stored (any more)."""


def explain(
    definition: TriggerDefinition, event_id: int, *, now: datetime, trigger_id: int | None = None
) -> Explanation:
    """What the trigger would have made of a stored event, with the customer as they were at its moment.

    What the trigger really did before the event counts; what came after does not. Raises NoSuchEventError.
    """
    with reading():
        found = window.entry(event_id, now - timedelta(days=31 * settings.RETENTION_MONTHS), now)
        if found is None:
            raise NoSuchEventError(f"There is no event {event_id}.")
        replay = Replay(definition, since=found.event.occurred_at, until=now, trigger_id=trigger_id)
        replay.take([found])
        look = replay.look(found)
        trace = replay.plan.trigger.trace(look.facts)
        document = definition.model_dump(mode="json", exclude_none=True)
        lines = {
            line.pointer: Line(line.result, line.seen, line.is_reached, line.reason, line.is_personal)
            for line in traces.lines(document, trace)
        }
        ask = replay.plan.ask(
            look.facts, replay.plan.dedupe_key(look.facts), is_late=found.is_late, fired_this_hour=0
        )
        guards = tuple(_guards(ask, look.state, policy(), found.event.occurred_at, found.event.profile_id))
        replay.run()
    (step,) = replay.steps
    return Explanation(
        event_id=event_id,
        profile_id=step.event.profile_id,
        at=step.event.occurred_at,
        outcome=step.ending,
        reason=step.reason,
        trace=lines,
        guards=guards,
    )


def _guards(
    ask: Ask, state: CustomerState, rules: Policy, now: datetime, profile_id: int
) -> Iterator[GuardLine]:
    """The guard rails that apply, in the order of judging, from one answer of the judge."""
    judgement = ask_judge(ask, state, rules, now=now, profile_seed=profile_id)
    held = {reason.reason: reason for reason in reversed((*judgement.reasons, *judgement.blocked))}
    for code in _applying(ask, rules):
        against = held.pop(code, None)
        said = reasons.text(code) if against else _FINE[code]
        yield GuardLine(code, against is None, against.until if against else None, said)
    for code, against in held.items():  # Whatever else the judge knows of.
        yield GuardLine(code, False, against.until, reasons.text(code))
    if ask.channels and ask.message_class == MessageClass.MARKETING and rules.quiet_start is not None:
        is_put_off = judgement.outcome is Outcome.DEFER
        text = "It is night where they are: it waits until the morning." if is_put_off else "Not at night."
        yield GuardLine(QUIET_HOURS, not is_put_off, judgement.due_at if is_put_off else None, text)


def _applying(ask: Ask, rules: Policy) -> Iterator[Reason]:
    is_marketing = ask.message_class == MessageClass.MARKETING
    if ask.is_late:
        yield Reason.LATE_EVENT
    if ask.valid_from or ask.valid_until:
        yield Reason.EXPIRED
    if ask.channels:
        yield Reason.UNSUBSCRIBED
        if is_marketing and rules.is_opt_in_required:
            yield Reason.NO_CONSENT
        yield Reason.ADDRESS_SUPPRESSED
        yield Reason.MISSING_ADDRESS
        if is_marketing:
            yield Reason.FREQUENCY_CAP
    if ask.cooldown:
        yield Reason.COOLDOWN
    if ask.max_per_customer or ask.max_per_period:
        yield Reason.MAX_PER_CUSTOMER
    if ask.channels:
        yield Reason.PREFERENCE
    if is_marketing:
        yield Reason.LOW_ENGAGEMENT
        if rules.global_holdout_percent:
            yield Reason.GLOBAL_HOLDOUT
        if rules.default_holdout if ask.holdout_percent is None else ask.holdout_percent:
            yield Reason.HOLDOUT


_FINE = {
    Reason.LATE_EVENT: "The event came in time.",
    Reason.EXPIRED: "The trigger is inside its dates.",
    Reason.UNSUBSCRIBED: "They have not unsubscribed.",
    Reason.NO_CONSENT: "They agreed to this topic.",
    Reason.ADDRESS_SUPPRESSED: "Their address is served.",
    Reason.MISSING_ADDRESS: "An address is known.",
    Reason.FREQUENCY_CAP: "They have had few enough messages lately.",
    Reason.COOLDOWN: "This trigger has let them rest.",
    Reason.MAX_PER_CUSTOMER: "This trigger has not fired too often for them.",
    Reason.PREFERENCE: "They asked for nothing that stands against it.",
    Reason.LOW_ENGAGEMENT: "They react to messages, or it is too early to tell.",
    Reason.GLOBAL_HOLDOUT: "They do not belong to the share that gets no marketing.",
    Reason.HOLDOUT: "They do not belong to the share that never gets it.",
}
