"""`make chaos`: run the whole matrix, print one table, exit 1 on any breach.

`python -m tests.chaos [--json | --markdown] [--with-baseline] [--quick] [-k EXPRESSION]`
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
COLUMNS = ("test", "what", "faults", "lost", "duplicates", "uncertain", "seconds", "verdict")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print; the exit code."""
    parser = argparse.ArgumentParser(prog="make chaos ARGS=…", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    parser.add_argument("--markdown", action="store_true", help="print the table for the documentation")
    parser.add_argument("--with-baseline", action="store_true", help="the same faults against plain Celery")
    parser.add_argument("--quick", action="store_true", help="the sizes of make test")
    parser.add_argument("-k", default="", metavar="EXPRESSION", help="only matching tests, as pytest's -k")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="beckon-chaos-report-") as folder:
        file = Path(folder) / "report.jsonl"
        code = run(file, options)
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    lines.sort(key=lambda line: (line["system"] != "Beckon", _place(line["test"]), line["what"]))
    breaches = [line for line in lines if line["verdict"] == "BREACH"]
    is_good = code == 0 and not breaches and bool(lines)
    seconds = round(time.monotonic() - started, 1)
    if options.json:
        document = {"ok": is_good, "seconds": seconds, "processors": os.cpu_count(), "lines": lines}
        sys.stdout.write(json.dumps(document, indent=1) + "\n")
    elif options.markdown:
        write(lines)
    else:
        show(lines, seconds, is_good)
    return 0 if is_good else 1


def _place(test: str) -> tuple[str, int]:
    """T2 before T10, R-035 after all of them."""
    return ("" if test[0] == "T" else test[0], int(test[1:].strip("-")))


def run(file: Path, options: argparse.Namespace) -> int:
    """pytest over this folder, two files at a time, since most of them wait; its output goes to stderr."""
    env = {
        **os.environ,
        "BECKON_CHAOS": "" if options.quick else "full",
        "BECKON_CHAOS_BASELINE": "1" if options.with_baseline else "",
        "BECKON_CHAOS_REPORT": str(file),
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        str(HERE),
        "-n2",
        "--dist=loadfile",
        "-q",
        "-m",
        "matrix",
        "--no-header",
    ]
    if options.k:
        command += ["-k", options.k]
    return subprocess.run(command, cwd=ROOT, env=env, stdout=sys.stderr, check=False).returncode


def write(lines: Sequence[dict[str, Any]]) -> None:
    """The table as Markdown."""
    sys.stdout.write(f"| {' | '.join(('system', *COLUMNS))} |\n{'|---' * (len(COLUMNS) + 1)}|\n")
    for line in lines:
        what = "<br>".join([line["what"], *(f"{name} {value}" for name, value in line["figures"].items())])
        numbers = ["–" if line[c] is None else f"{line[c]:,}" for c in COLUMNS[2:-1]]
        cells = [line["system"], line["test"], what, *numbers, line["verdict"]]
        sys.stdout.write(f"| {' | '.join(cells)} |\n")


def show(lines: Sequence[dict[str, Any]], seconds: float, is_good: bool) -> None:
    """The table for people; other figures stand below their line."""
    console = Console(width=None if sys.stdout.isatty() else 150)
    table = Table(title="Faults, and what came of them", title_justify="left")
    for column in COLUMNS:
        is_text = column in ("test", "what", "verdict")
        table.add_column(
            column, justify="left" if is_text else "right", no_wrap=column in ("test", "verdict")
        )
    system = "Beckon"
    for line in lines:
        if line["system"] != system:
            system = line["system"]
            table.add_section()
        what = line["what"] if system == "Beckon" else f"{system}: {line['what']}"
        figures = ", ".join(f"{name} {value}" for name, value in line["figures"].items())
        if figures:
            what += f"\n  {figures}"
        if line["reason"]:
            what += f"\n  {line['reason']}"
        cells = [line["test"], what]
        cells += ["–" if line[c] is None else f"{line[c]:,}" for c in COLUMNS[2:-1]]
        colour = {"pass": "green", "BREACH": "bold red"}.get(line["verdict"], "yellow")
        table.add_row(*cells, f"[{colour}]{line['verdict']}[/]")
    console.print(table)
    seed = lines[0]["seed"] if lines else "–"
    verdict = "all promises held" if is_good else "BREACH"
    console.print(
        f"{len(lines)} lines in {seconds} s on {os.cpu_count()} processors, seed {seed}: {verdict}."
    )


if __name__ == "__main__":
    sys.exit(main())
