"""From judged steps to the numbers that are shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from automation.backtest.replay import Replay
from automation.backtest.step import Backtest, Ending, Explanation, Sample, Step
from automation.engine.conditions.event_match import EventMatch

FIRED_SHOWN, OTHERS_SHOWN = 4, 3
_DAY = timedelta(days=1)


def summarise(
    replay: Replay, *, first: datetime, days: int, is_cut: bool, explanation: Explanation | None
) -> Backtest:
    """`first` is the beginning of the days that are counted; events may begin later, when there are too many.

    Where time was lacking, numbers are projected from the customers that were judged to all.
    """
    steps, events = replay.steps, replay.events
    factor = events / len(steps) if steps else 1.0
    fired = [step for step in steps if step.ending is Ending.FIRED]
    per_day = [0] * days
    for step in fired:
        per_day[min(days - 1, (step.event.occurred_at - first) // _DAY)] += 1
    held = Counter(step.reason for step in steps if step.ending is Ending.HELD)
    nodes, broken = replay.funnel.counts(steps)
    return Backtest(
        since=replay.since,
        until=replay.until,
        days=tuple(_projected(per_day, factor)),
        fired=round(len(fired) * factor),
        customers=round(len({step.event.profile_id for step in fired}) * factor),
        held_back=_scaled(dict(held.most_common()), factor),
        waiting=round(sum(step.ending is Ending.WAITING for step in steps) * factor),
        events=events,
        sampled=len(steps),
        approximate=is_cut or len(steps) < events,
        nodes={
            pointer: (round(reached * factor), round(passed * factor))
            for pointer, (reached, passed) in nodes.items()
        },
        broken=_scaled(broken, factor),
        samples=tuple(_samples(replay, fired)),
        explanation=explanation,
    )


def _scaled(counts: Mapping[str, int], factor: float) -> dict[str, int]:
    return {key: round(count * factor) for key, count in counts.items()}


def _projected(counts: Sequence[int], factor: float) -> Iterable[int]:
    """Scaled so that their sum is the scaled sum: the bars and the headline must not disagree."""
    so_far = told = 0
    for count in counts:
        so_far += count
        yield round(so_far * factor) - told
        told = round(so_far * factor)


def _samples(replay: Replay, fired: Sequence[Step]) -> Iterable[Sample]:
    """The newest that would get it, and of those who would not the ones who came furthest past WHEN."""
    yield from (_sample(step) for step in _different(reversed(fired), FIRED_SHOWN))
    nodes = replay.plan.trigger.definition.conditions
    when = next((index for index, node in enumerate(nodes) if isinstance(node, EventMatch)), -1)
    others = [
        step
        for step in reversed(replay.steps)
        if step.ending in (Ending.NOT_MET, Ending.HELD) and step.stopped != when
    ]
    others.sort(key=lambda step: step.passed, reverse=True)
    taken = {step.event.profile_id for step in _different(reversed(fired), FIRED_SHOWN)}
    rest = [step for step in others if step.event.profile_id not in taken]
    # First one of each kind of ending, so that three of them say three things where there are three.
    kinds: dict[tuple[int, str], Step] = {}
    for step in rest:
        kinds.setdefault((step.stopped, step.reason), step)
    told = list(kinds.values())
    # However many guards held somebody back, one of the three was stopped by a condition, where there is one.
    if unmet := [step for step in told if step.ending is Ending.NOT_MET][:1]:
        told = [step for step in told if step not in unmet][: OTHERS_SHOWN - 1] + unmet + told
    yield from (_sample(step) for step in _different([*told, *rest], OTHERS_SHOWN))


def _different(steps: Iterable[Step], count: int) -> list[Step]:
    """The first `count` steps of different customers."""
    found: dict[int, Step] = {}
    for step in steps:
        found.setdefault(step.event.profile_id, step)
        if len(found) == count:
            break
    return list(found.values())


def _sample(step: Step) -> Sample:
    return Sample(
        event_id=step.event.id,
        profile_id=step.event.profile_id,
        at=step.event.occurred_at,
        outcome=step.ending,
        reason=step.reason,
        pointer=f"/conditions/{step.stopped}" if step.stopped >= 0 else "",
        until=step.until,
    )
