"""How a delivery ends, and what that means for its execution: pure decisions, no database.

The pipeline acts on what these functions return.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from automation.actions.base import Outcome
from automation.channels.base import ChannelBusyError, DeliveryError
from automation.engine.schedule import gives_up, next_retry
from automation.engine.types import ExecutionStatus, Reason
from automation.rendering.liquid import TemplateError

PENDING, SENDING, SENT, UNCERTAIN = "pending", "sending", "sent", "uncertain"
FAILED, CANCELLED = "failed", "cancelled"
OPEN: Final = frozenset({PENDING, SENDING})
# Whatever feedback makes of a message later, it went out; an uncertain one counts as sent.
WENT_OUT: Final = frozenset({SENT, UNCERTAIN, "delivered", "opened", "clicked", "bounced", "complained"})

_ADDRESS = re.compile(r"[^\s<>\"'()\[\],;:]+@[^\s<>\"'()\[\],;]+")


@dataclass(frozen=True, slots=True)
class Ending:
    """What an attempt came to."""

    status: str  # Of the delivery from now on; pending means another try.
    reason: str = ""
    provider_id: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)
    error_class: str = ""
    error: str = ""
    wait: timedelta | None = None  # Until the next try, when pending.
    suppress_address: bool = False
    until: datetime | None = None  # The moment of the next try, when it is known.
    is_free: bool = False  # Nothing was tried: no attempt is used up.
    maybe_sent: bool = False  # It may have gone out all the same, so it keeps its place under the caps.

    @property
    def frees_place(self) -> bool:
        """Whether it certainly does not go out any more, and takes no place under the caps."""
        return self.status in (CANCELLED, FAILED) and not self.maybe_sent


@dataclass(frozen=True, slots=True, order=True)
class Sibling:
    """One delivery of an execution."""

    index: int
    status: str
    reason: str
    error: str


class Progress(NamedTuple):
    """What the end of one delivery means for the others and for the execution."""

    next_index: int | None = None  # This action gets its moment now.
    cancel: tuple[int, ...] = ()  # These actions will not run.
    status: ExecutionStatus | None = None  # None: the execution goes on.
    reason: str = ""
    error: str = ""


def succeeded(outcome: Outcome) -> Ending:
    """The action was carried out, or the message accepted."""
    return Ending(SENT, provider_id=storable(outcome.provider_id)[:255], result=outcome.result)


def cancelled(reason: Reason | str) -> Ending:
    """It must not be sent any more."""
    return Ending(CANCELLED, reason=str(reason))


def postponed(until: datetime) -> Ending:
    """The customer's quiet hours: nothing is tried before they end."""
    words = "Waits for the end of the customer's quiet hours."
    return Ending(PENDING, error_class="quiet_hours", error=words, until=until)


def without_result(ending: Ending, error: Exception) -> Ending:
    """The same ending, when what the other side answered cannot be stored."""
    note = {"not_stored": type(error).__name__}
    return replace(
        ending, result=note, provider_id="", error=ending.error and "An error that cannot be stored."
    )


def failed(
    error: Exception,
    *,
    may_repeat: bool,  # at_least_once: rather twice than not at all.
    tries: int,  # Including the one that failed.
    first_at: datetime,
    now: datetime,
    seed: str,
) -> Ending:
    """The meaning of an error (R-028, R-029)."""
    if isinstance(error, TemplateError):
        return _end(FAILED, "template_error", str(error), Reason.TEMPLATE_ERROR)
    if not isinstance(error, DeliveryError):
        # Not foreseen, so not known to be harmless to repeat. Its text may hold data: the log has it.
        words = "An unexpected error; the log has the details."
        return replace(_end(FAILED, type(error).__name__, words), maybe_sent=True)
    if isinstance(error, ChannelBusyError):
        ending = _end(PENDING, error.kind, str(error), error.reason)
        return replace(ending, wait=error.retry_after, is_free=True)
    if error.permanent:
        return replace(
            _end(FAILED, error.kind, str(error), error.reason),
            suppress_address=error.suppress_address,
            maybe_sent=error.maybe_sent,
        )
    if error.maybe_sent and not may_repeat:
        return _end(UNCERTAIN, error.kind, str(error))
    if gives_up(tries, first_at, now):
        return replace(_end(FAILED, error.kind, str(error), error.reason), maybe_sent=error.maybe_sent)
    wait = next_retry(tries, seed=seed, retry_after=error.retry_after)
    return replace(_end(PENDING, error.kind, str(error), error.reason), wait=wait)


def interrupted(
    *, may_repeat: bool, tries: int, first_at: datetime, now: datetime, is_killer: bool = False
) -> Ending:
    """The worker ended in the middle of the call: nobody knows whether it went out (R-026).

    `is_killer`: it has been the end of so many processes that it must not meet another (R-020).
    """
    words = "The worker ended during the call."
    if not may_repeat:
        return _end(UNCERTAIN, "interrupted", words)
    if is_killer:
        words = "The process died each time it made this call."
        return replace(_end(FAILED, "worker_lost", words), maybe_sent=True)
    if gives_up(tries, first_at, now):
        return replace(_end(FAILED, "interrupted", words), maybe_sent=True)
    return replace(_end(PENDING, "interrupted", words), wait=timedelta(0))


def progress(siblings: Sequence[Sibling], ended: int, *, stop: bool) -> Progress:
    """What follows when the action `ended` is terminal; `siblings` are all deliveries as they are now.

    `stop`: the action says that the others must not run when it did not work.
    """
    by_index = {sibling.index: sibling for sibling in siblings}
    did_not_work = by_index[ended].status not in WENT_OUT
    waiting = sorted(sibling.index for sibling in siblings if sibling.status in OPEN)
    if waiting and did_not_work and stop:
        reason = by_index[ended].reason
        after = [
            replace(sibling, status=CANCELLED, reason=reason) if sibling.status in OPEN else sibling
            for sibling in siblings
        ]
        return _final(after)._replace(cancel=tuple(waiting))
    if waiting:
        return Progress(next_index=waiting[0])
    return _final(siblings)


def _final(siblings: Iterable[Sibling]) -> Progress:
    """Triggered when anything worked; suppressed when all were called off for a reason; else failed."""
    ordered = sorted(siblings)
    if any(sibling.status in WENT_OUT for sibling in ordered):
        return Progress(status=ExecutionStatus.TRIGGERED)
    if all(sibling.status == CANCELLED and sibling.reason for sibling in ordered):
        return Progress(status=ExecutionStatus.SUPPRESSED, reason=ordered[0].reason)
    error = next((sibling.error for sibling in ordered if sibling.status == FAILED), "")
    return Progress(status=ExecutionStatus.FAILED, error=error[:300])


def clean(text: str) -> str:
    """Text that PostgreSQL stores, without any e-mail address: errors outlive an erasure (H-065)."""
    return _ADDRESS.sub("[address]", storable(text))


def storable(value: Any) -> Any:
    """JSON data as jsonb takes it: no NUL and no half of a surrogate pair in any text, no NaN or infinity.

    What JSON does not know becomes text.
    """
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {storable(str(key)): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    return storable(str(value))


def _end(status: str, kind: str, words: str, reason: Reason | None = None) -> Ending:
    return Ending(status, reason=reason or "", error_class=kind[:100], error=clean(words)[:500])
