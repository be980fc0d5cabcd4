"""Ask for known vulnerabilities of every locked package: fails on one, says so where nobody could be asked.

pip-audit ends well when its index knows none of the packages, which proves nothing: here it counts how many
were really looked up.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCK = Path(__file__).resolve().parent.parent / "requirements-dev.lock"
SECONDS = 180
_QUIET = ("--format", "json", "--progress-spinner", "off", "--timeout", "10")


def verdict(report: str, complaint: str) -> tuple[int, str]:
    """The exit code and one line (or one line per vulnerability) for what pip-audit printed."""
    try:
        packages: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except (ValueError, KeyError):
        last = (complaint.strip() or "no answer").splitlines()[-1][:200]
        return 0, f"Dependency audit skipped: no index of vulnerabilities can be reached here ({last})."
    found = [
        f"{package['name']} {package['version']}: {entry['id']}, mended in {_mended(entry)}"
        for package in packages
        for entry in package.get("vulns", ())
    ]
    asked = sum("vulns" in package for package in packages)
    if found:
        return 1, "\n".join(["Known vulnerabilities:", *found])
    if not asked:
        return 0, f"Dependency audit skipped: the index reached here knows none of {len(packages)} packages."
    if asked < len(packages):
        return 0, (
            f"Dependency audit incomplete: the index here told about {asked} of {len(packages)} packages,"
            " none with a known vulnerability."
        )
    return 0, f"Dependency audit: none of {asked} packages has a known vulnerability."


def _mended(entry: dict[str, Any]) -> str:
    return ", ".join(entry["fix_versions"]) or "no release yet"


def main() -> int:
    """Run pip-audit on the lock file; no package is installed or downloaded for it."""
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--requirement",
        str(LOCK),
        "--require-hashes",
        "--disable-pip",
    ]
    try:
        done = subprocess.run(
            [*command, *_QUIET], capture_output=True, text=True, timeout=SECONDS, check=False
        )
        code, said = verdict(done.stdout, done.stderr)
    except subprocess.TimeoutExpired:
        code, said = verdict("", f"no answer within {SECONDS} s")
    print(said)
    return code


if __name__ == "__main__":
    sys.exit(main())
