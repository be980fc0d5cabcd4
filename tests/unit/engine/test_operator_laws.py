"""The operator laws (design: engine.md section 3) as properties."""

from __future__ import annotations

import operator as python
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automation.engine import operators
from automation.engine.operators import MISSING, OPERATORS
from automation.engine.samples import NOON
from automation.engine.types import Result, Verdict
from automation.engine.values import equal, number
from tests.unit.engine.documents import scalars, values

laws = settings(max_examples=120, deadline=None, database=None, derandomize=True)
expected_values = values | st.lists(scalars, min_size=2, max_size=2)
finite = st.integers(-(10**15), 10**15) | st.floats(-1e15, 1e15)
COMPARISONS = {
    "greater_than": python.gt,
    "less_than": python.lt,
    "greater_than_or_equal": python.ge,
    "less_than_or_equal": python.le,
}


def ask(name: str, actual: Any, expected: Any, before: Any = MISSING) -> Verdict:
    result = operators.test(name, actual, expected, now=NOON, before=before)
    assert type(result) is Result
    return result.verdict


@pytest.mark.parametrize("negative", [name for name, o in OPERATORS.items() if o.negates])
@laws
@given(actual=values | st.just(MISSING), expected=expected_values)
def test_law_a_negative_is_not_positive(negative: str, actual: Any, expected: Any) -> None:
    """S-130, S-136, S-138: exactly NOT, also on missing values; broken on both sides."""
    positive = ask(OPERATORS[negative].negates, actual, expected)
    opposite = {Verdict.MET: Verdict.NOT_MET, Verdict.NOT_MET: Verdict.MET, Verdict.BROKEN: Verdict.BROKEN}
    assert ask(negative, actual, expected) is opposite[positive]


@laws
@given(
    name=st.sampled_from(list(OPERATORS)), expected=expected_values, absent=st.sampled_from([None, MISSING])
)
def test_law_b_nothing_satisfies_no_positive_operator(name: str, expected: Any, absent: Any) -> None:
    """S-129..S-138, H-043: missing and null meet only is_empty and the negative operators."""
    verdict = ask(name, absent, expected, before="something")
    if name == "is_empty":
        assert verdict is Verdict.MET
    elif not OPERATORS[name].negates:
        assert verdict is not Verdict.MET


@laws
@given(
    name=st.sampled_from(list(COMPARISONS)), one=finite, other=finite, texts=st.tuples(*[st.booleans()] * 2)
)
def test_law_c_numbers_compare_as_numbers(name: str, one: Any, other: Any, texts: tuple[bool, bool]) -> None:
    """S-131..S-134: also when either side is a decimal text."""
    if not any(texts):
        assert (ask(name, one, other) is Verdict.MET) is COMPARISONS[name](one, other)
    sides = [
        f"{Decimal(str(side)):f}" if text else side for side, text in zip((one, other), texts, strict=True)
    ]
    if all(number(side) is not None for side in sides):
        exact = COMPARISONS[name](Decimal(str(one)), Decimal(str(other)))
        assert (ask(name, *sides) is Verdict.MET) is exact


@laws
@given(flag=st.booleans(), value=finite)
def test_law_c_booleans_are_not_numbers(flag: bool, value: Any) -> None:
    """S-129: True is not 1."""
    assert ask("equals", flag, value) is Verdict.NOT_MET
    assert ask("equals", value, flag) is Verdict.NOT_MET
    assert ask("greater_than", flag, value) is Verdict.BROKEN


@laws
@given(text=st.text(max_size=8), other=st.text(max_size=8))
def test_law_d_equals_is_exact_and_contains_ignores_case(text: str, other: str) -> None:
    """S-129, S-135: texts."""
    assert (ask("equals", text, other) is Verdict.MET) is (text == other)
    assert (ask("contains", text, other) is Verdict.MET) is (other.lower() in text.lower())


@laws
@given(items=st.lists(scalars, max_size=4), item=scalars)
def test_law_d_contains_on_lists_is_membership(items: list[Any], item: Any) -> None:
    """S-135, S-137: contains and in_list are the same equality from both sides."""
    assert (ask("contains", items, item) is Verdict.MET) is any(equal(one, item) for one in items)
    assert (ask("in_list", item, items) is Verdict.MET) is any(equal(item, one) for one in items)


@laws
@given(
    one=st.integers(-10_000, 10_000),
    other=st.integers(-10_000, 10_000),
    zones=st.tuples(st.integers(-12, 14), st.integers(-12, 14)),
)
def test_law_e_dates_compare_as_instants(one: int, other: int, zones: tuple[int, int]) -> None:
    """S-131, H-045: whatever the offset, and whether a datetime or its text."""
    moments = [NOON + timedelta(minutes=minutes) for minutes in (one, other)]
    texts = [
        (moment + timedelta(hours=zone)).strftime("%Y-%m-%dT%H:%M:%S") + f"{zone:+03d}:00"
        for moment, zone in zip(moments, zones, strict=True)
    ]
    for actual in (moments[0], texts[0]):
        assert (ask("before", actual, texts[1]) is Verdict.MET) is (one < other)
        assert (ask("after", actual, texts[1]) is Verdict.MET) is (one > other)
        assert (ask("less_than_or_equal", actual, texts[1]) is Verdict.MET) is (one <= other)


@settings(laws, max_examples=250)
@given(
    name=st.sampled_from(list(OPERATORS)),
    actual=values | st.just(MISSING),
    expected=expected_values,
    before=values | st.just(MISSING),
)
def test_law_f_impossible_pairs_are_broken_never_an_exception(
    name: str, actual: Any, expected: Any, before: Any
) -> None:
    """S-131, H-042, H-047: any operator on any values."""
    assert ask(name, actual, expected, before) in Verdict


@laws
@given(one=scalars, other=scalars, third=scalars)
def test_equality_is_symmetric_and_exact_for_numbers(one: Any, other: Any, third: Any) -> None:
    """S-129: the equality behind operators, joins and the index."""
    assert equal(one, other) is equal(other, one)
    if not isinstance(one, str) and not isinstance(other, str) and not isinstance(third, str):
        assert not (equal(one, other) and equal(other, third)) or equal(one, third)
