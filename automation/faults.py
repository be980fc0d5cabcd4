"""Named fault points for the chaos tests, armed by BECKON_FAULT (`point:action@probability`, comma list).

With BECKON_SEED the draws of every process are fixed: they depend on the seed, the name of the process, and how
many of that name were started in this home folder before it. So a worker that is killed by its first draw is not
killed by the same draw each time it comes up again.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import random
import resource
import signal
import sys
import time
from pathlib import Path

import billiard
from django.conf import settings

log = logging.getLogger(__name__)

POINTS = frozenset(
    {
        "ingest_before_commit",
        "ingest_after_commit",
        "after_claim",
        "decide_before_commit",
        "decide_after_commit",
        "delivery_after_claim",
        "delivery_after_effect",
        "delivery_after_commit",
        "sweep_mid",
        "publish",
    }
)
ACTIONS = frozenset({"kill", "stop", "raise", "sleep", "oom"})
OOM_BYTES = 64 * 1024**2  # What an `oom` may take before it fails.
_BLOCK = 4 * 1024**2


class InjectedFaultError(RuntimeError):
    """Raised by an armed `raise` fault."""


def parse(text: str) -> dict[str, tuple[str, float]]:
    """Point -> (action, probability). Raises ValueError for what is neither."""
    armed = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        point, _, rest = part.partition(":")
        action, _, given = rest.partition("@")
        if point not in POINTS or action not in ACTIONS:
            raise ValueError(
                f"BECKON_FAULT: {part!r} is not point:action@probability. Points: {', '.join(sorted(POINTS))}."
                f" Actions: {', '.join(sorted(ACTIONS))}."
            )
        try:
            probability = float(given or 1)
        except ValueError:
            probability = math.nan
        if not 0 < probability <= 1:  # False for NaN, too.
            raise ValueError(f"BECKON_FAULT: in {part!r} the probability is not above 0 and at most 1.")
        armed[point] = (action, probability)
    return armed


ARMED = parse(settings.FAULT)
_draws: tuple[int, random.Random] | None = None  # Process id, its draws.

if ARMED:
    log.warning("faults armed: %s, seed %s", settings.FAULT, settings.SEED or "none")


def fault(point: str) -> None:
    """Do what is armed for `point`; unarmed, this costs one look at a module constant."""
    if not ARMED or point not in ARMED:
        return
    action, probability = ARMED[point]
    if _draw() >= probability:
        return
    if action == "raise":
        raise InjectedFaultError(point)
    if action == "sleep":
        time.sleep(1)
    elif action == "oom":
        exhaust()
    else:
        os.kill(os.getpid(), signal.SIGKILL if action == "kill" else signal.SIGSTOP)


def _draw() -> float:
    global _draws
    if _draws is None or _draws[0] != os.getpid():  # A forked process draws for itself.
        name = process_name(sys.argv)
        turn = started_before(settings.EMBEDDED.base / "faults", name) if settings.SEED else 0
        _draws = (os.getpid(), random.Random(f"{settings.SEED}:{name}:{turn}" if settings.SEED else None))
        log.warning("this process draws its faults as %s, number %d", name, turn)
    return _draws[1].random()


def process_name(arguments: list[str]) -> str:
    """The same for the same process of another run: its worker's name, and its place in the pool."""
    given = next((a.partition("=")[2] for a in arguments if a.startswith("--hostname=")), "")
    name = given.partition("@")[0] or Path(arguments[0] if arguments else "python").stem
    return f"{name}/{billiard.current_process().name}"


def started_before(folder: Path, name: str) -> int:
    """How many processes of this name have counted themselves in `folder` before; counts this one."""
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / name.replace("/", "-")).open("ab", buffering=0) as file:
            file.write(b".")  # Appending is atomic: each process gets a place of its own.
            return file.tell() - 1
    return os.getpid()  # A home folder that cannot be written: different, and not fixed.


def exhaust() -> None:
    """End as a process does that gets no more memory: it may take OOM_BYTES, then it is killed."""
    taken: list[bytearray] = []
    with contextlib.suppress(MemoryError, OSError):  # Without /proc there is no limit, and still an end.
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + OOM_BYTES
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (limit if hard < 0 else min(limit, hard), hard))
        while len(taken) * _BLOCK <= OOM_BYTES:
            taken.append(bytearray(_BLOCK))
    os.kill(os.getpid(), signal.SIGKILL)
