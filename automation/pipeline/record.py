"""Write what was decided: executions, outbox, suppression state and counts, each table with one statement."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from django.db import connection

from automation.engine.suppression import Held
from automation.engine.types import Event, ExecutionStatus, Priority, Reason
from automation.pipeline import outbox, tally
from automation.pipeline.claim import Claimed
from automation.pipeline.customer import Customer
from automation.pipeline.decide import Decision, Outcomes

COLLAPSE = timedelta(hours=24)  # Repeated holds within this window share one row.
LATENCY_STEP = 1.25  # Bucket i of the latency tally: at most 1.25 ** i milliseconds.
SAMPLE_SECONDS = 30.0  # Each process keeps a miss of a trigger at most this often.

_EXECUTIONS = """
INSERT INTO automation_execution (id, trigger_id, version_id, profile_id, event_id, event_name, event_at, accepted_at,
  decided_at, lane, status, reason, reasons, waiting, due_at, dedupe_key, held_count, last_event_id, last_held_at,
  trace, error)
SELECT id, trigger_id, version_id, profile_id, event_id, event_name, event_at, accepted_at, decided_at, lane, status,
  reason, reasons, waiting, due_at, dedupe_key, held_count, last_event_id, last_held_at, trace, ''
FROM json_to_recordset(%s::json) AS r(id bigint, trigger_id bigint, version_id bigint, profile_id bigint,
  event_id bigint, event_name text, event_at timestamptz, accepted_at timestamptz, decided_at timestamptz,
  lane smallint, status text, reason text, reasons jsonb, waiting text, due_at timestamptz, dedupe_key text,
  held_count integer, last_event_id bigint, last_held_at timestamptz, trace jsonb)
"""
_KEYS = """
INSERT INTO automation_executionkey (profile_id, trigger_id, dedupe_key, execution_id, decided_at)
SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::bigint[], %s::timestamptz[])
ON CONFLICT DO NOTHING
"""
_REPEATS = """
UPDATE automation_execution x SET held_count = x.held_count + r.count, last_event_id = r.event_id, last_held_at = r.at
FROM unnest(%s::bigint[], %s::timestamptz[], %s::bigint[], %s::bigint[], %s::timestamptz[])
  AS r(id, decided_at, count, event_id, at)
WHERE x.id = r.id AND x.decided_at = r.decided_at
"""
UPSERT_STATES = """
INSERT INTO automation_triggerstate AS t (profile_id, trigger_id, last_at, count, recent, by_key, hold_reason,
  hold_execution_id, hold_decided_at)
SELECT * FROM json_to_recordset(%s::json) AS r(profile_id bigint, trigger_id bigint, last_at timestamptz,
  count integer, recent jsonb, by_key jsonb, hold_reason text, hold_execution_id bigint, hold_decided_at timestamptz)
ON CONFLICT (profile_id, trigger_id) DO UPDATE SET last_at = excluded.last_at, count = excluded.count,
  recent = excluded.recent, by_key = excluded.by_key, hold_reason = excluded.hold_reason,
  hold_execution_id = excluded.hold_execution_id, hold_decided_at = excluded.hold_decided_at
