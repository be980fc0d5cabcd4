"""The project's own source files, as the tests of this folder look at them."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
APPS = ("config", "profiles", "automation", "analytics")


@cache
def modules() -> tuple[Path, ...]:
    """Every Python module of the product, without migrations and tests."""
    found = [path for app in APPS for path in (ROOT / app).rglob("*.py") if "migrations" not in path.parts]
    return (ROOT / "manage.py", *sorted(found))


@cache
def tree(module: Path) -> ast.Module:
    """The module's syntax tree."""
    return ast.parse(module.read_text(), filename=str(module))


def name(path: Path) -> str:
    """Path from the project's root, as people write it."""
    return path.relative_to(ROOT).as_posix()


@cache
def tracked_files() -> tuple[Path, ...]:
    """Every file under version control, or, without git, every file of the apps, tests and docs."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        paths = [ROOT / entry for entry in listed.stdout.decode().split("\0") if entry]
    else:
        paths = [path for folder in (*APPS, "tests", "docs") for path in (ROOT / folder).rglob("*")]
    return tuple(path for path in paths if path.is_file() and not path.is_symlink())
