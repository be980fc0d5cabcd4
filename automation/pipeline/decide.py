"""From events to decisions: apply, match, judge. Reads what is loaded at once, writes nothing.

Two passes over the batch. The first applies each event to its profile and asks the cheap conditions, in
memory. Only for what survives are histories, segments and suppression states loaded, with one query each for
the whole batch. The second pass asks all conditions and judges, event by event in order, so that a batch
decides exactly as its events would one at a time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from automation import selectors
from automation.engine.matching import TriggerIndex
from automation.engine.rules import CompiledTrigger
from automation.engine.suppression import Held, Judgement, Outcome, arbitrate
from automation.engine.types import Event, ExecutionStatus, Facts, Reason, Verdict, Waiting
from automation.pipeline import customer as customers_of
from automation.pipeline.claim import Claimed
from automation.pipeline.consent import consent_word
from automation.pipeline.customer import Customer, zone_of
from automation.pipeline.plan import Plan, plan_of, policy
from profiles.behavior import State, apply, view
from profiles.services import ConsentWord, Locked


@dataclass(slots=True)
class Decision:
    """One trigger decided for one event; becomes an execution."""

    plan: Plan
    event: Event
    facts: Facts
    dedupe_key: str
    status: ExecutionStatus
    held: tuple[Held, ...] = ()
    waiting: Waiting | None = None
    due_at: datetime | None = None
    judgement: Judgement | None = None

    @property
    def is_allowed(self) -> bool:
        return self.judgement is not None and self.judgement.outcome is Outcome.ALLOW


@dataclass(slots=True)
class Step:
    """One event on its way through the two passes."""

    event: Event
    after: State
    before: State
    is_late: bool
    hits: list[Plan]


@dataclass(slots=True)
class Outcomes:
    """What a batch came to."""

    states: dict[int, State]  # Profiles as they are now.
    customers: dict[int, Customer] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    words: list[ConsentWord] = field(default_factory=list)
    missed: dict[tuple[int, str], int] = field(default_factory=lambda: defaultdict(int))
    broken: dict[tuple[int, str], int] = field(default_factory=lambda: defaultdict(int))
    repeated: int = 0  # Matches that had been decided before.
    samples: dict[int, tuple[CompiledTrigger, Facts]] = field(
        default_factory=dict
    )  # One miss for each trigger.


def decide(
    claimed: Sequence[Claimed], profiles: Mapping[int, Locked], index: TriggerIndex, *, now: datetime
) -> Outcomes:
    """Decide events of locked profiles, in order of (occurred_at, message_id)."""
    outcomes = Outcomes({profile_id: locked.state for profile_id, locked in profiles.items()})
    ordered = sorted(claimed, key=lambda item: (item.event.occurred_at, item.event.message_id, item.event.id))
    steps = _first_pass(ordered, index, outcomes)
    hits = [step for step in steps if step.hits]
    if hits:
        loaded = _load(hits, profiles, index, now)
        for step in steps:
            _second_pass(step, loaded, outcomes, now)
        outcomes.customers = loaded.customers
    return outcomes


def _first_pass(items: Iterable[Claimed], index: TriggerIndex, outcomes: Outcomes) -> list[Step]:
    steps = []
    states = outcomes.states
    for event, profile_id, is_late, is_import in items:
        before = states[profile_id]
        after = states[profile_id] = apply(before, event)
        word = consent_word(event)
        if word:
            outcomes.words.append(word)
        candidates = () if is_import else index.candidates(event)
        hits = []
        if candidates:
            facts = Facts(
                event,
                view(after, event.occurred_at),
                view(before, event.occurred_at),
                event.occurred_at,
                zone_of(after["time_zone"]),
            )
            for trigger in candidates:
                if trigger.cheap(facts).verdict is Verdict.NOT_MET:
                    _miss(outcomes, trigger, facts)
                else:
                    hits.append(plan_of(trigger))
        if hits or word:
            steps.append(Step(event, after, before, is_late, hits))
    return steps


def _miss(outcomes: Outcomes, trigger: CompiledTrigger, facts: Facts) -> None:
    """The most frequent outcome by far: one condition is named without asking it again."""
    is_single = len(trigger.definition.conditions) == 1
    pointer = "/conditions/0" if is_single else plan_of(trigger).failing(facts)
    outcomes.missed[trigger.trigger_id, pointer] += 1
    if trigger.trigger_id not in outcomes.samples:
        outcomes.samples[trigger.trigger_id] = (trigger, facts)


@dataclass(slots=True)
class Loaded:
    """What the second pass looks at."""

    customers: dict[int, Customer]
    dead: Mapping[tuple[str, str], str]
    histories: Mapping[int, list[Event]]
    orders: Mapping[int, list[tuple[datetime, str]]]
    fired_this_hour: dict[int, int]


def _load(
    steps: Sequence[Step], profiles: Mapping[int, Locked], index: TriggerIndex, now: datetime
) -> Loaded:
    plans = {id(plan): plan for step in steps for plan in step.hits}.values()
    keys = {trigger_id: trigger.definition.key for trigger_id, trigger in index.by_id.items()}
    profile_ids = {step.event.profile_id for step in steps}
    asked = {
        (step.event.profile_id, plan.trigger.trigger_id, plan.dedupe_key(_facts(step)))
        for step in steps
        for plan in step.hits
    }
    customers = customers_of.load(
        profile_ids,
        keys if any(plan.trigger.needs_sends for plan in plans) else _keys_of(plans),
        dedupe_keys=asked,
        with_segments=any(plan.trigger.needs_segments for plan in plans),
    )
    for profile_id, customer in customers.items():
        customer.is_erased = profiles[profile_id].is_erased
    histories = _histories(steps)
    guarded = [p.trigger.trigger_id for p in plans if p.trigger.definition.max_per_hour]
    hour = now.replace(minute=0, second=0, microsecond=0)
    return Loaded(
        customers=customers,
        dead=customers_of.dead_addresses(step.after for step in steps),
        histories=histories,
        orders={profile_id: [event.order for event in history] for profile_id, history in histories.items()},
        fired_this_hour=selectors.fired_this_hour(guarded, hour),
    )


def _keys_of(plans: Iterable[Plan]) -> dict[int, str]:
    return {plan.trigger.trigger_id: plan.trigger.definition.key for plan in plans}


def _histories(steps: Sequence[Step]) -> dict[int, list[Event]]:
    """One query for all look-backs of the batch: their names, their widest window, their largest limit."""
    names: set[str] | None = set()
    wanted: set[int] = set()
    window, limit = timedelta(0), 0
    for step in steps:
        for plan in step.hits:
            for look in plan.trigger.needs:
                wanted.add(step.event.profile_id)
                window, limit = max(window, look.window), max(limit, look.max_events)
                names = None if names is None or look.events is None else names | look.events
    if not wanted:
        return {}
    times = [step.event.occurred_at for step in steps if step.event.profile_id in wanted]
    return selectors.histories(wanted, names, min(times) - window, max(times), limit + len(steps))


def _facts(step: Step, **more: Any) -> Facts:
    at = step.event.occurred_at
    return Facts(
        step.event, view(step.after, at), view(step.before, at), at, zone_of(step.after["time_zone"]), **more
    )


def _second_pass(step: Step, loaded: Loaded, outcomes: Outcomes, now: datetime) -> None:
    event = step.event
    customer = loaded.customers.get(event.profile_id)
    if customer is None:
        return
    word = consent_word(event)
    if word:
        customer.hear(word.topic, word.channel, word.is_granted, word.at)
    if not step.hits:
        return
    history = loaded.histories.get(event.profile_id, [])
    earlier = history[: bisect_left(loaded.orders[event.profile_id], event.order)] if history else ()
    facts = _facts(step, history=earlier, segments=customer.segments, sends=customer.sends)
    asking = weigh(step.hits, facts, customer, outcomes, now, is_late=step.is_late)
    if asking:
        state = customer.state(step.after, loaded.dead, now)
        outcomes.decisions += judge(asking, facts, customer, state, loaded.fired_this_hour, now, step.is_late)


def weigh(
    hits: Iterable[Plan],
    facts: Facts,
    customer: Customer,
    outcomes: Outcomes,
    now: datetime,
    *,
    is_late: bool = False,
) -> list[tuple[Plan, str]]:
    """Ask all conditions of each trigger in `hits`; returns what the judge has to be asked, with its dedupe key.

    Everything else that comes of them is noted in `outcomes`: misses, repeats, what is broken, what waits.
    """
    event = facts.event
    asking = []
    for plan in hits:
        result = plan.trigger.full(facts)
        key = plan.dedupe_key(facts)
        if result.verdict is Verdict.NOT_MET:
            _miss(outcomes, plan.trigger, facts)
        elif (plan.trigger.trigger_id, key) in customer.dedupe_keys:
            outcomes.repeated += 1
        elif result.verdict is Verdict.BROKEN:
            outcomes.broken[plan.trigger.trigger_id, plan.failing(facts)] += 1
            key = f"e:{event.id}"  # What could not be checked does not use up the value the trigger names.
            held = (Held(Reason.BROKEN_CONDITION, None, {"why": result.reason[:200]}),)
            outcomes.decisions.append(Decision(plan, event, facts, key, ExecutionStatus.SUPPRESSED, held))
        elif plan.is_immediate or is_late or customer.is_erased:
            asking.append((plan, key))
        else:
            customer.dedupe_keys |= {(plan.trigger.trigger_id, key)}
            outcomes.decisions.append(
                Decision(
                    plan,
                    event,
                    facts,
                    key,
                    ExecutionStatus.PENDING,
                    waiting=Waiting.DELAY,
                    due_at=max(plan.due_at(facts), now),
                )
            )
    return asking


def judge(
    asking: Sequence[tuple[Plan, str]],
    facts: Facts,
    customer: Customer,
    state: Any,
    fired_this_hour: dict[int, int],
    now: datetime,
    is_late: bool = False,
) -> list[Decision]:
    """Let the triggers that matched one event compete, and carry the customer's state on."""
    asks = [
        plan.ask(facts, key, is_late=is_late, fired_this_hour=fired_this_hour.get(plan.trigger.trigger_id, 0))
        for plan, key in asking
    ]
    judgements, after = arbitrate(asks, state, policy(), now=now, profile_seed=facts.event.profile_id)
    customer.take(after)
    decisions = []
    for (plan, key), judgement in zip(asking, judgements, strict=True):
        decision = Decision(plan, facts.event, facts, key, ExecutionStatus.PENDING, judgement=judgement)
        if judgement.outcome is Outcome.HOLD:
            decision.status, decision.held = ExecutionStatus.SUPPRESSED, judgement.reasons
        elif judgement.outcome is Outcome.DEFER:
            decision.waiting, decision.due_at, decision.held = (
                judgement.waiting,
                judgement.due_at,
                judgement.reasons,
            )
        else:
            fired_this_hour[plan.trigger.trigger_id] = fired_this_hour.get(plan.trigger.trigger_id, 0) + 1
        decisions.append(decision)
    return decisions
