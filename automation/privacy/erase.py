"""Forget a person: one transaction under the locks of their profiles, then a tombstone for each of their names.

Who may have come in between: a worker that holds events or deliveries of the person waits for us or we for it, and
finds them erased afterwards (automation.pipeline.process, recheck); its answer from outside is fenced off, because
`attempt` has risen. An event that is being stored at this moment is dropped by the worker that takes it. A first
event of a name that nobody knew yet may have been on its way when the name was buried: we wait until every transaction
that could not see the tombstone has ended, look again, and erase what it made.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from django.db import OperationalError, connection, transaction
from psycopg2.errors import DeadlockDetected, LockNotAvailable

from automation import audit
from automation.ids import uuid7
from automation.pipeline import claim, tally
from automation.privacy import statistics, tombstone
from automation.privacy.holdings import HOLDINGS
from automation.privacy.person import Person, Who, find
from automation.privacy.traces import traces
from profiles import services
from profiles.models import Erasure

if TYPE_CHECKING:
    from django.http import HttpRequest

log = logging.getLogger(__name__)

TRIES: Final = 5
PATIENCE: Final = 3.0  # Seconds to wait for transactions that began before the tombstones.
Progress = Callable[[str], None]  # Told the table that comes next.

# Decisions lock profiles in a way that lets others add rows which refer to them. Once the deliveries are locked, so
# that no action inside the database is under way, nobody may add such a row any more.
_STRONG_FROM: Final = "automation_task"
_STRONG: Final = "SELECT FROM profiles_profile WHERE id = ANY(%(profiles)s) ORDER BY id FOR UPDATE"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was done; holds nothing of the person."""

    id: UUID
    outcome: str  # erased, already_erased or unknown.
    at: datetime
    by: str
    counts: Mapping[str, int]  # Table -> rows deleted or redacted.
    names: int  # Names that are buried, whenever that was.

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "id": str(self.id), "at": self.at.isoformat()}


class _Done(NamedTuple):
    """One transaction of an erasure."""

    person: Person
    noted: list[statistics.Noted]  # PostgreSQL's samples that hold values of theirs.


class _ChangedError(Exception):
    """Profiles were joined while we waited for their locks."""


def erase(
    who: Who,
    *,
    by: str,
    now: datetime,
    actor_id: int | None = None,
    request: HttpRequest | None = None,
    progress: Progress = lambda table: None,
) -> Receipt:
    """Erase everything of the person, whoever they are; the same answer for one who is unknown or erased already.

    Raises AmbiguousError when an e-mail address has several owners, OperationalError when the database is busy.
    """
    receipt_id = uuid7()

    def once(which: Who) -> _Done:
        return _tried(lambda: _once(which, receipt_id, by, now, actor_id, request, progress))

    began_at = claim.moment()
    done = once(who)
    sampled: list[statistics.Noted] = []
    if not connection.in_atomic_block:
        _await_older()
        for kind, value in services.known(done.person.names):
            once(Who(customer_id=value) if kind == services.CUSTOMER else Who(anonymous_id=value))
        sampled = statistics.since(began_at)
    statistics.resample({*done.noted, *sampled})
    saved = Erasure.objects.get(pk=receipt_id)
    log.info("a customer was erased", extra={"erasure": str(receipt_id), "outcome": saved.outcome})
    return Receipt(receipt_id, saved.outcome, now, saved.by, saved.counts, saved.names)


def _tried(step: Callable[[], _Done]) -> _Done:
    """Do `step`, again when others stood in the way; inside a transaction of the caller's only once."""
    for left in reversed(range(TRIES)):
        try:
            return step()
        except _ChangedError:
            if not left:
                raise OperationalError("The customer is being joined to others all the time.") from None
        except OperationalError as error:
            is_crowd = isinstance(error.__cause__, DeadlockDetected | LockNotAvailable)
            if not left or not is_crowd or connection.in_atomic_block:
                raise
    raise AssertionError("unreachable")


