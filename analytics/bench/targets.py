"""What each ratio should reach (performance design, section 4), to print beside what it is."""

from __future__ import annotations

from typing import Any, NamedTuple


class Target(NamedTuple):
    """`good` and `aim`; `is_cost`: the smaller the better."""

    good: float
    aim: float
    is_cost: bool = False

    def verdict(self, value: float) -> str:
        """missed, good or aim."""
        sign = -1 if self.is_cost else 1
        if sign * value >= sign * self.aim:
            return "aim"
        return "good" if sign * value >= sign * self.good else "missed"


TARGETS = {
    "end_to_end_of_floor": Target(0.35, 0.5),
    "accept_of_floor": Target(1.0, 1.4),
    "single_event_accept_of_noop": Target(0.25, 0.4),
    "speedup_over_naive": Target(50, 100),
    "speedup_over_naive_single": Target(3, 5),
    "speedup_over_article": Target(10, 25),
    "cost_10000_over_100_triggers": Target(1.3, 1.15, True),
    "cost_10000_on_one_name_over_100_triggers": Target(2.0, 1.3, True),
    "publish_stall_ms": Target(1000, 50, True),
    "cost_1m_over_10k_profiles": Target(1.5, 1.25, True),
    "cost_5m_over_empty_events": Target(1.5, 1.25, True),
    "latency.critical_idle.p99_ms": Target(100, 40, True),
    "latency.critical_under_flood.p99_ms": Target(250, 100, True),
    "rules_compiled_over_interpreted": Target(1.5, 2.0),
    "rules_compiled_over_json_logic": Target(10, 12),
    "worker_peak_mb": Target(250, 180, True),
    "idle_cpu_percent": Target(3.0, 1.0, True),
}


def flat(figures: dict[str, Any], prefix: str = "") -> dict[str, float | None]:
    """Figures of figures as dotted keys."""
    found: dict[str, float | None] = {}
    for key, value in figures.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
