"""Show a run's figures: as a table on a terminal, or as the Markdown of docs/benchmarks.md."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from analytics.bench.targets import TARGETS, flat

ABOUT = ("mode", "notes", "skipped", "detail", "environment", "seconds")
HEADINGS = ("figure", "median", "min", "max", "target", "")


class Row(NamedTuple):
    """One line of the table, ready to be shown."""

    key: str
    median: str
    least: str
    greatest: str
    target: str
    verdict: str


def rows(figures: dict[str, Any]) -> Iterator[Row]:
    """A line for each figure; `good (aim)` of its target, and which of them it reaches."""
    for key, value in flat({k: v for k, v in figures.items() if k not in ABOUT}).items():
        name, _, size = key.partition(".")
        detail = figures["detail"].get(name, {})
        spread = detail.get(size) if size else detail
        spread = spread if isinstance(spread, dict) else {}
        target = TARGETS.get(key)
        yield Row(
            key,
            number(value),
            number(spread.get("min")),
            number(spread.get("max")),
            f"{'≤' if target.is_cost else '≥'} {target.good:g} ({target.aim:g})" if target else "",
            target.verdict(value) if target and value is not None else "",
        )


def number(value: Any) -> str:
    """A figure with four digits that count."""
    if value is None:
        return "–"
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def notes(figures: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What was shrunk or skipped."""
    yield from figures["notes"].items()
    if figures["skipped"]:
        yield "skipped in this mode", ", ".join(figures["skipped"])


def show(figures: dict[str, Any]) -> None:
    """The table for people."""
    table = Table(title=f"Beckon, {figures['mode']} run, {figures['seconds']['all']:.0f} s")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == "figure" else "right")
    for row in rows(figures):
        table.add_row(*row)
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    for name, text in notes(figures):
        console.print(f"[bold]{name}[/bold]: {text}")


def markdown(figures: dict[str, Any]) -> str:
    """The dated table for the documentation."""
    env = figures["environment"]
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {figures['mode']} run of {figures['seconds']['all']:.0f} s:"
        f" {env['processors']} processors ({env['machine']}), load before {env['load_before']:g},"
        f" PostgreSQL {env['server_version']}, Python {env['python']}, Django {env['django']},"
        f" Celery {env['celery']}, gunicorn {env['gunicorn']}, {env['driver']}.",
        "",
        f"| {' | '.join(HEADINGS)} |",
        f"|{'---|' * len(HEADINGS)}",
        *(f"| `{row.key}` | {' | '.join(row[1:])} |" for row in rows(figures)),
        "",
        *(f"- `{name}`: {text}." for name, text in notes(figures)),
    ]
    return "\n".join(lines)
