"""Who is who: names that are tied, profiles that are joined, and what must not be joined."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2.errors
import pytest
from django.db import OperationalError, connection, transaction

from automation.api import pressure
from automation.engine.types import Priority
from automation.models import Event, QueuedEvent, TriggerState
from automation.pipeline import ingest, merge, process
from profiles import services
from profiles.models import Identity, Profile
from tests.factories import decide_all, incoming, make_trigger, outcomes, send

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime.now(UTC)


# --- Imports and the queue


@pytest.mark.parametrize(("is_import", "is_state"), [(False, True), (True, False)])
def test_imported_history_never_holds_what_happens_now(is_import: bool, is_state: bool) -> None:
    """An import rides the low lane; an identify of today goes first, one of the import does not."""
    make_trigger(on="alarm", priority=Priority.CRITICAL)
    send(incoming("identify", at=NOW - timedelta(hours=1), is_import=is_import))
    assert QueuedEvent.objects.get().is_state is is_state
    send(incoming("alarm"))
    decided = process.decide_next(Priority.CRITICAL, limit=10, worker="test")
    assert decided == (0 if is_state else 1)


@pytest.mark.parametrize(
    ("held_by", "is_refused"),
    [
        ("nothing", True),
        ("an older state event of the same customer", False),
        ("a newer state event of the same customer", True),
        ("an older state event of another customer", True),
    ],
)
def test_one_customers_stuck_event_does_not_refuse_everybody(held_by: str, is_refused: bool) -> None:
    """R-009: only urgent events that a worker could take say that the workers are behind."""
    make_trigger(on="alarm", priority=Priority.CRITICAL)
    send(incoming("alarm", at=NOW))
    if held_by != "nothing":
        at = NOW + timedelta(seconds=-1 if "older" in held_by else 1)
        send(incoming("identify", "alice" if "same" in held_by else "bob", at=at))
    QueuedEvent.objects.update(accepted_at=NOW - timedelta(minutes=1), due_at=NOW - timedelta(minutes=1))
    assert bool(pressure._look()) is is_refused


def test_a_state_event_in_the_urgent_lane_that_waits_too_long_refuses() -> None:
    make_trigger(on="identify", priority=Priority.CRITICAL)
    send(incoming("identify"))
    QueuedEvent.objects.update(accepted_at=NOW - timedelta(minutes=1), due_at=NOW - timedelta(minutes=1))
    assert pressure._look() == "Urgent events wait too long."
