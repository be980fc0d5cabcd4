"""One claimed batch of deliveries: each row is begun, carried out and settled, whatever becomes of the others."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

from django.db import DatabaseError, InterfaceError, OperationalError, transaction

from automation.actions.base import INTERNAL, Action, Emit, Job
from automation.channels.base import DeliveryError
from automation.channels.breaker import BREAKER, LEFT_ALONE
from automation.channels.registry import Channels, address_column, destination_of, is_one_way, may_repeat
from automation.engine.types import Reason
from automation.faults import InjectedFaultError, fault
from automation.pipeline import delivery_rows, endings, internal, recheck, reservations, tally
from automation.pipeline.calls import CALLS, PATIENCE, Left
from automation.pipeline.cancelling import Decided, called_off
from automation.pipeline.delivery_rows import PutOff, Row
from automation.pipeline.endings import Ending, Sibling
from automation.pipeline.material import Material, version
from automation.pipeline.recheck import Present
from automation.pipeline.reservations import Message
from automation.rendering.liquid import TemplateError

Counts = Counter[tuple[str, int, int, str]]  # kind, lane, trigger id, label

log = logging.getLogger(__name__)

HOST_SHARE = 0.25  # Of a batch: what calls to one host may take of it.
INFRASTRUCTURE = (OperationalError, InterfaceError)  # PostgreSQL is busy or gone: no fault of any row.


class _UnstorableError(Exception):
    """The result of the row before cannot be written; the cause says why."""


def settle(row: Row, ending: Ending, *, expected: str, counts: Counts) -> bool:
    """Record an ending and what follows from it, in one transaction. False when the row was not ours."""
    actions = _actions(row)
    is_over = ending.status != endings.PENDING
    stop = row.action_index < len(actions) and actions[row.action_index].get("on_failure") == "stop"
    alone = [Sibling(row.action_index, ending.status, ending.reason, ending.error)]
    end = endings.progress(alone, row.action_index, stop=stop) if is_over and len(actions) == 1 else None
    with transaction.atomic(savepoint=False):
        if not delivery_rows.finish(row, ending, expected=expected, end=end):
            counts["lease_lost", row.lane, row.trigger_id, row.channel] += 1
            return False
        if ending.frees_place:
            reservations.free(row.execution_id, [row.channel])
        if ending.suppress_address:
            delivery_rows.suppress_address(row, ending.error)
        if is_over and len(actions) != 1:
            progress = endings.progress(delivery_rows.siblings(row), row.action_index, stop=stop)
            index = progress.next_index
            following = actions[index] if index is not None and index < len(actions) else {}
            delivery_rows.advance(row, progress, float(following.get("delay_minutes", 0)))
    counts["deliveries", row.lane, row.trigger_id, ending.status] += 1
    return True


def _actions(row: Row) -> tuple[dict[str, Any], ...]:
    """Those of its version; none when this release cannot read it, so that its rows can be ended all the same."""
    try:
        return version(row.version_id).actions
    except (ValueError, LookupError, TypeError, AttributeError):
        log.exception("a version cannot be read", extra={"version_id": row.version_id})
        return ()


class Batch:
    """The claimed rows and what they need; each is begun, carried out and settled in turn."""

    def __init__(self, rows: list[Row], material: Material | None) -> None:
        self._rows = rows
        self._channels = Channels()
        self._loaded = material
        self._counts: Counts = Counter()
        self._spent: Counter[str] = Counter()  # Calls really made, by destination.
        self._refused: list[Row] = []  # Their destination has had its share of this batch.
        self._put_off: list[PutOff] = []  # Their destination cannot be called now.
        self._kept: set[UUID] = set()  # Nothing can be recorded of these; their lease ends by itself.
        self._unwritten: tuple[Row, Ending] | None = None  # The result of the call that has just ended.

    @property
    def _material(self) -> Material:
        assert self._loaded is not None
        return self._loaded

    def run(self, ends_at: float) -> int:
        """How many rows were handled; the others are given back. Nothing new is begun after `ends_at`."""
        share = max(1, int(len(self._rows) * HOST_SHARE))
        done = 0
        try:
            for row in self._rows:
                is_over = time.monotonic() >= ends_at
                destination = _destination(row)
                spent = 0 if is_one_way(row.channel) else self._spent[destination]
                if self._is_put_off(row, destination):
                    done += 1
                elif spent >= (1 if is_over else share):
                    self._refused.append(row)  # A host that took all the time lets others go first, too.
                elif not is_over:
                    done += self._guarded(row, destination)
            self._write()
        finally:
            self.give_back()
        return done

    def _is_put_off(self, row: Row, destination: str) -> bool:
        """Whether its destination cannot be called now; then the row waits without being begun."""
        if not destination:
            return False
        if wait := BREAKER.wait(destination):
            self._put_off.append(PutOff(row, wait, Reason.CIRCUIT_OPEN))
        elif CALLS.is_going_on(destination):
            self._put_off.append(PutOff(row, PATIENCE, ""))
        else:
            return False
        return True

    def abandon(self, error: Exception) -> int:
        """The only row of a batch that cannot even be prepared fails."""
        try:
            return int(self._give_up(self._rows[0], error))
        finally:
            self.give_back()

    def _guarded(self, row: Row, destination: str) -> bool:
        """Carry out one row, whatever is wrong with it; only infrastructure errors end the batch (R-020)."""
        try:
            try:
                return self._carry_out(row, destination)
            except _UnstorableError:  # Not this row's fault: it was not begun.
                self._write()
                return self._carry_out(row, destination)
        except (*INFRASTRUCTURE, InjectedFaultError):  # A fault stands for the end of the process.
            raise
        except Exception as error:  # noqa: BLE001 — recorded and logged by _give_up.
            return self._give_up(row, error)

    def _give_up(self, row: Row, error: Exception) -> bool:
        """A row that raised before it was begun, and would do so again: failed, and nothing was sent."""
        try:
            ending = replace(self._failed(row, error, row.tries), maybe_sent=False)
            with self._transaction() as counts:
                return settle(row, ending, expected=endings.PENDING, counts=counts)
        except INFRASTRUCTURE:
            raise
        except Exception:  # Logged; its lease ends by itself, and the others of the batch go on.
            log.exception(
                "a delivery cannot even be failed", extra={"delivery_id": str(row.id), "quotes_data": True}
            )
            self._kept.add(row.id)
            return False

    def _carry_out(self, row: Row, destination: str) -> bool:
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
        return self._outside(row, action, destination)

    def _inside(self, row: Row, action: Action) -> bool:
        """Effect and result are one transaction, under the customer's lock."""
        self._write()  # Before it: whoever waits for a profile must not hold an execution.
        with self._transaction() as counts:
            self._material.lock(row.profile_id)
            present = delivery_rows.look(row, address_column(row.channel))
            if present is None or present.profile_id != row.profile_id:
                return False  # In the second case the customer was merged: the lock we hold is not theirs.
            if not self._call_off(row, action, present, counts):
                job = self._begin(row, present)
                try:
                    with transaction.atomic():
                        outcome = action.perform(job)
                        self._tell(job, outcome.emits)
                    ending = endings.succeeded(outcome)
                except INFRASTRUCTURE:
                    raise  # The database is busy or gone: nothing happened, the row is due again.
                except Exception as error:  # noqa: BLE001 — recorded and logged by _failed.
                    ending = self._failed(row, error, row.tries + 1)
                settle(row, ending, expected=endings.SENDING, counts=counts)
        return True

    def _outside(self, row: Row, action: Action, destination: str) -> bool:
        """Commit `sending`, call, commit the result: with the `sending` of the next row, to save a commit."""
        job: Job | None = None
        with self._transaction() as counts:
            present = delivery_rows.look(row, address_column(row.channel))
            if present is None:
                return False
            is_over = self._call_off(row, action, present, counts)
            is_late = not is_over and action.is_message and present.is_late(row.now)
            if not (is_over or is_late):
                job = self._begin(row, present)
        if is_late:
            job = self._begin_late(row, action, present.profile_id)
        if job is not None:
            fault("delivery_after_claim")
            ending = CALLS.make(destination, partial(self._call, row, action, job))
            if isinstance(ending, Left):
                self._spent[destination] += 1
                self._leave(row, ending)
            else:
                self._spent[destination] += not ending.is_free
                self._unwritten = (row, ending)
                fault("delivery_after_effect")
        return True

    def _call(self, row: Row, action: Action, job: Job) -> Ending:
        """The call itself and what its result means. In a thread of its own: nothing here asks the database."""
        try:
            return endings.succeeded(action.perform(job))
        except INFRASTRUCTURE:
            raise  # Nobody knows how far it came: the lease ends, and `rescue` decides.
        except Exception as error:  # noqa: BLE001 — recorded and logged by _failed.
            return self._failed(row, error, row.tries + 1)

    def _leave(self, row: Row, call: Left[Ending]) -> None:
        """The call goes on without us, with the connections it has; its thread records what comes of it."""
        delivery_rows.leave(row)
        late = Batch([], None)
        late._channels, self._channels = self._channels, Channels()

        def record(result: Callable[[], Ending]) -> None:
            try:
                late._unwritten = (row, result())
            finally:
                late.give_back()

        call.record(record)

    def _begin_late(self, row: Row, action: Action, profile_id: int) -> Job | None:
        """A message that leaves long after it took its place takes it anew, under the customer's lock (R-016).

        None when others have taken it meanwhile, or an event has called the message off.
        """
        with self._transaction() as counts:
            locked = self._material.lock(profile_id)
            present = delivery_rows.look(row, address_column(row.channel))
            if locked is None or present is None or present.profile_id != profile_id:
                return None  # In the last case the customer was merged; the row is given back.
            if self._call_off(row, action, present, counts):
                return None
            message = Message(profile_id, row.channel, row.message_class, row.trigger_id, row.execution_id)
            published = version(row.version_id)
            found = reservations.others(message, event_at=row.event_at, cancel_names=published.cancel_names)
            reason = recheck.too_late(
                found,
                channel=row.channel,
                message_class=row.message_class,
                topic=row.topic,
                preferences=present.preferences,
                time_zone=present.time_zone,
            )
            if reason is None and published.has_cancel_conditions:
                decided = Decided(row.version_id, profile_id, row.event_id, row.event_at)
                if called_off(decided, locked, found.now):
                    reason = Reason.CANCELLED_BY_EVENT
            if reason is not None:
                settle(row, endings.cancelled(reason), expected=endings.PENDING, counts=counts)
                return None
            reservations.renew(message, found)
            return self._begin(row, present)

    @contextmanager
    def _transaction(self) -> Iterator[Counts]:
        """A transaction that first records the last call's result; its counts count when it has committed."""
        counts: Counts = Counter()
        with transaction.atomic():
            if self._unwritten is not None:
                try:
                    settle(*self._unwritten, expected=endings.SENDING, counts=counts)
                except INFRASTRUCTURE:
                    raise
                except Exception as error:
                    raise _UnstorableError from error
            yield counts
        self._counts.update(counts)
        if self._unwritten is not None:
            self._unwritten = None
            fault("delivery_after_commit")

    def _write(self) -> None:
        """Record the last call's result, if it is not recorded yet; when it cannot be stored, then without it."""
        if self._unwritten is None:
            return
        try:
            with self._transaction():
                pass
        except _UnstorableError as error:
            row, ending = self._unwritten
            cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
            log.exception(
                "a result cannot be stored", extra={"delivery_id": str(row.id), "quotes_data": True}
            )
            self._unwritten = (row, endings.without_result(ending, cause))
            try:
                with self._transaction():
                    pass
            except _UnstorableError:
                log.exception(
                    "an ending cannot be stored", extra={"delivery_id": str(row.id), "quotes_data": True}
                )
                self._unwritten = None  # Its lease ends by itself, and `rescue` decides.

    def _call_off(self, row: Row, action: Action, present: Present, counts: Counts) -> bool:
        """Whether the row must not be carried out now: called off (R-024), or put off to the end of the night."""
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
            return True
        if not action.is_message:
            return False
        until = recheck.quiet_until(
            present, channel=row.channel, message_class=row.message_class, topic=row.topic, now=row.now
        )
        if until is not None:
            settle(row, endings.postponed(until), expected=endings.PENDING, counts=counts)
        return until is not None

    def _begin(self, row: Row, present: Present) -> Job:
        """Mark the row as `sending`; its call may follow when that has committed."""
        delivery_rows.begin(row, present.address)
        return self._material.job(row, present.profile_id, present.address, self._channels)

    def _failed(self, row: Row, error: Exception, tries: int) -> Ending:
        if not isinstance(error, DeliveryError | TemplateError):
            log.exception(
                "an action failed unexpectedly", extra={"delivery_id": str(row.id), "quotes_data": True}
            )
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

    def give_back(self) -> None:
        """Let go of what is pending still and ours, and count what was done."""
        try:
            self._write()
            delivery_rows.step_back(self._refused)
            delivery_rows.put_off(self._put_off, LEFT_ALONE)
            apart = {row.id for row in self._refused} | {off.row.id for off in self._put_off} | self._kept
            delivery_rows.release([row for row in self._rows if row.id not in apart])
            tally.add(counted(self._counts))
        except (DatabaseError, InterfaceError):  # Their leases end by themselves.
            log.warning("could not give back claimed deliveries", exc_info=True)
        finally:
            self._channels.close()


def _destination(row: Row) -> str:
    """What the row's action would call; empty when that is nothing outside, or cannot be known."""
    try:
        return destination_of(row.channel, version(row.version_id).action(row.action_index))
    except Exception:  # noqa: BLE001 — whatever is wrong with the row is reported when it is carried out.
        return ""


def counted(counts: Counts) -> list[tally.Count]:
    return [(kind, lane, trigger_id, label, n) for (kind, lane, trigger_id, label), n in counts.items()]
