"""What the demo came to: every number counted from the database, or from the mailbox's ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.db import connection, transaction

from analytics.demo.install import SOURCE
from automation import invariants
from automation.engine.types import Priority
from automation.metrics import Latency, percentile

Waits = Mapping[tuple[str, int], int]  # (lane, bucket of the latency tally) -> events.

SENT: Final = ("sent", "delivered", "opened", "clicked", "bounced", "complained")  # All went out.

_ENDED: Final = ("triggered", "suppressed", "failed")

_PROCESSED = """
SELECT count(*) FILTER (WHERE NOT waits) FROM (
  SELECT EXISTS (SELECT FROM automation_queuedevent q WHERE q.event_id = k.event_id)
    OR EXISTS (SELECT FROM automation_quarantinedevent h WHERE h.event_id = k.event_id AND h.state = 'held')
    AS waits
  FROM automation_messagekey k WHERE k.source = %s) AS accepted
"""
_BY_TRIGGER = """
SELECT t.key, t.name, x.status, sum(x.held_count) FILTER (WHERE x.status = 'suppressed'), count(*)
FROM automation_execution x JOIN automation_trigger t ON t.id = x.trigger_id GROUP BY 1, 2, 3
"""
_BY_REASON = "SELECT reason, sum(held_count) FROM automation_execution WHERE status = 'suppressed' GROUP BY 1"
_DELIVERIES = "SELECT channel = 'email', status, count(*) FROM automation_delivery GROUP BY 1, 2"
_ARTICLE = """
SELECT t.name, x.status, x.reason, count(d.id), e.message_id, e.id
FROM automation_event e JOIN profiles_profile p ON p.id = e.profile_id
LEFT JOIN automation_execution x ON x.event_id = e.id
LEFT JOIN automation_trigger t ON t.id = x.trigger_id
LEFT JOIN automation_delivery d ON d.execution_id = x.id
WHERE p.customer_id = %s AND e.name = 'cart_abandonment' GROUP BY 1, 2, 3, 5, 6 ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one recipe did."""

    name: str
    fired: int
    held: int
    waiting: int
    failed: int


@dataclass(frozen=True, slots=True)
class Counted:
    """The database at one moment."""

    processed: int  # Of the demo's events: decided.
    executions: Mapping[str, int]  # By status; held back ones are counted as often as they were held back.
    held_rows: int  # The same rows without their repeats.
    reasons: Mapping[str, int]  # Most frequent first.
    emails: Mapping[str, int]  # E-mail deliveries by status.
    internal: int  # Finished actions that send nothing: tasks, segments, customer data.
    recipes: tuple[Recipe, ...]
    article: tuple[Mapping[str, Any], ...]  # Executions of the source article's example.

    @property
    def waiting(self) -> int:
        """Executions whose moment has not come."""
        return self.executions.get("pending", 0) + self.executions.get("processing", 0)

    @property
    def sent(self) -> int:
        return sum(self.emails.get(status, 0) for status in SENT)


def count(article_customer: str) -> Counted:
    """Everything of one moment, in one snapshot."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute(_PROCESSED, [SOURCE])
        (processed,) = cursor.fetchone()
        cursor.execute(_BY_TRIGGER)
        by_trigger = cursor.fetchall()
        cursor.execute(_BY_REASON)
        reasons = {reason: int(times) for reason, times in cursor.fetchall()}
        cursor.execute(_DELIVERIES)
        deliveries = cursor.fetchall()
        cursor.execute(_ARTICLE, [article_customer])
        article = cursor.fetchall()
    executions: dict[str, int] = {}
    recipes: dict[str, dict[str, int]] = {}
    held_rows = 0
    for _, name, status, times, rows in by_trigger:
        recipes.setdefault(name, {})[status] = int(times or rows)
        executions[status] = executions.get(status, 0) + int(times or rows)
        held_rows += rows if status == "suppressed" else 0
    return Counted(
        processed=processed,
        executions=executions,
        held_rows=held_rows,
        reasons=dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        emails={status: n for is_email, status, n in deliveries if is_email},
        internal=sum(n for is_email, status, n in deliveries if not is_email and status in SENT),
        recipes=tuple(
            Recipe(
                name,
                by.get("triggered", 0),
                by.get("suppressed", 0),
                by.get("pending", 0) + by.get("processing", 0),
                by.get("failed", 0),
            )
            for name, by in sorted(recipes.items(), key=lambda item: -item[1].get("triggered", 0))
        ),
        article=tuple(
            {"trigger": name, "status": status, "reason": reason, "actions": actions, "event_id": event_id}
            for name, status, reason, actions, _, event_id in article
            if name
        ),
    )


