"""A Celery application of one task: `python -m tests.chaos.baseline.worker <broker url> <mode> <name>`.

The modes: `defaults` changes nothing; `acks_late` acknowledges a task after it has run, gives it back when its
process dies, and fetches no more than it runs.
"""

from __future__ import annotations

import sys
import urllib.request

from celery import Celery

QUEUE = "celery"  # Celery's own default.
EFFECT = "effect"
MODES = {
    "defaults": {},
    "acks_late": {
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
    },
}


def make_app(broker: str, mode: str) -> Celery:
    """The application; everything that `mode` does not name is as Celery has it."""
    app = Celery("peer", broker=broker, set_as_current=False)
    app.conf.update(MODES[mode])
    app.task(name=EFFECT)(effect)
    return app


def effect(url: str, key: str) -> None:
    """One call that names its key, as a webhook does; the receiver writes it down before it answers."""
    request = urllib.request.Request(url, data=b"{}", headers={"webhook-id": key}, method="POST")
    with urllib.request.urlopen(request, timeout=15) as answer:
        answer.read()


def main() -> None:
    """Become a worker with one process, as each of a scene's workers is."""
    broker, mode, name = sys.argv[1:]
    options = ["--concurrency=1", f"--hostname={name}@%h", "--without-gossip", "--without-mingle"]
    make_app(broker, mode).worker_main(["worker", "--loglevel=INFO", *options])


if __name__ == "__main__":
    main()
