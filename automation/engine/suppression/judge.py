"""The judge: may this trigger act for this customer now? And the contest for one slot."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from automation.engine.suppression.case import Case
from automation.engine.suppression.checks import CHECKS, GATES
from automation.engine.suppression.data import Ask, CustomerState, Grant, Held, Judgement, Outcome, Policy
from automation.engine.types import Reason, Sent, Waiting


def judge(
    ask: Ask,
    state: CustomerState,
    policy: Policy,
    *,
    now: datetime,
    profile_seed: int | str,
    rivals: Sequence[Sent] = (),
) -> Judgement:
    """Allow, hold with all reasons, or defer.

    `profile_seed` decides the holdout: the profile's id. `rivals` are messages that won their slot for
    the same event (see arbitrate). Marketing in the customer's night is deferred to its end,
    and judged for that moment.
    """
    case = Case(ask, state, policy, now, profile_seed, rivals)
    for gate in GATES:
        held = gate(case)
        if held is not None:
            return Judgement(Outcome.HOLD, (held,), None)
    reasons = [held for check in CHECKS if (held := check(case)) is not None]
    if reasons:
        return _against(case, reasons)
    blocked = tuple(case.closed)
    if case.moment > case.asked_for:
        return Judgement(Outcome.DEFER, (), case.moment, Waiting.QUIET_HOURS, case.open, blocked)
    return Judgement(Outcome.ALLOW, (), case.moment, None, case.open, blocked)


def arbitrate(
    asks: Sequence[Ask], state: CustomerState, policy: Policy, *, now: datetime, profile_seed: int | str
) -> tuple[list[Judgement], CustomerState]:
    """Judge all triggers that matched one event of one customer, and the state afterwards.

    Judgements come in the order of `asks`. The contest goes by priority, then declared value, then
    key: each granted ask takes its slots before the next is judged, and who loses a slot to one of
    them is lost_to that winner (held, or deferred until the slot is free when it says so). Who is
    held out, in shadow or held for any other reason takes nothing. An ask deferred by quiet hours
    keeps its slot in this contest, but not in the state afterwards: it has not acted, is judged
    again in the morning, and must not find itself in its own way there.
    """
    found: dict[int, Judgement] = {}
    granted: list[Grant] = []
    rivals: list[Sent] = []
    if len(asks) == 1:
        order: Sequence[int] = (0,)
    else:
        order = sorted(range(len(asks)), key=lambda i: (asks[i].priority, -asks[i].value, asks[i].key))
    for index in order:
        ask = asks[index]
        judgement = judge(ask, state, policy, now=now, profile_seed=profile_seed, rivals=rivals)
        found[index] = judgement
        if _takes_slot(judgement):
            at = judgement.due_at or now
            if judgement.outcome is Outcome.ALLOW:
                granted.append(Grant(ask, at, judgement.channels))
            rivals.extend([Sent(at, channel, ask.message_class, ask.key) for channel in judgement.channels])
    # The state changes only now: a slot lost to a rival must be told from one that was taken before.
    return [found[index] for index in range(len(asks))], state.after(granted, asks, now)


def _takes_slot(judgement: Judgement) -> bool:
    return judgement.outcome is Outcome.ALLOW or judgement.waiting is Waiting.QUIET_HOURS


def _against(case: Case, reasons: list[Held]) -> Judgement:
    blocked = tuple(case.closed) if case.open else ()
    if case.ask.on_lost == "defer" and all(held.reason is Reason.LOST_TO for held in reasons):
        free = [held.until for held in reasons if held.until is not None]
        if len(free) == len(reasons):
            due = case.after_quiet(max(free))
            return Judgement(Outcome.DEFER, tuple(reasons), due, Waiting.LOST_TO, case.open, blocked)
    return Judgement(Outcome.HOLD, tuple(reasons), None, None, (), blocked)
