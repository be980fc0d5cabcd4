"""Small modules: `ls` explains the system, and a change has one place."""

from __future__ import annotations

from statistics import median, quantiles

import pytest

from tests.architecture.project import modules, name

LONGEST = 400
MEDIAN = 100
NINE_OF_TEN = 250
NAMELESS = {"utils.py", "util.py", "helpers.py", "misc.py", "common.py"}


def lengths() -> dict[str, int]:
    return {name(path): len(path.read_text().splitlines()) for path in modules()}


def test_no_module_is_longer_than_four_hundred_lines() -> None:
    assert {path: length for path, length in lengths().items() if length > LONGEST} == {}


def test_the_usual_module_is_short() -> None:
    filled = [length for length in lengths().values() if length > 5]  # Not the empty __init__.py files.
    assert median(filled) <= MEDIAN
    assert quantiles(filled, n=10)[-1] <= NINE_OF_TEN


@pytest.mark.parametrize("nameless", sorted(NAMELESS))
def test_no_module_hides_behind_a_name_that_says_nothing(nameless: str) -> None:
    assert [name(path) for path in modules() if path.name == nameless] == []
