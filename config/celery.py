"""Celery: four lanes as four queues, and a clock. The reasons are in reliability.md section 3.2.

No guarantee rests on Celery: PostgreSQL rows are the work, a message only rings the bell of a lane.
"""

from __future__ import annotations

import os

from celery import Celery
from celery.signals import worker_process_init, worker_process_shutdown, worker_ready
from kombu import Queue

from automation import garbage
from config.watch_step import WatchStep

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

LANES = ("critical", "high", "medium", "low")

app = Celery("beckon")


app.config_from_object("django.conf:settings", namespace="CELERY")  # Broker address and transport.
app.conf.update(
    task_queues=[Queue(name) for name in (*LANES, "periodic")],
    task_default_queue="low",
    task_create_missing_queues=False,
    task_routes={"automation.tasks.periodic_*": {"queue": "periodic"}},
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_acks_on_failure=True,
    task_acks_on_timeout=True,
    task_ignore_result=True,
    result_backend=None,
    task_soft_time_limit=60,
    task_time_limit=90,
    task_serializer="json",
    accept_content=["json"],
    task_publish_retry=False,
    worker_prefetch_multiplier=1,
    worker_disable_prefetch=True,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_soft_shutdown_timeout=20,
    worker_enable_soft_shutdown_on_idle=True,
    worker_eta_task_limit=100,
    worker_max_tasks_per_child=1000,
    worker_max_memory_per_child=400_000,
    worker_proc_alive_timeout=30,
    worker_hijack_root_logger=False,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_channel_error_retry=True,
    beat_cron_starting_deadline=60,
    timezone="UTC",
    enable_utc=True,
)
app.autodiscover_tasks(["automation", "analytics"])
app.steps["worker"].add(WatchStep)


@worker_process_init.connect
def prepare_process(**_: object) -> None:
    """Once in each process of the pool, after the fork."""
    garbage.calm()
    from automation.pipeline import drain  # The apps are loaded by now; when this file is read they are not.

    drain.serve_under(os.getppid())


@worker_process_shutdown.connect
def finish_calls(**_: object) -> None:
    """The last thing each process of the pool does: what still answers is waited for (R-031, R-032)."""
    from automation.pipeline.calls import CALLS, LONGEST  # The apps are loaded by now.

    CALLS.finish(LONGEST)


@worker_ready.connect
def sweep_at_start(sender: object, **_: object) -> None:
    """A worker that comes up looks for work that no bell speaks for any more (R-014)."""
    from automation import queues  # The apps are loaded by now; when this file is read they are not.

    queues.sweep_now()
