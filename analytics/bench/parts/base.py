"""What a part is, and what it is given."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from analytics.bench.figures import Figures
from analytics.bench.site import Site
from analytics.bench.sizes import Sizes

Tell = Callable[[str], None]


@dataclass(slots=True)
class Session:
    """One run of the bench."""

    site: Site
    sizes: Sizes
    figures: Figures
    wanted: frozenset[str]  # Keys; a part leaves out what nobody wants to know.
    tell: Tell  # One line for who is watching.
    started: float = field(default_factory=time.monotonic)

    def wants(self, *keys: str) -> bool:
        """Whether at least one of these keys is wanted."""
        return not self.wanted.isdisjoint(keys)

    def turns(self, contestants: Sequence[tuple[str, Callable[[], float]]]) -> dict[str, list[float]]:
        """Run each contestant once untimed, then in `repetitions` rounds, each round starting with another.

        Returns the rates of each; the first, untimed one is its cold figure, under "name (cold)".
        """
        found: dict[str, list[float]] = {name: [] for name, _ in contestants}
        cold: dict[str, list[float]] = {}
        for name, run in contestants:
            cold[f"{name} (cold)"] = [self._one(name, "cold", run)]
        for repetition in range(self.sizes.repetitions if contestants else 0):
            first = repetition % len(contestants)
            for name, run in [*contestants[first:], *contestants[:first]]:
                found[name].append(self._one(name, f"{repetition + 1}/{self.sizes.repetitions}", run))
        return found | cold

    def _one(self, name: str, turn: str, run: Callable[[], float]) -> float:
        rate = run()
        self.tell(f"{name} {turn}: {rate:,.0f} per second")
        return rate


class Part(NamedTuple):
    """One part: the keys it can measure, and how."""

    name: str
    keys: tuple[str, ...]
    measure: Callable[[Session], None]
