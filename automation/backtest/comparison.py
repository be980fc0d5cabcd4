"""Two documents of one trigger over the same stored events: for whom would it make a difference?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from automation.backtest.replay import Replay, chance, reading
from automation.backtest.step import Backtest, Ending
from automation.backtest.summary import summarise
from automation.engine.definition import TriggerDefinition

NAMED = 3


@dataclass(frozen=True, slots=True)
class Difference:
    """Customers, by whether it would have fired for them at least once."""

    after: Backtest  # What the newer document would have done.
    both: int  # Customers who would have got it either way.
    lost: int  # Only with the older document.
    won: int  # Only with the newer one.
    lost_examples: tuple[int, ...]  # Ids of profiles, at most NAMED.
    won_examples: tuple[int, ...]
    approximate: bool  # Not every event, or not every customer, was judged.


def differ(
    before: TriggerDefinition,
    after: TriggerDefinition,
    *,
    now: datetime,
    days: int = 14,
    trigger_id: int | None = None,
    max_events: int | None = 50_000,
    max_seconds: float | None = 2.0,
) -> Difference:
    """Judge the same days with both; each may take `max_seconds`. Reads only, like `run`."""
    first = now - timedelta(days=days)
    with reading():
        old, _ = _judged(before, first, now, trigger_id, max_events, max_seconds)
        new, is_cut = _judged(after, first, now, trigger_id, max_events, max_seconds)
    # Only the time and the customers that both have judged are compared.
    since, limit = max(old.since, new.since), min(old.limit, new.limit)
    had, have = _fired(old, since, limit), _fired(new, since, limit)
    lost, won = sorted(had - have), sorted(have - had)
    return Difference(
        after=summarise(new, first=first, days=days, is_cut=is_cut, explanation=None),
        both=len(had & have),
        lost=len(lost),
        won=len(won),
        lost_examples=tuple(lost[:NAMED]),
        won_examples=tuple(won[:NAMED]),
        approximate=since > first or limit < 1.0,
    )


def _judged(
    definition: TriggerDefinition,
    since: datetime,
    until: datetime,
    trigger_id: int | None,
    max_events: int | None,
    max_seconds: float | None,
) -> tuple[Replay, bool]:
    replay = Replay(definition, since=since, until=until, trigger_id=trigger_id, max_seconds=max_seconds)
    is_cut = replay.load(max_events)
    replay.run()
    return replay, is_cut


def _fired(replay: Replay, since: datetime, limit: float) -> set[int]:
    return {
        step.event.profile_id
        for step in replay.steps
        if step.ending is Ending.FIRED
        and step.event.occurred_at >= since
        and chance(step.event.profile_id) < limit
    }
