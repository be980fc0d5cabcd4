"""Python's garbage collector, tuned for processes that build thousands of short-lived objects a batch.

Deciding 20,000 events in batches of 2,000 took 155 µs of processor time an event with the defaults and
105 µs with these: each collection walked all modules and compiled triggers again, for nothing.
"""

from __future__ import annotations

import gc


def calm(young: int = 100_000) -> None:
    """Set aside what exists now, and collect after `young` new containers instead of 700.

    Web processes pass a smaller number: a request leaves few containers, but they hold whole bodies.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(young, 10, 10)
