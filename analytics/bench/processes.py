"""What processes use, read from /proc."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

PROC = Path("/proc")
IS_READABLE = PROC.joinpath("self/schedstat").exists()


def family(roots: Iterable[int]) -> set[int]:
    """The processes and everything they started that still runs."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: set[int] = set()
    pending = list(roots)
    while pending:
        pid = pending.pop()
        if pid not in found:
            found.add(pid)
            pending += children.get(pid, [])
    return found


def cpu_seconds(pids: Iterable[int]) -> dict[int, float]:
    """Processor time of each process so far, by the scheduler's own clock: ticks miss what runs for microseconds."""
    return {pid: sum(_nanoseconds(task) for task in _tasks(pid)) / 1e9 for pid in pids}


def _tasks(pid: int) -> list[Path]:
    try:
        return list(PROC.joinpath(str(pid), "task").iterdir())
    except OSError:
        return []


def _nanoseconds(task: Path) -> int:
    try:
        return int(task.joinpath("schedstat").read_text().split()[0])
    except OSError:
        return 0


def peak_mb(pid: int) -> float:
    """The most memory the process ever held (resident); 0 when it has ended."""
    try:
        lines = PROC.joinpath(str(pid), "status").read_text().splitlines()
    except OSError:
        return 0.0
    peak = next((line for line in lines if line.startswith("VmHWM:")), "VmHWM: 0 kB")
    return int(peak.split()[1]) / 1024


def _stat(pid: int) -> list[str]:
    """The fields after the program's name: state, parent, …; empty when the process has ended."""
    try:
        return PROC.joinpath(str(pid), "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


class PeakWatch:
    """Looks every half second at the largest process of each group; a worker that is replaced is not forgotten."""

    def __init__(self, groups: Callable[[], dict[str, Iterable[int]]]) -> None:
        self.peaks: dict[str, float] = {}
        self._groups = groups
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        if IS_READABLE:
            self._thread.start()

    def stop(self) -> dict[str, float]:
        """Look once more; returns the peaks in MB."""
        if IS_READABLE:
            self._ending.set()
            self._thread.join()
            self._look()
        return self.peaks

    def _watch(self) -> None:
        while not self._ending.wait(0.5):
            self._look()

    def _look(self) -> None:
        for name, roots in self._groups().items():
            largest = max((peak_mb(pid) for pid in family(roots)), default=0.0)
            self.peaks[name] = max(self.peaks.get(name, 0.0), largest)
