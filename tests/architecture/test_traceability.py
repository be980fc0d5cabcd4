"""docs/traceability.md is what the docstrings of the tests say, and names tests that exist."""

from __future__ import annotations

import ast
import importlib
import re

import pytest

from tests import traceability
from tests.architecture.project import ROOT


def page() -> str:
    return traceability.PAGE.read_text(encoding="utf-8")


def test_the_page_is_fresh() -> None:
    """Write it with: python -m tests.traceability."""
    assert page() == traceability.page(traceability.known_ids(), traceability.claims())


def test_every_id_has_its_row() -> None:
    requirements = page().partition("\n## Counterparts")[0]
    rows = re.findall(r"^\| ([SHR]-\d{3}|T\d+) \|", requirements, re.MULTILINE)
    wanted = [f"S-{n:03}" for n in range(1, 270) if n != 199]
    wanted += [f"H-{n:03}" for n in range(1, 85)] + [f"R-{n:03}" for n in range(1, 57)]
    wanted += [f"T{n}" for n in range(1, 28)]
    assert rows == wanted


def test_no_test_claims_an_id_that_does_not_exist() -> None:
    unknown = {
        identifier: names
        for identifier, names in traceability.claims().items()
        if identifier not in traceability.known_ids()
    }
    assert unknown == {}


def test_every_named_test_exists() -> None:
    missing = []
    for file, name in re.findall(r"`(tests/[\w/]+\.py)::([\w:]+)`", page()):
        path = ROOT / file
        defined = {
            node.name
            for node in ast.walk(ast.parse(path.read_text()) if path.exists() else ast.Module([], []))
            if isinstance(node, ast.FunctionDef)
        }
        if name.rpartition("::")[2] not in defined:
            missing.append(f"{file}::{name}")
    assert missing == []


@pytest.mark.parametrize(
    "ours", sorted({ours for _, _, ours in traceability.counterparts() if ours != "open"})
)
def test_every_named_counterpart_exists(ours: str) -> None:
    module, attribute = ours.split(":")
    assert hasattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize(
    ("docstring", "ids"),
    [
        ("S-129, H-042: numbers.", ["S-129", "H-042"]),
        ("R-011..R-013: a range.", ["R-011", "R-012", "R-013"]),
        ("S-181..183 in short.", ["S-181", "S-182", "S-183"]),
        ("T1, T13: runs.", ["T1", "T13"]),
        ("No id: UTF8, M21, S-12, T123.", []),
    ],
)
def test_ids_are_read_from_docstrings(docstring: str, ids: list[str]) -> None:
    assert traceability.ids_in(docstring) == ids
