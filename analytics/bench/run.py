"""A whole run: check what it is measured with, run the parts, collect the figures."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Collection
from importlib.metadata import version
from typing import Any

import psycopg2

from analytics.bench.errors import UnsafeError
from analytics.bench.figures import Figures
from analytics.bench.parts import PARTS
from analytics.bench.parts.base import Session, Tell
from analytics.bench.site import Site
from analytics.bench.sizes import Sizes
from analytics.bench.station import Station

QUIET_LOAD = 0.5  # Programs that run on average before a run; more than that, and they take what is measured.
LOAD = "load"


def all_keys() -> list[str]:
    """Every key that can be measured, in the order of measuring."""
    return [key for part in PARTS for key in part.keys]


def run(site: Site, sizes: Sizes, wanted: Collection[str], tell: Tell) -> dict[str, Any]:
    """Measure `wanted` (all keys: empty). Raises when an event is not accounted for: then there are no figures."""
    started = time.monotonic()
    keys = frozenset(wanted) or frozenset(all_keys()) - sizes.skipped
    figures = Figures()
    facts = _checked(site, tell)
    if facts["load_before"] > QUIET_LOAD:
        figures.notes[LOAD] = (
            f"{facts['load_before']:g} programs were running already: the figures mean little"
        )
    took: dict[str, float] = {}
    for part in PARTS:
        if keys.isdisjoint(part.keys):
            continue
        tell(f"— {part.name}")
        before = time.monotonic()
        part.measure(Session(site, sizes, figures, keys, tell))
        took[part.name] = round(time.monotonic() - before, 1)
    return {
        **{key: figures.values[key] for key in all_keys() if key in figures.values and key in keys},
        "mode": sizes.name,
        "notes": {key: text for key, text in figures.notes.items() if key in keys or key == LOAD},
        "skipped": [key for key in all_keys() if key not in keys and not wanted],
        "detail": {key: value for key, value in figures.detail.items() if key in keys},
        "environment": facts,
        "seconds": {**took, "all": round(time.monotonic() - started, 1)},
    }


def _checked(site: Site, tell: Tell) -> dict[str, Any]:
    """The facts of this machine and its servers. Raises UnsafeError when commits may be lost, or for psycopg 3."""
    facts = site.databases.facts()
    tell(f"PostgreSQL {facts['server_version']}: migrating")
    site.migrate()
    station = Station("driver", site.env("template"))
    try:
        driver = station.ask("driver")
    finally:
        station.close()
    if driver != "psycopg2":
        raise UnsafeError(f"Django speaks to PostgreSQL through {driver}; the figures are for psycopg2.")
    return {
        **facts,
        "driver": f"psycopg2 {psycopg2.__version__.split()[0]}",
        "python": platform.python_version(),
        "django": version("django"),
        "celery": version("celery"),
        "gunicorn": version("gunicorn"),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
    }
