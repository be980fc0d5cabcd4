"""The mutants of `make mutants` still fit the code they take a mechanism out of."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.project import ROOT, tree
from tests.chaos.mutants import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_can_be_made_and_its_tests_exist(mutant: Mutant) -> None:
    """T27: an edit that does not apply any more, or names a test that is gone, would prove nothing."""
    text = (ROOT / mutant.file).read_text()
    changed = mutant.edited(text)
    assert changed != text
    ast.parse(changed)
    for test in mutant.tests:
        file, _, name = test.partition("::")
        functions = {node.name for node in ast.walk(tree(ROOT / file)) if isinstance(node, ast.FunctionDef)}
        assert name in functions if name else any(each.startswith("test_") for each in functions)


def test_an_edit_that_does_not_apply_says_so() -> None:
    """A mutant of old code must not silently be the unedited project."""
    with pytest.raises(ValueError, match="it is there 0 times"):
        Mutant("m", "a.py", "old", "new", ()).edited("something else")
