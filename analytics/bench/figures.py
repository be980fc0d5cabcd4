"""What was measured: medians with their spread, ratios within a repetition, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

Value = float | dict[str, Any] | None


def shown(number: float) -> float:
    """Three digits that count, whole numbers above a thousand."""
    if abs(number) >= 1000:
        return float(round(number))
    return float(f"{number:.3g}")


def summary(values: Sequence[float], **more: Any) -> dict[str, Any]:
    """Median, least, greatest and number of the repetitions."""
    return {
        "median": shown(median(values)),
        "min": shown(min(values)),
        "max": shown(max(values)),
        "n": len(values),
        **{key: shown(value) if isinstance(value, float) else value for key, value in more.items()},
    }


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """One ratio per repetition: only what ran side by side is compared."""
    return [a / b for a, b in zip(above, below, strict=True)]


@dataclass(slots=True)
class Figures:
    """The figures by key, as `--json` prints them."""

    values: dict[str, Value] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)  # Key -> what was shrunk or skipped, and why.

    def put(self, key: str, values: Sequence[float], **more: Any) -> None:
        """The median of repetitions."""
        self.detail[key] = summary(values, **more)
        self.values[key] = self.detail[key]["median"]

    def put_each(self, key: str, values: Mapping[str, Sequence[float]], **more: Any) -> None:
        """The medians of several sizes, under one key."""
        self.detail[key] = {size: summary(found, **more) for size, found in values.items()}
        self.values[key] = {size: found["median"] for size, found in self.detail[key].items()}

    def put_ratio(self, key: str, above: Sequence[float], below: Sequence[float]) -> None:
        """The median of the ratios within each repetition."""
        self.put(key, ratios(above, below))

    def set(self, key: str, value: Value) -> None:
        """A figure without repetitions."""
        self.values[key] = value

    def note(self, key: str, text: str) -> None:
        """Say why a figure is missing, or measured smaller than its name says."""
        self.notes[key] = f"{self.notes[key]}; {text}" if key in self.notes else text
        self.values.setdefault(key, None)
