"""Carry out what the outbox holds: claim and commit `sending`, call, commit the result (R-025).

A row that touches only our database is carried out in one transaction, exactly once. A call to the outside
cannot be: a marketing message is rather not sent twice, everything else rather twice than never (R-026).
"""

from __future__ import annotations

import logging
import time
from uuid import UUID

from django.conf import settings
from django.db import transaction

from automation import queues
from automation.actions.base import ACTIONS
from automation.channels.registry import may_repeat
from automation.engine.types import Priority
from automation.pipeline import delivery_rows, endings, recheck, reservations, tally
from automation.pipeline.batch import INFRASTRUCTURE, Batch, Counts, counted, settle
from automation.pipeline.delivery_rows import Row
from automation.pipeline.material import Material
from profiles import services

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
    return _carry_out(rows, ends_at=time.monotonic() + START_SECONDS)


def _carry_out(rows: list[Row], *, ends_at: float) -> int:
    try:
        material = Material(rows)
    except Exception as error:
        if len(rows) == 1 and not isinstance(error, INFRASTRUCTURE):
            return Batch(rows, None).abandon(error)
        if isinstance(error, INFRASTRUCTURE):
            Batch(rows, None).give_back()
            raise
        log.warning("deliveries cannot be prepared together", exc_info=True, extra={"quotes_data": True})
        return sum(_carry_out([row], ends_at=ends_at) for row in rows)
    return Batch(rows, material).run(ends_at)


def rescue() -> int:
    """End the lease of deliveries whose worker died in the middle of the call; returns how many.

    A marketing message becomes `uncertain`; what may repeat is due again, with the same ids, unless it has
    killed WORKER_DEATH_BUDGET processes. One that cannot be ended stops no other.
    """
    rescued = 0
    counts = Counts()
    for row, deaths in delivery_rows.expired(RESCUED_AT_ONCE):
        ending = endings.interrupted(
            may_repeat=may_repeat(row.channel, row.message_class),
            tries=row.tries,
            first_at=row.first_at or row.now,
            now=row.now,
            is_killer=deaths >= settings.WORKER_DEATH_BUDGET,
        )
        try:
            with transaction.atomic():  # Of its own: an error must not undo the others.
                rescued += settle(row, ending, expected=endings.SENDING, counts=counts)
        except INFRASTRUCTURE:
            raise
        except Exception:  # Logged, and tried again by the next rescue; it must not keep the others.
            log.exception("an interrupted delivery cannot be ended", extra={"delivery_id": str(row.id)})
    tally.add(counted(counts))
    return rescued


def try_again(delivery_id: UUID) -> bool:
    """A person wants a failed delivery tried again, with the same ids. False when it is not failed (any more).

    Its place under the caps is taken again, if there is one; the last look, which is taken as ever, calls it
    off when there is none by then. An uncertain message is not for this (see automation.pipeline.settle).
    """
    with transaction.atomic():
        asked = reservations.reopened(delivery_id)
        if asked is None:
            return False
        profiles = services.lock([asked.message.profile_id])  # Before the execution.
        lane = delivery_rows.reopen(delivery_id)
        if lane is None:
            return False
        action = ACTIONS.get(asked.action_type)
        # A customer who was merged meanwhile is not the one locked here; the last look takes the place.
        is_same = reservations.reopened(delivery_id) == asked
        profile = profiles.get(asked.message.profile_id) if is_same else None
        if profile is not None and action is not None and action.is_message:
            found = reservations.others(asked.message, event_at=asked.event_at, cancel_names=())
            reason = recheck.too_late(
                found,
                channel=asked.message.channel,
                message_class=asked.message.message_class,
                topic=asked.topic,
                preferences=profile.state["preferences"],
                time_zone=profile.state["time_zone"],
            )
            if found.missing and reason is None:
                reservations.renew(asked.message, found)
        queues.ring_deliveries(Priority(lane).lane)
    return True
