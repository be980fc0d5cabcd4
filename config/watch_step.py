"""Celery starts the watch of a worker (automation/watch.py) before it looks for its broker, and stops it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery import bootsteps
from celery.worker import state

if TYPE_CHECKING:  # The apps are not loaded when Celery reads this file.
    from automation.watch import Watch


class WorkerPool:
    """The pool of this worker, as its watch sees it."""

    def starts(self) -> int:
        """Tasks ever started."""
        return int(state.all_total_count[0])

    def running(self) -> int:
        """Tasks that run now."""
        return len(state.active_requests)


class WatchStep(bootsteps.StartStopStep):
    """After the pool: its first processes are forked before there is a thread. The consumer comes last."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self.watch: Watch | None = None

    def start(self, parent: Any) -> None:
        """Once in the parent process; a worker without its broker gets no further than this."""
        from automation.watch import Watch

        queues = sorted(parent.app.amqp.queues.consume_from)
        self.watch = Watch(queues, WorkerPool(), task_limit=parent.app.conf.task_time_limit)
        self.watch.start()

    def stop(self, parent: Any) -> None:
        """The worker ends: begin nothing new."""
        if self.watch is not None:
            self.watch.stop()

    terminate = stop
