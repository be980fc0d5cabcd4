"""Carry out what the outbox holds: claim and commit `sending`, call, commit the result (R-025).

A row that touches only our database is carried out in one transaction, exactly once. A call to the outside
cannot be: a marketing message is rather not sent twice, everything else rather twice than never (R-026).
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from django.db import DatabaseError, InterfaceError, OperationalError, transaction

from automation import queues
from automation.actions.base import INTERNAL, Action, Emit, Job
from automation.channels.base import DeliveryError
from automation.channels.registry import Channels, address_column, may_repeat
from automation.engine.types import Priority
from automation.faults import fault
from automation.pipeline import delivery_rows, endings, internal, recheck, tally
from automation.pipeline.delivery_rows import Row
from automation.pipeline.endings import Ending, Sibling
from automation.pipeline.material import Material, version
from automation.pipeline.recheck import Present
from automation.rendering.liquid import TemplateError

Counts = Counter[tuple[str, int, int, str]]  # kind, lane, trigger id, label

log = logging.getLogger(__name__)

START_SECONDS = 5.0  # After this, nothing new is begun in one call.
RESCUED_AT_ONCE = 1000


def deliver_batch(lane: str, *, worker: str, limit: int) -> int:
    """Carry out up to `limit` due deliveries of `lane`; returns how many were handled.

    Must not run inside a transaction. What was claimed and not begun is given back.
    """
    rows = delivery_rows.claim(int(Priority[lane.upper()]), worker=worker, limit=limit)
    if not rows:
        return 0
    with Channels() as channels:
        return _Batch(rows, channels).run()


def rescue() -> int:
    """End the lease of deliveries whose worker died in the middle of the call; returns how many.

    A marketing message becomes `uncertain`; what may repeat is due again, with the same ids.
    """
    rescued = 0
    counts: Counts = Counter()
    for row in delivery_rows.expired(RESCUED_AT_ONCE):
        ending = endings.interrupted(
            may_repeat=may_repeat(row.channel, row.message_class),
            tries=row.tries,
            first_at=row.first_at or row.now,
            now=row.now,
        )
        rescued += settle(row, ending, expected=endings.SENDING, counts=counts)
    tally.add(_counted(counts))
    return rescued


def try_again(delivery_id: UUID) -> bool:
    """A person wants a failed delivery tried again, with the same ids. False when it is not failed (any more).

    The last look is taken as ever; an uncertain message is not for this (see automation.pipeline.settle).
    """
    with transaction.atomic():
        lane = delivery_rows.reopen(delivery_id)
        if lane is not None:
            queues.ring_deliveries(Priority(lane).lane)
    return lane is not None


def settle(row: Row, ending: Ending, *, expected: str, counts: Counts) -> bool:
    """Record an ending and what follows from it, in one transaction. False when the row was not ours."""
    actions = version(row.version_id).actions
    is_over = ending.status != endings.PENDING
    stop = row.action_index < len(actions) and actions[row.action_index].get("on_failure") == "stop"
    alone = [Sibling(row.action_index, ending.status, ending.reason, ending.error)]
    end = endings.progress(alone, row.action_index, stop=stop) if is_over and len(actions) == 1 else None
    with transaction.atomic(savepoint=False):
        if not delivery_rows.finish(row, ending, expected=expected, end=end):
            counts["lease_lost", row.lane, row.trigger_id, row.channel] += 1
            return False
        if ending.status == endings.CANCELLED:
            delivery_rows.free_reservation(row)
        if ending.suppress_address:
            delivery_rows.suppress_address(row, ending.error)
        if is_over and len(actions) > 1:
            progress = endings.progress(delivery_rows.siblings(row), row.action_index, stop=stop)
            following = actions[progress.next_index] if progress.next_index is not None else {}
            delivery_rows.advance(row, progress, float(following.get("delay_minutes", 0)))
    counts["deliveries", row.lane, row.trigger_id, ending.status] += 1
    return True


class _Batch:
    """The claimed rows and what they need; each is begun, carried out and settled in turn."""

    def __init__(self, rows: list[Row], channels: Channels) -> None:
        self._rows = rows
        self._channels = channels
        self._material = Material(rows)
        self._counts: Counts = Counter()
        self._unwritten: tuple[Row, Ending] | None = None  # The result of the call that has just ended.

    def run(self) -> int:
        """How many rows were handled; the others are given back."""
        ends_at = time.monotonic() + START_SECONDS
        done = 0
        try:
            for row in self._rows:
                if time.monotonic() >= ends_at:
                    break
                done += self._carry_out(row)
            self._write()
        finally:
            self._give_back()
        return done

    def _carry_out(self, row: Row) -> bool:
        """False when somebody else holds the row."""
        try:
            action = version(row.version_id).action(row.action_index)
        except (ValueError, LookupError) as error:  # An action this installation does not know (S-152).
            unknown = DeliveryError(
                f"{row.action_type}: {error}"[:300], permanent=True, kind="unknown_action"
            )
            with self._transaction() as counts:
                ending = self._failed(row, unknown, row.tries)
                return settle(row, ending, expected=endings.PENDING, counts=counts)
        if action.channel == INTERNAL:
            return self._inside(row, action)
        return self._outside(row, action)

    def _inside(self, row: Row, action: Action) -> bool:
        """Effect and result are one transaction, under the customer's lock."""
        self._write()  # Before it: whoever waits for a profile must not hold an execution.
        with self._transaction() as counts:
            self._material.lock(row.profile_id)
            present = delivery_rows.look(row, address_column(row.channel))
            if present is None or present.profile_id != row.profile_id:
                return False  # In the second case the customer was merged: the lock we hold is not theirs.
            job = self._begin(row, action, present, counts)
            if job is not None:
                try:
                    with transaction.atomic():
                        outcome = action.perform(job)
                        self._tell(job, outcome.emits)
                    ending = endings.succeeded(outcome)
                except OperationalError:
                    raise  # The database is busy or gone: nothing happened, the row is due again.
                except Exception as error:  # noqa: BLE001 — recorded and logged by _failed.
                    ending = self._failed(row, error, row.tries + 1)
                settle(row, ending, expected=endings.SENDING, counts=counts)
        return True

    def _outside(self, row: Row, action: Action) -> bool:
        """Commit `sending`, call, commit the result: with the `sending` of the next row, to save a commit."""
        with self._transaction() as counts:
            present = delivery_rows.look(row, address_column(row.channel))
            job = self._begin(row, action, present, counts) if present else None
        if job is not None:
            fault("delivery_after_claim")
            try:
                ending = endings.succeeded(action.perform(job))
            except DatabaseError:
                raise  # Nobody knows how far it came: the lease ends, and `rescue` decides.
            except Exception as error:  # noqa: BLE001 — recorded and logged by _failed.
                ending = self._failed(row, error, row.tries + 1)
            self._unwritten = (row, ending)
            fault("delivery_after_effect")
        return present is not None

    @contextmanager
    def _transaction(self) -> Iterator[Counts]:
        """A transaction that first records the last call's result; its counts count when it has committed."""
        counts: Counts = Counter()
        with transaction.atomic():
            if self._unwritten is not None:
                settle(*self._unwritten, expected=endings.SENDING, counts=counts)
            yield counts
        self._counts.update(counts)
        if self._unwritten is not None:
            self._unwritten = None
            fault("delivery_after_commit")

    def _write(self) -> None:
        """Record the last call's result, if it is not recorded yet."""
        if self._unwritten is not None:
            with self._transaction():
                pass

    def _begin(self, row: Row, action: Action, present: Present, counts: Counts) -> Job | None:
        """Mark the row as `sending`, or call it off and return None (R-024)."""
        reason = recheck.held_back(
            present,
            is_message=action.is_message,
            channel=row.channel,
            message_class=row.message_class,
            topic=row.topic,
            now=row.now,
        )
        if reason is not None:
            settle(row, endings.cancelled(reason), expected=endings.PENDING, counts=counts)
            return None
        delivery_rows.begin(row, present.address)
        return self._material.job(row, present.profile_id, present.address, self._channels)

    def _failed(self, row: Row, error: Exception, tries: int) -> Ending:
        if not isinstance(error, DeliveryError | TemplateError):
            log.exception("an action failed unexpectedly", extra={"delivery_id": str(row.id)})
        return endings.failed(
            error,
            may_repeat=may_repeat(row.channel, row.message_class),
            tries=tries,
            first_at=row.first_at or row.now,
            now=row.now,
            seed=str(row.id),
        )

    def _tell(self, job: Job, emits: Sequence[Emit]) -> None:
        """Events that the action emits, in the transaction that records it: exactly once."""
        for index, emit in enumerate(emits):
            context = {"depth": job.depth + 1, "trigger": job.trigger.key}
            message_id = f"{job.delivery_id}:{index}"
            internal.tell(
                job.profile_id, emit.name, emit.data, at=job.now, message_id=message_id, context=context
            )

    def _give_back(self) -> None:
        try:
            self._write()
            delivery_rows.release(self._rows)  # Those that are pending still, and ours.
            tally.add(_counted(self._counts))
        except (DatabaseError, InterfaceError):  # Their leases end by themselves.
            log.warning("could not give back claimed deliveries", exc_info=True)


def _counted(counts: Counts) -> list[tally.Count]:
    return [(kind, lane, trigger_id, label, n) for (kind, lane, trigger_id, label), n in counts.items()]