@transaction.atomic
def _once(
    who: Who,
    receipt_id: UUID,
    by: str,
    now: datetime,
    actor_id: int | None,
    request: HttpRequest | None,
    progress: Progress,
) -> _Done:
    """Erase what is found now."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '10s'; SET LOCAL statement_timeout = '10min'")
        progress("profiles_profile")
        person = _locked(who)
        values = traces(person, now)
        former = Erasure.objects.filter(pk=receipt_id).first()  # Of the first look, when this is the second.
        counts = Counter(former.counts if former else {})
        if (person.profile_ids and not person.is_erased) or (
            former and former.outcome == Erasure.Outcome.ERASED
        ):
            outcome = Erasure.Outcome.ERASED
        elif person.is_erased or tombstone.is_buried(person.names):
            outcome = Erasure.Outcome.ALREADY_ERASED
        else:
            outcome = Erasure.Outcome.UNKNOWN
        noted = statistics.naming(values)
        tally.add(_called_off(values))
        for holding in HOLDINGS:
            progress(holding.table)
            if holding.table == _STRONG_FROM:
                cursor.execute(_STRONG, values)
            if holding.statement:
                cursor.execute(holding.statement, values)
                if cursor.rowcount:
                    counts[holding.table] += cursor.rowcount
        Erasure.objects.update_or_create(
            pk=receipt_id,
            defaults={
                "act": Erasure.Act.ERASE,
                "outcome": outcome,
                "at": now,
                "by": by[:150],
                "counts": dict(counts),
                "names": len(person.names),
            },
        )
        tombstone.bury(receipt_id, person.names)
    audit.record(
        "customer.erased",
        actor=by,
        actor_id=actor_id,
        target=f"profiles.erasure {receipt_id}",
        details={"outcome": str(outcome), "counts": dict(counts)},
        request=request,
    )
    return _Done(person, noted)


def _locked(who: Who) -> Person:
    """The person, with all their profiles locked, and after them all their executions (R-015)."""
    person = find(who)
    services.lock(person.profile_ids)
    again = find(who)
    if again.profile_ids != person.profile_ids:
        raise _ChangedError  # Another profile joined them: locks are taken all at once or not at all.
    with connection.cursor() as cursor:
        for table in ("automation_execution", "automation_delivery"):
            cursor.execute(
                f"SELECT FROM {table} WHERE profile_id = ANY(%s) ORDER BY id FOR NO KEY UPDATE",
                [list(person.profile_ids)],
            )
    return again


def _called_off(values: Mapping[str, Any]) -> list[tally.Count]:
    """What the erasure ends, as counts: reports sum up tallies."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 'deliveries', lane, trigger_id,"
            " CASE status WHEN 'pending' THEN 'cancelled' ELSE 'uncertain' END, count(*)"
            " FROM automation_delivery WHERE profile_id = ANY(%(profiles)s) AND status IN ('pending', 'sending')"
            " GROUP BY 1, 2, 3, 4"
            " UNION ALL SELECT 'executions', lane, trigger_id, 'suppressed:profile_erased', count(*)"
            " FROM automation_execution WHERE profile_id = ANY(%(profiles)s) AND status = 'pending'"
            " AND due_at IS NOT NULL GROUP BY 1, 2, 3, 4",
            values,
        )
        return [(kind, lane, trigger_id, label, n) for kind, lane, trigger_id, label, n in cursor.fetchall()]


def _await_older() -> None:
    """Wait until every transaction has ended that began before now, and every ANALYZE; at most PATIENCE.

    What began later sees the tombstones, and samples no row that is gone.
    """
    ends_at = time.monotonic() + PATIENCE
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
        while True:
            cursor.execute(
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()"
                " AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND xact_start <= %s)"
                " OR EXISTS (SELECT FROM pg_stat_progress_analyze WHERE datname = current_database())",
                [now],
            )
            if not cursor.fetchone()[0]:
                return
            if time.monotonic() >= ends_at:
                # A back-up or a long report, most likely: those store no names.
                log.info("did not wait for the end of a long transaction")
                return
            time.sleep(0.01)
