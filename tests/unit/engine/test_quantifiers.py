"""Comparisons over the items of a list."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automation.engine.operators import OPERATORS
from automation.engine.paths import parse
from automation.engine.quantifiers import OVER, compile_test
from automation.engine.samples import facts
from automation.engine.types import Verdict
from tests.unit.engine.documents import scalars, values

NO, YES, BROKEN = Verdict.NOT_MET, Verdict.MET, Verdict.BROKEN
ITEMS: Any = [{"price": 10, "sku": "A"}, {"price": "20.5", "sku": "B"}]


def ask(path: str, operator: str, expected: Any, over: str, data: Any) -> Verdict:
    seen = facts(data=data)
    return compile_test(parse(path), operator, expected, over)(seen.event, seen).verdict


@pytest.mark.parametrize(
    ("path", "operator", "expected", "over", "items", "verdict"),
    [
        ("items[].price", "greater_than", 20, "any", ITEMS, YES),
        ("items[].price", "greater_than", 30, "any", ITEMS, NO),
        ("items[].price", "greater_than", 5, "all", ITEMS, YES),
        ("items[].price", "greater_than", 15, "all", ITEMS, NO),
        ("items[].price", "greater_than", 5, "all", [], NO),
        ("items[].price", "greater_than", 30, "none", ITEMS, YES),
        ("items[].price", "greater_than", 15, "none", ITEMS, NO),
        ("items[].price", "greater_than", 15, "none", [], YES),
        ("items[].price", "equals", 30.5, "sum", ITEMS, YES),
        ("items[].price", "equals", 0.3, "sum", [{"price": 0.1}, {"price": 0.2}], YES),
        ("items[].price", "equals", 0, "sum", [], YES),
        ("items[].price", "equals", 2, "count", ITEMS, YES),
        ("items[]", "equals", 0, "count", [], YES),
        ("items[].price", "equals", 20.5, "max", ITEMS, YES),
        ("items[].price", "equals", 10, "min", ITEMS, YES),
        ("items[].price", "less_than", 10, "min", [], NO),
        ("items[].sku", "not_equals", "C", "any", ITEMS, YES),
        ("items[].sku", "not_equals", "A", "any", ITEMS, NO),  # No sku is A: the opposite of any is A.
        ("items[].sku", "in_list", ["B"], "any", ITEMS, YES),
        ("items[].sku", "greater_than", 1, "any", ITEMS, BROKEN),
        ("items[].price", "greater_than", 1, "any", [{"price": "x"}, {"price": 2}], YES),
        ("items[].price", "greater_than", 1, "all", [{"price": "x"}, {"price": 0}], NO),
        ("items[].price", "greater_than", 1, "all", [{"price": "x"}, {"price": 2}], BROKEN),
        ("items[].price", "greater_than", 1, "sum", [{"price": "x"}], BROKEN),
        ("items[].price", "greater_than", 1, "sum", None, NO),
        ("items[].price", "greater_than", 1, "any", "text", NO),
        ("items[].price", "exists", None, "any", [{"price": None}], NO),
    ],
)
def test_list_compares(
    path: str, operator: str, expected: Any, over: str, items: Any, verdict: Verdict
) -> None:
    """S-118: any, all, none, sum, count, max, min."""
    data = {} if items is None else {"items": items}
    assert ask(path, operator, expected, over, data) is verdict


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(
    operator=st.sampled_from([name for name, o in OPERATORS.items() if o.negates]),
    over=st.sampled_from(OVER),
    items=values,
    expected=scalars | st.lists(scalars, max_size=2),
)
def test_law_a_holds_over_lists(operator: str, over: str, items: Any, expected: Any) -> None:
    """S-130: the negative is the exact opposite, whatever the quantifier."""
    positive = ask("items[]", OPERATORS[operator].negates, expected, over, {"items": items})
    negative = ask("items[]", operator, expected, over, {"items": items})
    assert negative is {YES: NO, NO: YES, BROKEN: BROKEN}[positive]