def received(ledger: Path) -> int:
    """Messages the local SMTP server has accepted."""
    if not ledger.exists():
        return 0
    with ledger.open("rb") as lines:
        return sum(1 for _ in lines)


@dataclass(frozen=True, slots=True)
class Summary:
    """The demo's result."""

    seed: int
    customers: int
    accepted: int  # Events that the API took over, each counted once.
    doubles: int  # Repeats that the API recognised.
    refused: int
    counted: Counted
    smtp_received: int
    lanes: Mapping[str, Latency]  # Of all events.
    lanes_live: Mapping[str, Latency]  # Of those that came one by one at the end.
    broken: tuple[str, ...]  # Invariants that do not hold.
    invariants: int
    seconds: float

    @property
    def problems(self) -> list[str]:
        """Why this run is not a success; empty when it is one."""
        found = []
        if self.accepted != self.counted.processed:
            found.append(f"{self.accepted} events were accepted, {self.counted.processed} decided")
        if self.refused:
            found.append(f"{self.refused} events were refused")
        if self.smtp_received != self.counted.sent:
            found.append(f"{self.counted.sent} mails count as sent, {self.smtp_received} arrived")
        if not any(one["status"] == "triggered" for one in self.counted.article):
            found.append("the article's example did not fire")
        return found + [f"invariant {name} does not hold" for name in self.broken]

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        counted = self.counted
        return {
            "events_accepted": self.accepted,
            "events_processed": counted.processed,
            "events_duplicate": self.doubles,
            "executions": {
                **{status: counted.executions.get(status, 0) for status in _ENDED},
                "waiting": counted.waiting,
            },
            "suppressed_rows": counted.held_rows,
            "suppressed_by_reason": dict(counted.reasons),
            "deliveries": {
                "sent": counted.sent,
                "failed": counted.emails.get("failed", 0),
                "uncertain": counted.emails.get("uncertain", 0),
            },
            "internal_actions": counted.internal,
            "smtp_received": self.smtp_received,
            "lanes": {lane: dict(latency) for lane, latency in self.lanes.items()},
            "lanes_live": {lane: dict(latency) for lane, latency in self.lanes_live.items()},
            "article_example": [dict(one) for one in counted.article],
            "invariants": {"checked": self.invariants, "broken": list(self.broken)},
            "seed": self.seed,
            "customers": self.customers,
            "seconds": round(self.seconds, 1),
            "problems": self.problems,
        }


def waits() -> Waits:
    """How many events of each lane were decided within which bucket of time, so far."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT lane, label::int, sum(count)::bigint FROM automation_tally WHERE kind = 'latency'"
            " GROUP BY 1, 2"
        )
        return {(Priority(lane).lane, bucket): count for lane, bucket, count in cursor.fetchall()}


def latencies(now: Waits, before: Waits | None = None) -> dict[str, Latency]:
    """Time from accept to decision of each lane, of what was decided between two counts."""
    lanes: dict[str, dict[int, int]] = {}
    for (lane, bucket), count in now.items():
        more = count - (before or {}).get((lane, bucket), 0)
        if more:
            lanes.setdefault(lane, {})[bucket] = more
    return {
        lane: {
            "p50_ms": percentile(buckets, 0.50),
            "p95_ms": percentile(buckets, 0.95),
            "p99_ms": percentile(buckets, 0.99),
            "count": sum(buckets.values()),
        }
        for lane, buckets in lanes.items()
    }


def proofs() -> tuple[int, tuple[str, ...]]:
    """How many invariants were checked, and which do not hold."""
    found = invariants.verify()
    return len(found), tuple(proof.name for proof in found if proof.breaches)
