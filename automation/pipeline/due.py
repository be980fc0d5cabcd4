"""Executions whose moment has come: delayed ones, and those that quiet hours or a lost slot put off.

Each keeps the version it was decided with. Conditions, consent and caps are judged now, under the profile
lock, and events that happened meanwhile may have cancelled it.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from django.db import connection, transaction

from automation import selectors
from automation.engine.suppression import Held, Outcome
from automation.engine.types import Event, ExecutionStatus, Facts, Mode, Priority, Reason, Verdict
from automation.pipeline import claim, decide, outbox, record, tally
from automation.pipeline import customer as customers_of
from automation.pipeline.cancelling import canceller, facts_of
from automation.pipeline.customer import Customer
from automation.pipeline.decide import Decision
from automation.pipeline.plan import Plan, plan_of_version
from automation.pipeline.process import INFRASTRUCTURE
from profiles import services
from profiles.services import Locked

log = logging.getLogger(__name__)

AT_ONCE = 200
_COLUMNS = "x.id, x.decided_at, x.profile_id, x.version_id, x.event_id, x.event_at, x.dedupe_key"


class Waiting(NamedTuple):
    """A pending execution as read from its row."""

    id: int
    decided_at: datetime
    profile_id: int
    version_id: int
    event_id: int
    event_at: datetime
    dedupe_key: str
    mode: str  # Of its trigger, now.


def decide_due(lane: Priority) -> int:
    """Judge up to AT_ONCE executions of `lane` whose moment has come; returns how many were settled."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM automation_execution WHERE status = 'pending' AND due_at <= now()"
            " AND lane = %s ORDER BY due_at LIMIT %s",
            [int(lane), AT_ONCE],
        )
        chosen = [row[0] for row in cursor.fetchall()]
    return _decide_chosen(chosen) if chosen else 0


def _decide_chosen(chosen: Sequence[int]) -> int:
    """One that cannot be judged is found by halving and fails alone; a lane never stops for it (R-019)."""
    try:
        return _attempt(chosen)
    except INFRASTRUCTURE:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the others must not wait for it.
        if len(chosen) == 1:
            _fail(chosen[0], error)
            return 1
        middle = len(chosen) // 2
        return _decide_chosen(chosen[:middle]) + _decide_chosen(chosen[middle:])


def _fail(execution_id: int, error: Exception) -> None:
    log.exception(
        "a waiting execution could not be judged", extra={"execution_id": execution_id, "quotes_data": True}
    )
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE automation_execution SET status = 'failed', due_at = NULL, waiting = '', processed_at = now(),"
            " error = %s WHERE id = %s AND status = 'pending' AND due_at IS NOT NULL RETURNING lane, trigger_id",
            [f"{type(error).__name__}: {error}".replace("\0", "")[:300], execution_id],
        )
        failed = cursor.fetchall()
    tally.add([("executions", lane, trigger_id, "failed", 1) for lane, trigger_id in failed])


def _attempt(chosen: Sequence[int]) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        # Profiles are locked before executions, so the rows are read first and again under the locks.
        cursor.execute("SELECT profile_id FROM automation_execution WHERE id = ANY(%s)", [list(chosen)])
        profiles = services.lock(row[0] for row in cursor.fetchall())
        cursor.execute(
            f"SELECT {_COLUMNS}, t.mode FROM automation_execution x JOIN automation_trigger t ON t.id = x.trigger_id"
            " WHERE x.id = ANY(%s) AND x.status = 'pending' AND x.due_at <= now() ORDER BY x.due_at, x.id"
            " FOR UPDATE OF x",
            [list(chosen)],
        )
        rows = [Waiting(*row) for row in cursor.fetchall() if row[2] in profiles]
        if rows:
            _decide(rows, profiles, claim.moment())
        return len(rows)


