"""When a worker counts as stalled."""

from __future__ import annotations

import pytest

from automation.progress import Progress

Look = tuple[float, int, int, int | None]  # now, starts, running, bells


@pytest.mark.parametrize(
    ("looks", "stalled_at"),
    [
        ([(0, 0, 0, 1), (59, 0, 0, 1), (60, 0, 0, 1)], 60),
        ([(0, 0, 0, 0), (100, 0, 0, 0), (500, 0, 0, 0)], None),  # No bells: nothing to start.
        ([(0, 0, 0, 1), (50, 1, 0, 1), (60, 1, 0, 1), (109, 1, 0, 1), (110, 1, 0, 1)], 110),  # One start.
        ([(0, 0, 0, 0), (100, 0, 0, 1), (159, 0, 0, 1), (160, 0, 0, 1)], 160),  # Idle before the bells came.
        (
            [(0, 0, 0, 1), (40, 0, 0, None), (70, 0, 0, 1), (129, 0, 0, 1), (130, 0, 0, 2)],
            130,
        ),  # Redis was away.
        ([(0, 0, 0, 1), (40, 0, 0, 0), (70, 0, 0, 1), (100, 0, 0, 1)], None),  # Somebody heard them.
        ([(0, 1, 1, 1), (61, 1, 1, 1), (149, 1, 1, 1)], None),  # A task runs, within its own limit.
        ([(0, 1, 1, 1), (149, 1, 1, 1), (150, 1, 1, 1)], 150),
    ],
)
def test_a_worker_is_stalled_when_bells_wait_and_nothing_starts(
    looks: list[Look], stalled_at: float | None
) -> None:
    """R-014: 60 s without a start; a running task gets its 90 s on top."""
    progress = Progress(limit=60, task_limit=90, since=0)
    found = [
        now
        for now, *seen in looks
        if progress.note(now, **dict(zip(("starts", "running", "bells"), seen, strict=True)))
    ]
    assert found[:1] == ([] if stalled_at is None else [stalled_at])
