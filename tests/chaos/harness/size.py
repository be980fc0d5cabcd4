"""How large a run is: the quick set inside `make test`, or the full one of `make chaos`.

BECKON_CHAOS is `full`, or `small` for all tests at the size of the quick set (`make mutants`).
"""

from __future__ import annotations

import os
import random
from typing import TypeVar

import pytest

FULL = os.environ.get("BECKON_CHAOS") == "full"
ALL = FULL or os.environ.get("BECKON_CHAOS") == "small"
WITH_BASELINE = os.environ.get("BECKON_CHAOS_BASELINE") == "1"
SEED = int(os.environ.get("BECKON_SEED") or 20_261_124)

full_only = pytest.mark.skipif(not ALL, reason="only in the full set: make chaos")

T = TypeVar("T")


def pick(*, quick: T, full: T) -> T:
    """`quick` inside `make test`, `full` inside `make chaos`."""
    return full if FULL else quick


def dice(test: str) -> random.Random:
    """The draws of one test: fixed by BECKON_SEED, and different for each test."""
    return random.Random(f"{SEED}:{test}")
