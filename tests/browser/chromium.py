"""Where a Chromium is: on this machine, else Playwright's own, fetched when there is a network."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
MISSING = "NO BROWSER: neither chromium on the PATH nor a download; no page was looked at"
INSTALL_SECONDS = 120


def chromium(own: Path) -> str:
    """The path of a browser, `own` being where Playwright keeps its; empty where none can be had."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    return str(own) if own.exists() or _fetched() else ""


@cache
def _fetched() -> bool:
    command = (sys.executable, "-m", "playwright", "install", "chromium")
    try:
        return subprocess.run(command, capture_output=True, timeout=INSTALL_SECONDS).returncode == 0
    except subprocess.TimeoutExpired:
        return False
