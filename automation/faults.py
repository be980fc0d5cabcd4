"""Named fault points for the chaos tests, armed by BECKON_FAULT (`point:action@probability`, comma list)."""

from __future__ import annotations

import os
import random
import signal
import time

from django.conf import settings

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


class InjectedFaultError(RuntimeError):
    """Raised by an armed `raise` fault."""


def _parse(text: str) -> dict[str, tuple[str, float]]:
    armed = {}
    for part in filter(None, text.split(",")):
        point, _, rest = part.partition(":")
        action, _, probability = rest.partition("@")
        if point not in POINTS or action not in ("kill", "stop", "raise", "sleep"):
            raise ValueError(f"BECKON_FAULT: {part!r} is not point:action@probability")
        armed[point] = (action, float(probability or 1))
    return armed


ARMED = _parse(settings.FAULT)


def fault(point: str) -> None:
    """Do what is armed for `point`; unarmed, this costs one dictionary look-up."""
    if not ARMED or point not in ARMED:
        return
    action, probability = ARMED[point]
    if random.random() >= probability:
        return
    if action == "raise":
        raise InjectedFaultError(point)
    if action == "sleep":
        time.sleep(1)
    else:
        os.kill(os.getpid(), signal.SIGKILL if action == "kill" else signal.SIGSTOP)