def _decide(rows: Sequence[Waiting], profiles: dict[int, Locked], now: datetime) -> None:
    plans = {
        row.id: plan_of_version(row.version_id, Mode.SHADOW if row.mode == "shadow" else Mode.LIVE)
        for row in rows
    }
    times = [row.event_at for row in rows]
    events = selectors.events([row.event_id for row in rows], min(times), max(times))
    customers = customers_of.load(
        {row.profile_id for row in rows},
        {plan.trigger.trigger_id: plan.trigger.definition.key for plan in plans.values()},
        dedupe_keys=(),
        with_segments=any(plan.trigger.needs_segments for plan in plans.values()),
    )
    dead = customers_of.dead_addresses(profiles[row.profile_id].state for row in rows)
    histories = _histories(rows, list(plans.values()), now)
    decisions: list[tuple[Decision, Waiting]] = []
    asking: dict[int, list[tuple[Plan, str, Facts, Waiting]]] = defaultdict(list)
    for row in rows:
        plan, locked = plans[row.id], profiles[row.profile_id]
        event = events.get(row.event_id)
        if event is None:  # Its partition was dropped while it waited.
            event = Event(row.event_id, "", "", row.profile_id, row.event_at, row.event_at)
        facts = facts_of(event, locked, customers[row.profile_id], histories.get(row.profile_id, []), now)
        held = no_longer(row.mode, plan, facts)
        if held:
            decision = Decision(plan, event, facts, row.dedupe_key, ExecutionStatus.SUPPRESSED, (held,))
            decisions.append((decision, row))
        else:
            asking[row.profile_id].append((plan, row.dedupe_key, facts, row))
    guarded = [p.trigger.trigger_id for p in plans.values() if p.trigger.definition.max_per_hour]
    fired = selectors.fired_this_hour(guarded, now.replace(minute=0, second=0, microsecond=0))
    for profile_id, asks in asking.items():
        customer = customers[profile_id]
        customer.is_erased = profiles[profile_id].is_erased
        # Most urgent first; each sees what the one before it took.
        for plan, key, facts, row in sorted(
            asks, key=lambda a: (a[0].lane, -a[0].trigger.definition.value, a[3].id)
        ):
            state = customer.state(profiles[profile_id].state, dead, now)
            (decision,) = decide.judge([(plan, key)], facts, customer, state, fired, now)
            decisions.append((decision, row))
    _write(decisions, customers, now)


def _histories(rows: Sequence[Waiting], plans: Sequence[Plan], now: datetime) -> dict[int, list[Event]]:
    names: set[str] | None = set()
    window, limit = timedelta(0), 100
    for plan in plans:
        trigger = plan.trigger
        names = None if names is None or "*" in trigger.cancel_names else names | trigger.cancel_names
        for look in trigger.needs:
            window, limit = max(window, look.window), max(limit, look.max_events)
            names = None if names is None or look.events is None else names | look.events
    if names is not None and not names:
        return {}
    first = min(row.event_at for row in rows) - window
    return selectors.histories({row.profile_id for row in rows}, names, first, now, limit + len(rows))


def no_longer(mode: str, plan: Plan, facts: Facts) -> Held | None:
    """A reason from what happened while it waited, before the judge is asked; `mode` is its trigger's, now."""
    trigger = plan.trigger
    if mode not in ("live", "shadow"):
        return Held(Reason.TRIGGER_PAUSED)
    later = canceller(trigger, facts)
    if later is not None:
        return Held(Reason.CANCELLED_BY_EVENT, None, {"event": later.name, "event_id": later.id})
    if not trigger.definition.recheck and trigger.wait is None:
        return None
    result = plan.again(facts)
    if result.verdict is Verdict.NOT_MET:
        return Held(Reason.CONDITIONS_NO_LONGER_MET, None, {"pointer": plan.failing(facts)})
    if result.verdict is Verdict.BROKEN:
        return Held(Reason.BROKEN_CONDITION, None, {"why": result.reason[:200]})
    return None


def _write(
    decisions: Sequence[tuple[Decision, Waiting]], customers: dict[int, Customer], now: datetime
) -> None:
    rows = [_row(decision, row) for decision, row in decisions]
    granted = [(decision, row.id) for decision, row in decisions if decision.is_allowed]
    states: dict[tuple[int, int], dict[str, Any]] = {}
    for decision, row in decisions:
        key = (row.profile_id, decision.plan.trigger.trigger_id)
        states[key] = record.state_row(customers[row.profile_id], decision.plan, row.profile_id, now)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE automation_execution x SET status = r.status, reason = r.reason, reasons = r.reasons,"
            " waiting = r.waiting, due_at = r.due_at, trace = r.trace FROM json_to_recordset(%s::json) AS r("
            "id bigint, decided_at timestamptz, status text, reason text, reasons jsonb, waiting text,"
            " due_at timestamptz, trace jsonb) WHERE x.id = r.id AND x.decided_at = r.decided_at",
            [msgspec.json.encode(rows).decode()],
        )
        cursor.execute(
            record.UPSERT_STATES, [msgspec.json.encode([states[key] for key in sorted(states)]).decode()]
        )
    record.reserve(granted, now)
    for decision, row in decisions:
        if decision.is_allowed:
            outbox.insert([(decision, row.id)], now, decided_at=row.decided_at)
    tally.add(record.count_decisions([decision for decision, _ in decisions]))


def _row(decision: Decision, row: Waiting) -> dict[str, Any]:
    is_deferred = decision.judgement is not None and decision.judgement.outcome is Outcome.DEFER
    return {
        "id": row.id,
        "decided_at": row.decided_at,
        "status": decision.status,
        "reason": decision.held[0].reason if decision.status is ExecutionStatus.SUPPRESSED else "",
        "reasons": [record.reason_row(held) for held in decision.held],
        "waiting": decision.waiting or "",
        "due_at": decision.due_at if is_deferred else None,
        "trace": record.trace_of(decision),
    }
