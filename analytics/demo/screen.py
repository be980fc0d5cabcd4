"""What the demo shows: steps, a progress bar, and the one screen at the end.

Where there is no terminal, a line every few seconds and no control character; NO_COLOR and --quiet are
honoured.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Literal, TextIO

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from analytics.demo.summary import Summary
from automation.metrics import Latency

LINE_SECONDS: Final = 5.0  # Between lines where there is no terminal.
WIDTH: Final = 100
_LANES: Final = ("critical", "high", "medium", "low")
_PERCENTILES: Final[tuple[Literal["p50_ms", "p95_ms", "p99_ms"], ...]] = ("p50_ms", "p95_ms", "p99_ms")


class Screen:
    """Prints to `file`. `is_quiet` leaves out all but the result."""

    def __init__(self, file: TextIO, *, is_quiet: bool = False) -> None:
        wide = Console(file=file, highlight=False, soft_wrap=False)
        width = min(wide.width, WIDTH) if wide.is_terminal else WIDTH
        self.result_console = Console(file=file, highlight=False, width=width)
        self.console = Console(file=file, highlight=False, width=width, quiet=is_quiet)

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """One step of the way; the line appears when it is done, with its seconds."""
        started = time.monotonic()
        if self.console.is_terminal and not self.console.quiet:
            with self.console.status(f"{text} …"):
                yield
        else:
            yield
        self.done(text, time.monotonic() - started)

    def done(self, text: str, seconds: float | None = None) -> None:
        """A line with a tick."""
        took = f"  [dim]{seconds:.1f} s[/]" if seconds is not None else ""
        self.console.print(f"  [green]✓[/] {text}{took}")

    def say(self, text: str) -> None:
        """A plain line."""
        self.console.print(text)

    @contextmanager
    def progress(self, text: str, total: int) -> Iterator[Meter]:
        """A bar for `total` events, or a line every few seconds."""
        if self.console.quiet or not self.console.is_terminal:
            yield Meter(self.console, text, total)
            return
        columns = (
            TextColumn("  {task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %  {task.fields[note]}"),
        )
        with Progress(*columns, console=self.console, refresh_per_second=8) as bars:
            task = bars.add_task(text, total=total, note="")
            yield Meter(self.console, text, total, bars, task)

    def result(self, summary: Summary, *, url: str, curl: str) -> None:
        """The one screen."""
        for line in screen(summary, url=url):
            self.result_console.print(line)
        # To be copied, so it is never broken into lines, however narrow the screen.
        self.result_console.print(Text(f"  Try   {curl}\n"), soft_wrap=True)


class Meter:
    """Counts events on their way."""

    def __init__(
        self,
        console: Console,
        text: str,
        total: int,
        bars: Progress | None = None,
        task: TaskID | None = None,
    ) -> None:
        self._console, self._text, self._total = console, text, total
        self._bars, self._task = bars, task
        self._started = self._shown = time.monotonic()
        self._done = 0

    def advance(self, count: int) -> None:
        """`count` more are done."""
        self._done += count
        now = time.monotonic()
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, completed=self._done, note=self._note(now))
        elif now - self._shown >= LINE_SECONDS or self._done >= self._total:
            self._shown = now
            self._console.print(f"  {self._text}  {self._percent()} %  {self._note(now)}")

    def _percent(self) -> int:
        return 100 * self._done // max(1, self._total)

    def _note(self, now: float) -> str:
        rate = self._done / max(now - self._started, 0.001)
        left = (self._total - self._done) / max(rate, 0.001)
        return f"{self._done:,}/{self._total:,} events  {rate:,.0f}/s  {left:.0f} s left"


def screen(summary: Summary, *, url: str) -> list[Any]:
    """The lines and tables of the result."""
    counted = summary.counted
    executions = counted.executions
    events = Text.assemble(
        ("events     ", "dim"), (f"{summary.accepted:,} accepted", "bold"),
        f" ({summary.doubles} sent twice, dropped)",
        (" → ", "dim"), (f"{counted.processed:,} decided", "bold"),
    )  # fmt: skip
    decisions = Text.assemble(
        ("decisions  ", "dim"), (f"{executions.get('triggered', 0):,} fired", "bold green"),
        f" · {executions.get('suppressed', 0):,} held back · {counted.waiting:,} waiting for their moment · "
        f"{executions.get('failed', 0):,} failed",
    )  # fmt: skip
    mails = Text.assemble(
        ("mails      ", "dim"), (f"{counted.sent:,} sent", "bold"), (" → ", "dim"),
        (f"{summary.smtp_received:,} received", "bold"), " by the local SMTP server · "
        f"{counted.internal:,} other actions",
    )  # fmt: skip
    tables = Table.grid(padding=(0, 4))
    tables.add_row(_recipes(summary), _side(summary))
    ok = not summary.problems
    promises = (
        Text(f"✓ {summary.invariants} invariants hold · {summary.seconds:.0f} s", "green")
        if ok
        else Text("✗ " + " · ".join(summary.problems), "bold red")
    )
    lines: list[Any] = ["", events, decisions, mails, *_article(summary), "", tables, "", promises]
    lines += [
        Text.assemble(
            ("Open  ", "bold"), f"{url}/admin/", "     sign in  demo / demo  ", ("(demo only)", "dim")
        ),
    ]
    return [Padding(line, (0, 0, 0, 2)) if line != "" else "" for line in lines]


def _article(summary: Summary) -> list[Text]:
    return [
        Text.assemble(
            ("example    ", "dim"),
            "the article's cart_abandonment",
            (" → ", "dim"),
            f"{one['trigger']}: {one['status']}{' ' + one['reason'] if one['reason'] else ''}, "
            f"{one['actions']} action{'' if one['actions'] == 1 else 's'}, event {one['event_id']}",
        )
        for one in summary.counted.article
    ]


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for index, name in enumerate(columns):
        table.add_column(name, justify="right" if index else "left", no_wrap=True)
    return table


def _recipes(summary: Summary) -> Table:
    table = _table("recipe", "fired", "held back", "waiting")
    for recipe in summary.counted.recipes:
        table.add_row(recipe.name, f"{recipe.fired:,}", f"{recipe.held:,}", f"{recipe.waiting:,}")
    return table


def _side(summary: Summary) -> Table:
    held = _table("held back because of", "")
    for reason, times in summary.counted.reasons.items():
        held.add_row(reason, f"{times:,}")
    side = Table.grid()
    side.add_row(held)
    side.add_row("")
    side.add_row(_lanes("accept → decision, ms", summary.lanes))
    if summary.lanes_live:
        side.add_row("")
        side.add_row(_lanes("the last, one by one, ms", summary.lanes_live))
    return side


def _lanes(title: str, latencies: Mapping[str, Latency]) -> Table:
    table = _table(title, "p50", "p95", "p99")
    for lane in _LANES:
        if found := latencies.get(lane):
            table.add_row(lane, *(f"{found[key]:,.0f}" for key in _PERCENTILES))
    return table