"""
_RESERVATIONS = """
INSERT INTO automation_sendreservation (profile_id, channel, message_class, trigger_id, execution_id, reserved_at)
SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::timestamptz[])
"""


def record(outcomes: Outcomes, now: datetime) -> None:
    """Write the decisions of a batch, in the transaction that made them, under its profile locks."""
    decisions = [d for d in outcomes.decisions if not _is_duplicate(d)]
    writer = _Writer(outcomes.customers, now, draw_ids(len(decisions)))
    for decision in decisions:
        writer.add(decision)
    writer.write()
    outbox.insert(writer.allowed, now)
    _count(outcomes, decisions)
    _sample(outcomes)


def _is_duplicate(decision: Decision) -> bool:
    return bool(decision.held) and decision.held[0].reason is Reason.DUPLICATE


def draw_ids(count: int) -> list[int]:
    """Fresh execution ids, in order."""
    if not count:
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('automation_execution_id_seq') FROM generate_series(1, %s)", [count])
        return [row[0] for row in cursor.fetchall()]


class _Writer:
    """Collects rows, decision by decision in order, then writes each table at once."""

    def __init__(self, customers: dict[int, Customer], now: datetime, ids: Sequence[int]) -> None:
        self.customers = customers
        self.now = now
        self.ids = iter(ids)
        self.rows: list[dict[str, Any]] = []
        self.keys: list[tuple[int, int, str, int, datetime]] = []
        self.repeats: dict[int, list[Any]] = {}  # execution id -> [decided_at, count, last event]
        self.touched: set[tuple[int, int]] = set()
        self.plans: dict[int, Any] = {}
        self.allowed: list[tuple[Decision, int]] = []

    def add(self, decision: Decision) -> None:
        profile_id, trigger = decision.event.profile_id, decision.plan.trigger
        customer = self.customers[profile_id]
        self.plans[trigger.trigger_id] = decision.plan
        self.touched.add((profile_id, trigger.trigger_id))
        if decision.status is ExecutionStatus.SUPPRESSED and self._collapse(decision, customer):
            return
        execution_id = next(self.ids)
        self.rows.append(execution_row(decision, execution_id, self.now))
        self.keys.append((profile_id, trigger.trigger_id, decision.dedupe_key, execution_id, self.now))
        if decision.status is ExecutionStatus.SUPPRESSED:
            customer.holds[trigger.trigger_id] = (decision.held[0].reason, execution_id, self.now)
        elif decision.is_allowed:
            self.allowed.append((decision, execution_id))
            customer.holds.pop(trigger.trigger_id, None)

    def _collapse(self, decision: Decision, customer: Customer) -> bool:
        """Count a repeated hold on the row of the first; True when that was possible."""
        trigger_id = decision.plan.trigger.trigger_id
        hold = customer.holds.get(trigger_id)
        if hold is None or hold[0] != decision.held[0].reason or self.now - hold[2] > COLLAPSE:
            return False
        _, execution_id, decided_at = hold
        repeat = self.repeats.setdefault(execution_id, [decided_at, 0, 0])
        repeat[1] += 1
        repeat[2] = decision.event.id
        if decision.dedupe_key.startswith("p:"):
            self.keys.append(
                (decision.event.profile_id, trigger_id, decision.dedupe_key, execution_id, self.now)
            )
        return True

    def write(self) -> None:
        with connection.cursor() as cursor:
            if self.rows:
                cursor.execute(_EXECUTIONS, [msgspec.json.encode(self.rows).decode()])
            if self.keys:
                cursor.execute(_KEYS, [list(column) for column in zip(*self.keys, strict=True)])
            if self.repeats:
                ids = list(self.repeats)
                decided, counts, events = zip(*self.repeats.values(), strict=True)
                cursor.execute(
                    _REPEATS, [ids, list(decided), list(counts), list(events), [self.now] * len(ids)]
                )
            if self.touched:
                states = [self._state(*key) for key in sorted(self.touched)]
                cursor.execute(UPSERT_STATES, [msgspec.json.encode(states).decode()])
            reserve([(d, execution_id) for d, execution_id in self.allowed], self.now)

    def _state(self, profile_id: int, trigger_id: int) -> dict[str, Any]:
        return state_row(self.customers[profile_id], self.plans[trigger_id], profile_id, self.now)


def execution_row(decision: Decision, execution_id: int, now: datetime) -> dict[str, Any]:
    """An execution as the JSON of its row."""
    event, trigger = decision.event, decision.plan.trigger
    is_held = decision.status is ExecutionStatus.SUPPRESSED
    return {
        "id": execution_id,
        "trigger_id": trigger.trigger_id,
        "version_id": trigger.version_id,
        "profile_id": event.profile_id,
        "event_id": event.id,
        "event_name": event.name,
        "event_at": event.occurred_at,
        "accepted_at": event.received_at,
        "decided_at": now,
        "lane": int(decision.plan.lane),
        "status": decision.status,
        "reason": decision.held[0].reason if is_held else "",
        "reasons": [reason_row(held) for held in decision.held],
        "waiting": decision.waiting or "",
        "due_at": decision.due_at,
        "dedupe_key": decision.dedupe_key,
        "held_count": 1,
        "last_event_id": event.id if is_held else None,
        "last_held_at": now if is_held else None,
        "trace": trace_of(decision),
    }


def reason_row(held: Held) -> dict[str, Any]:
    """A reason as it is stored and shown."""
    return {
        "reason": held.reason,
        "until": held.until,
        **({"params": dict(held.params)} if held.params else {}),
    }


def trace_of(decision: Decision) -> dict[str, Any]:
    """Why it was decided so: what each condition saw (at most 4 KB), and what the judge said of the channels."""
    trace: dict[str, Any] = {"conditions": decision.plan.trigger.trace(decision.facts)}
    if decision.judgement is not None:
        trace["outcome"] = decision.judgement.outcome
        if decision.judgement.blocked:
            trace["blocked"] = [reason_row(held) for held in decision.judgement.blocked]
    return trace


def state_row(customer: Customer, plan: Any, profile_id: int, now: datetime) -> dict[str, Any]:
    """The state row of one trigger and customer; what no rule of the trigger asks for is not kept."""
    trigger_id = plan.trigger.trigger_id
    fired = customer.fired.get(trigger_id)
    reason, execution_id, decided_at = customer.holds.get(trigger_id, ("", None, None))
    since = now - plan.max_per_period[1] if plan.max_per_period else None
    alive = now - plan.cooldown if plan.cooldown else None
    return {
        "profile_id": profile_id,
        "trigger_id": trigger_id,
        "last_at": fired.last_at if fired else None,
        "count": fired.count if fired else 0,
        "recent": [at for at in fired.recent if at >= since] if fired and since else [],
        "by_key": {key: at for key, at in fired.by_key.items() if at >= alive} if fired and alive else {},
        "hold_reason": reason,
        "hold_execution_id": execution_id,
        "hold_decided_at": decided_at,
    }


def reserve(allowed: Iterable[tuple[Decision, int]], now: datetime) -> None:
    """Count the messages of granted executions against the caps."""
    rows = [
        (
            decision.event.profile_id,
            channel,
            decision.plan.trigger.definition.message_class.value,
            decision.plan.trigger.trigger_id,
            execution_id,
            decision.judgement.due_at or now if decision.judgement else now,
        )
        for decision, execution_id in allowed
        for channel in (decision.judgement.channels if decision.judgement else ())
    ]
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(_RESERVATIONS, [list(column) for column in zip(*rows, strict=True)])


def label_of(decision: Decision) -> str:
    """How a decision is counted: fired, waiting:why or suppressed:why."""
    if decision.status is ExecutionStatus.SUPPRESSED:
        return f"suppressed:{decision.held[0].reason}"
    return f"waiting:{decision.waiting}" if decision.waiting else "fired"


def count_decisions(decisions: Collection[Decision]) -> list[tally.Count]:
    """Counts of executions by trigger and outcome."""
    counts = Counter((int(d.plan.lane), d.plan.trigger.trigger_id, label_of(d)) for d in decisions)
    return [("executions", lane, trigger_id, label, n) for (lane, trigger_id, label), n in counts.items()]


def _count(outcomes: Outcomes, decisions: Collection[Decision]) -> None:
    counts = count_decisions(decisions)
    for kind, found in (("missed", outcomes.missed), ("broken", outcomes.broken)):
        counts += [(kind, None, trigger_id, pointer, n) for (trigger_id, pointer), n in found.items()]
    if repeated := outcomes.repeated + len(outcomes.decisions) - len(decisions):
        counts.append(("duplicates", None, None, "decision", repeated))
    tally.add(counts)


def count_events(lane: Priority, claimed: Sequence[Claimed]) -> None:
    """Count decided events and how long each took from accept to decision, in the deciding transaction."""
    if not claimed:
        return
    now = datetime.now(UTC)
    buckets: dict[int, int] = defaultdict(int)
    missed = 0
    deadline = lane.deadline or timedelta(seconds=1)
    for item in claimed:
        waited = now - item.event.received_at
        missed += waited > deadline
        buckets[math.ceil(math.log(max(waited.total_seconds() * 1000, 1), LATENCY_STEP))] += 1
    tally.add(
        [
            ("events", int(lane), None, "", len(claimed)),
            ("deadline_missed", int(lane), None, "", missed),
            *(("latency", int(lane), None, str(bucket), n) for bucket, n in buckets.items()),
        ]
    )


_sampled_at: dict[int, float] = {}  # Trigger id -> when this process last kept a miss of it.


def _sample(outcomes: Outcomes) -> None:
    """Keep one miss of each trigger of the batch: where it stopped and what that condition saw."""
    rows = []
    present = time.monotonic()
    for trigger_id, (trigger, facts) in outcomes.samples.items():
        if present - _sampled_at.get(trigger_id, -SAMPLE_SECONDS) < SAMPLE_SECONDS:
            continue
        _sampled_at[trigger_id] = present
        trace = trigger.trace(facts)
        pointer = trace.get("first_failing") or "/conditions"
        line = trace.get(pointer, {})
        event: Event = facts.event
        seen = msgspec.json.encode(line.get("seen")).decode()
        rows.append(
            (
                trigger_id,
                event.profile_id,
                event.id,
                event.occurred_at,
                pointer[:200],
                line["result"] == "broken",
                seen,
            )
            if line
            else (trigger_id, event.profile_id, event.id, event.occurred_at, pointer[:200], False, "null")
        )
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO automation_misssample (trigger_id, profile_id, event_id, event_at, pointer, is_broken,"
                " seen) SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::timestamptz[], %s::text[],"
                " %s::boolean[], %s::jsonb[])",
                [list(column) for column in zip(*rows, strict=True)],
            )
