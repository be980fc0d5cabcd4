"""The import contracts of pyproject.toml hold, and cover what exists."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from tests.architecture.project import ROOT

PURE = ("automation.engine", "profiles.behavior", "analytics.math")
FRAMEWORKS = {"django", "rest_framework", "celery", "redis"}
PLUGINS = (
    "automation.engine.conditions",
    "automation.actions",
    "automation.channels",
    "automation.providers",
)


def contracts() -> list[dict[str, Any]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return list(project["tool"]["importlinter"]["contracts"])


def folder(package: str) -> Path:
    return ROOT / package.replace(".", "/")


def test_every_import_contract_is_kept() -> None:
    lint = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert " 0 broken" in done.stdout


def test_every_pure_package_is_forbidden_every_framework() -> None:
    covered = {
        module
        for contract in contracts()
        if set(contract.get("forbidden_modules", [])) >= FRAMEWORKS
        for module in contract["source_modules"]
    }
    assert {package for package in PURE if folder(package).exists()} <= covered


def test_plugins_of_every_folder_are_independent_of_one_another() -> None:
    covered = {module for contract in contracts() for module in contract.get("modules", [])}
    assert {f"{package}.*" for package in PLUGINS if folder(package).exists()} <= covered


def test_celery_is_forbidden_outside_four_modules() -> None:
    contract = next(
        c
        for c in contracts()
        if "celery" in c.get("forbidden_modules", []) and "profiles" in c["source_modules"]
    )
    exempt = {line.split(" -> ")[0] for line in contract["ignore_imports"] if line.endswith("-> celery")}
    assert exempt == {"automation.tasks", "automation.queues", "analytics.tasks"}
