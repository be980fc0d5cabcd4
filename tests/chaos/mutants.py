"""`make mutants`: take away one mechanism at a time, and see a named test fail (T27).

Each mutant is a copy of the project with one edit. The tests named for it run there; they also run, all of them,
in a copy without any edit, where they must pass. Exit 1 when a mutant lives or the unedited copy fails.

`python -m tests.chaos.mutants [-k PART_OF_A_NAME]`
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent.parent
COPIED = ("config", "profiles", "automation", "analytics", "tests", "manage.py", "pyproject.toml")
AT_ONCE = 2
SECONDS = 400  # For the tests of one copy; a limit, not what they take.
_VERDICT = re.compile(r"^(FAILED|ERROR) (\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Mutant:
    """One mechanism taken away, and the tests of which one at least must notice."""

    name: str
    file: str
    old: str  # Stands exactly once in the file.
    new: str
    tests: tuple[str, ...]

    def edited(self, text: str) -> str:
        """The file without the mechanism. Raises ValueError when `old` does not stand there exactly once."""
        if text.count(self.old) != 1:
            raise ValueError(
                f"The mutant '{self.name}' expects this text once in {self.file}, and it is there"
                f" {text.count(self.old)} times. Follow the change in tests/chaos/mutants.py:\n{self.old}"
            )
        return text.replace(self.old, self.new)


LEASES = "tests/integration/deliver/test_leases.py"
MUTANTS = (
    Mutant(
        "decisions without the lock on the profile",
        "profiles/services.py",
        'SELECT id, customer_id, merged_into_id, erased_at IS NOT NULL, {columns} FROM profiles_profile"\n'
        '            " WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"',
        'SELECT id, customer_id, merged_into_id, erased_at IS NOT NULL, {columns} FROM profiles_profile"\n'
        '            " WHERE id = ANY(%s) ORDER BY id"',
        (
            "tests/chaos/test_caps_of_lanes.py",
            "tests/integration/test_regressions.py::test_workers_that_race_for_one_profile_lose_no_update",
        ),
    ),
    Mutant(
        "results without the fencing token",
        "automation/pipeline/delivery_rows.py",
        "FROM x WHERE d.id = %(id)s AND d.attempt = %(attempt)s AND d.status = %(expected)s",
        "FROM x WHERE d.id = %(id)s AND d.status = %(expected)s",
        (
            "tests/chaos/test_stale_result.py",
            f"{LEASES}::test_the_late_result_of_a_lost_lease_is_discarded_and_counted",
        ),
    ),
    Mutant(
        # Without any ON CONFLICT a repeat would only be an error. Here it takes the key over, and is decided again.
        "a repeated message id replaces the first",
        "automation/pipeline/ingest.py",
        "ON CONFLICT DO NOTHING RETURNING event_id",
        "ON CONFLICT (source, message_id) DO UPDATE SET event_id = excluded.event_id RETURNING event_id",
        (
            "tests/chaos/test_shuffle.py",
            "tests/integration/test_ingest.py::test_a_repeated_message_id_is_a_duplicate_and_changes_nothing",
        ),
    ),
    Mutant(
        # The outer transaction makes the commit before the call a savepoint.
        "the call before the commit of `sending`",
        "automation/pipeline/batch.py",
        "        return self._outside(row, action, destination)\n",
        "        with transaction.atomic():\n            return self._outside(row, action, destination)\n",
        (
            "tests/chaos/test_death_after_the_call.py",
            f"{LEASES}::test_sending_is_committed_before_the_network_call",
        ),
    ),
)


@dataclass(frozen=True)
class Outcome:
    """What the tests said of one copy."""

    failed: tuple[str, ...]
    trouble: str  # Why nothing can be said; empty when the tests ran.
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print; the exit code."""
    parser = argparse.ArgumentParser(prog="make mutants ARGS=…", description=__doc__)
    parser.add_argument("-k", default="", metavar="PART", help="only mutants with this in their name")
    wanted = parser.parse_args(arguments).k
    chosen = [mutant for mutant in MUTANTS if wanted in mutant.name]
    if not chosen:
        parser.error(f"no mutant has '{wanted}' in its name: {', '.join(m.name for m in MUTANTS)}")
    everything = tuple(dict.fromkeys(test for mutant in chosen for test in mutant.tests))
    started = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        unedited = pool.submit(run, None, everything)
        tried = [(mutant, pool.submit(run, mutant, mutant.tests)) for mutant in chosen]
        outcomes = [(mutant, future.result()) for mutant, future in tried]
        plain = unedited.result()
    is_good = not plain.trouble and not plain.failed
    is_good &= all(outcome.failed and not outcome.trouble for _, outcome in outcomes)
    show(outcomes, plain, round(time.monotonic() - started, 1), is_good)
    return 0 if is_good else 1


def run(mutant: Mutant | None, tests: Sequence[str]) -> Outcome:
    """Copy the project, edit it, run the tests there."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="beckon-mutant-") as name:
        folder = Path(name)
        copy_to(folder)
        if mutant is not None:
            file = folder / mutant.file
            file.write_text(mutant.edited(file.read_text()))
        command = [sys.executable, "-m", "pytest", "-q", "-n0", "--tb=no", "-p", "no:cacheprovider", *tests]
        env = {**os.environ, "BECKON_CHAOS": "small", "BECKON_CHAOS_REPORT": ""}
        try:
            done = subprocess.run(
                command, cwd=folder, env=env, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return Outcome((), f"not done within {SECONDS} s", time.monotonic() - started)
    return judged(done.returncode, done.stdout + done.stderr, time.monotonic() - started)


def judged(code: int, said: str, seconds: float) -> Outcome:
    """A failed test is an answer; an error of the set-up is none."""
    found = _VERDICT.findall(said)
    failed = tuple(test for verdict, test in found if verdict == "FAILED")
    if code not in (0, 1) or any(verdict == "ERROR" for verdict, _ in found) or (code == 1) != bool(failed):
        return Outcome(failed, "\n".join(said.splitlines()[-5:]), seconds)
    return Outcome(failed, "", seconds)


def copy_to(folder: Path) -> None:
    """The project's programs and tests, without what they have written."""
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
    for entry in COPIED:
        if (ROOT / entry).is_dir():
            shutil.copytree(ROOT / entry, folder / entry, ignore=ignored)
        else:
            shutil.copy(ROOT / entry, folder / entry)


def show(outcomes: Sequence[tuple[Mutant, Outcome]], plain: Outcome, seconds: float, is_good: bool) -> None:
    """The table for people."""
    console = Console(width=None if sys.stdout.isatty() else 150)
    table = Table()
    for column in ("mutant", "failed there", "seconds", "verdict"):
        table.add_column(column, overflow="fold")
    for mutant, outcome in outcomes:
        is_killed = outcome.failed and not outcome.trouble
        verdict = "[green]killed[/]" if is_killed else "[bold red]LIVES[/]"
        said = "\n".join(outcome.failed) + outcome.trouble or "no test noticed"
        table.add_row(f"{mutant.name}\n  {mutant.file}", said, f"{outcome.seconds:.0f}", verdict)
    is_sound = not plain.failed and not plain.trouble
    verdict = "[green]passes[/]" if is_sound else "[bold red]FAILS[/]"
    said = "\n".join(plain.failed) + plain.trouble or "nothing"
    table.add_row("none: the project as it is", said, f"{plain.seconds:.0f}", verdict)
    console.print(table)
    console.print(
        f"{seconds} s: " + ("every mutant is noticed." if is_good else "a mechanism is not proved.")
    )


if __name__ == "__main__":
    sys.exit(main())
