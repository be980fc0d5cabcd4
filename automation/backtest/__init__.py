"""What a trigger would have done: stored events through the engine's own matcher and judge, read-only.

docs/explanation/backtest.md says what is simulated and what is not.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from automation.backtest.comparison import Difference, differ
from automation.backtest.explaining import NoSuchEventError, explain
from automation.backtest.replay import Replay, reading
from automation.backtest.step import Backtest, Ending, Explanation, Sample
from automation.backtest.summary import summarise
from automation.engine.definition import TriggerDefinition

__all__ = [
    "Backtest",
    "Difference",
    "Ending",
    "Explanation",
    "NoSuchEventError",
    "Sample",
    "differ",
    "explain",
    "run",
]

_explain = explain  # `run` has a parameter of that name.


def run(
    definition: TriggerDefinition,
    *,
    now: datetime,
    days: int = 14,
    trigger_id: int | None = None,
    max_events: int | None = 50_000,
    max_seconds: float | None = 2.0,
    explain: int | None = None,
) -> Backtest:
    """What `definition` would have done in the `days` times 24 hours before `now`.

    `trigger_id` is the stored trigger it belongs to: what that one did before the time counts, what it did in it
    is found anew. At most the newest `max_events` are judged, and customers are loaded for about `max_seconds`
    (None: no limit); `approximate` says whether that left anything out. `explain` is the id of an event to explain
    as well. Performs, writes and publishes nothing: PostgreSQL refuses it.
    """
    first = now - timedelta(days=days)
    replay = Replay(definition, since=first, until=now, trigger_id=trigger_id, max_seconds=max_seconds)
    with reading(patiently=max_seconds is None):
        is_cut = replay.load(max_events)
        replay.run()
        found = None if explain is None else _explain(definition, explain, now=now, trigger_id=trigger_id)
    return summarise(replay, first=first, days=days, is_cut=is_cut, explanation=found)
