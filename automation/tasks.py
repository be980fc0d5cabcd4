"""Celery tasks: each calls one function of the pipeline. A message carries a lane's name, never work."""

from __future__ import annotations

from celery import shared_task

from automation import audit, invariants, queues
from automation.pipeline import drain, retention, sweep


@shared_task
def drain_events(lane: str) -> None:
    """Decide the waiting events, for at most DRAIN_SECONDS."""
    queues.answer(queues.EVENTS_TASK, lane)
    drain.events(lane)


@shared_task
def drain_deliveries(lane: str) -> None:
    """Deliver what is due, for at most DRAIN_SECONDS."""
    queues.answer(queues.DELIVERIES_TASK, lane)
    drain.deliveries(lane)


@shared_task
def periodic_sweep() -> None:
    """Find forgotten work and ring its bells."""
    sweep.sweep()


@shared_task
def periodic_partitions() -> None:
    """Make the partitions of the coming months, drop those past the retention."""
    retention.keep()


@shared_task
def periodic_invariants() -> None:
    """Verify the promises and log each breach."""
    invariants.verify_and_log()


@shared_task
def periodic_audit() -> None:
    """Walk the chain of the audit log; log its head, or what is wrong with it."""
    audit.watch()


@shared_task
def periodic_tidy() -> None:
    """Sum up the counts of ended hours."""
    retention.tidy()
