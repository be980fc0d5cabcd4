"""What gets installed is what was locked: by version, by hash, with everything it needs in turn."""

from __future__ import annotations

import importlib.metadata
import json
import re
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.project import ROOT

PAIRS = [("requirements.txt", "requirements.lock"), ("requirements-dev.txt", "requirements-dev.lock")]


def wanted(file: str) -> dict[str, str]:
    """Name -> version of the lines of a requirements file, and of the files it names."""
    found: dict[str, str] = {}
    for line in (ROOT / file).read_text().splitlines():
        text = line.partition(" #")[0].strip()
        if text.startswith("-r "):
            found |= wanted(text[3:])
        elif text and not text.startswith("#"):
            requirement = Requirement(text)
            found[canonicalize_name(requirement.name)] = str(requirement.specifier).removeprefix("==")
    return found


def locked(file: str) -> dict[str, list[str]]:
    """Name -> [version, hash, …] of a lock file."""
    entries = (ROOT / file).read_text().replace("\\\n", " ").splitlines()
    found: dict[str, list[str]] = {}
    for entry in filter(None, entries):
        requirement = Requirement(entry.partition(" --hash=")[0])
        hashes = re.findall(r"--hash=sha256:([0-9a-f]{64})(?:\s|$)", entry)
        assert canonicalize_name(requirement.name) not in found
        found[canonicalize_name(requirement.name)] = [str(requirement.specifier).removeprefix("=="), *hashes]
    return found


@pytest.mark.parametrize(("file", "lock"), PAIRS)
def test_the_lock_file_has_the_versions_that_are_asked_for(file: str, lock: str) -> None:
    """R-055: after a change of requirements run `make lock`."""
    versions = {name: entry[0] for name, entry in locked(lock).items()}
    asked = wanted(file)
    assert asked
    assert {name: versions.get(name) for name in asked} == asked


@pytest.mark.parametrize("lock", [lock for _, lock in PAIRS])
def test_every_locked_package_has_hashes_and_no_index_is_named(lock: str) -> None:
    """R-055: whoever serves the files, only these bytes are installed."""
    assert all(len(entry) >= 2 for entry in locked(lock).values())
    assert not re.search(r"://|--(?:extra-)?index|--find-links|--trusted-host", (ROOT / lock).read_text())


@pytest.mark.parametrize(("file", "lock"), PAIRS)
def test_what_packages_need_in_turn_is_locked_too(file: str, lock: str) -> None:
    """R-055: walked over what is installed here; pip would refuse a package without a hash."""
    names, seen = set(locked(lock)), set()
    waiting = [(name, frozenset[str]()) for name in wanted(file)]
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # Not for this platform or Python.
        for need in map(Requirement, needs):
            environments = [{"extra": extra} for extra in extras or {""}]
            if need.marker is None or any(need.marker.evaluate(one) for one in environments):
                waiting.append((canonicalize_name(need.name), frozenset(need.extras)))
    assert {name for name, _ in seen} - names == set()


def test_both_lock_files_agree() -> None:
    """R-055: tests run on what production runs on."""
    dev = locked("requirements-dev.lock")
    for name, entry in locked("requirements.lock").items():
        assert dev[name][0] == entry[0]
        assert set(entry[1:]) == set(dev[name][1:])


def test_everything_installs_from_the_lock_files() -> None:
    """R-055: make, the image and the README."""
    for file in ("Makefile", "Dockerfile", "README.md"):
        text = (ROOT / file).read_text()
        installs = [line for line in text.splitlines() if re.search(r"pip install .*requirement", line)]
        assert installs, file
        assert all("--require-hashes" in line and ".lock" in line for line in installs), file


def audit() -> Any:
    spec = spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CLEAN = {"name": "a", "version": "1", "vulns": []}
KNOWN = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["2.1"]}]}
SKIPPED = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "code", "said"),
    [
        ([CLEAN, CLEAN], 0, "none of 2 packages has a known vulnerability"),
        ([CLEAN, KNOWN], 1, "b 2: CVE-1, mended in 2.1"),
        ([SKIPPED, KNOWN], 1, "CVE-1"),
        ([SKIPPED, SKIPPED], 0, "skipped: the index reached here knows none of 2"),
        ([CLEAN, SKIPPED], 0, "incomplete: the index here told about 1 of 2"),
        (None, 0, "skipped: no index of vulnerabilities can be reached here (connection refused)"),
    ],
)
def test_the_audit_fails_on_a_vulnerability_and_never_claims_what_it_did_not_ask(
    packages: Any, code: int, said: str
) -> None:
    """R-055: pip-audit itself says "no known vulnerabilities" of packages that its index does not know."""
    report = "" if packages is None else json.dumps({"dependencies": packages})
    found, text = audit().verdict(report, "trace\nconnection refused\n")
    assert found == code
    assert said in text
