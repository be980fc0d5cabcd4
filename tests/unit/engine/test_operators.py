"""Exact cases of every operator."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from automation.engine import operators
from automation.engine.operators import MISSING, OPERATORS
from automation.engine.samples import NOON
from automation.engine.types import Verdict

NO, YES, BROKEN = Verdict.NOT_MET, Verdict.MET, Verdict.BROKEN
NAN, INF = float("nan"), float("inf")

NEGATIVES = {o.negates: name for name, o in OPERATORS.items() if o.negates}

EQUALS = [
    ("gold", "gold", YES),
    ("gold", "Gold", NO),
    ("5", "5.0", NO),  # Two texts are equal only when they are the same.
    (5, "5", YES),
    ("5", 5, YES),
    ("5.0", 5, YES),
    ("0.3", 0.3, YES),
    (Decimal("0.3"), 0.3, YES),
    (Decimal("19.90"), 19.9, YES),
    (5, 5.0, YES),
    (2**53 + 1, float(2**53), NO),
    (True, 1, NO),
    (1, True, NO),
    (True, True, YES),
    (True, "true", NO),
    (False, 0, NO),
    (NAN, NAN, NO),
    (INF, INF, NO),
    (" 5", 5, NO),
    ("٥", 5, NO),  # Only ASCII digits are numbers on the wire.
    (None, "none", NO),
    (None, None, NO),
    (MISSING, "x", NO),
    (["gold"], "gold", NO),
    ({"a": 1}, "gold", NO),
    (datetime(2025, 6, 1, tzinfo=UTC), "2025-06-01T02:00:00+02:00", YES),
    ("x", ["x"], BROKEN),
]
GREATER = [
    (51, 50, YES),
    (50, 50, NO),
    ("50.01", 50, YES),
    (50.01, "50", YES),
    (Decimal("50.01"), 50, YES),
    (None, 50, NO),
    (MISSING, 50, NO),
    (NAN, 50, NO),
    (INF, 50, NO),
    (-INF, 50, NO),
    (True, 0, BROKEN),
    ("many", 50, BROKEN),
    ([60], 50, BROKEN),
    ({}, 50, BROKEN),
    (60, [50], BROKEN),
    (60, "many", BROKEN),
    ("2025-06-02", "2025-06-01", YES),
    (datetime(2025, 6, 1, 1, tzinfo=UTC), "2025-06-01T02:30:00+02:00", YES),
    (60, "2025-06-01", BROKEN),
    (10**400, 1.5, YES),
]
CONTAINS = [
    ("Summer SALE", "sale", YES),
    ("Summer", "sale", NO),
    (["shoes", "hats"], "hats", YES),
    (["shoes", "hats"], "Hats", NO),  # On lists contains is membership, and equals is exact.
    (["shoes"], "sho", NO),  # Never the printed form.
    ([5], "5", YES),
    (None, "none", NO),
    (MISSING, "x", NO),
    ("15", 5, BROKEN),
    (15, "5", BROKEN),
    ({"sale": 1}, "sale", BROKEN),
]
IN_LIST = [
    ("DE", ["DE", "AT"], YES),
    ("FR", ["DE", "AT"], NO),
    ("5", [5], YES),
    (True, [1], NO),
    (None, ["none"], NO),
    (MISSING, [], NO),
    (["DE"], ["DE"], NO),
    ("D", "DE", BROKEN),
]
TABLE: list[tuple[str, Any, Any, Verdict]] = [
    *(("equals", *case) for case in EQUALS),
    *(("greater_than", *case) for case in GREATER),
    *(("contains", *case) for case in CONTAINS),
    *(("in_list", *case) for case in IN_LIST),
    ("less_than", 49.9, 50, YES),
    ("less_than", 50, 50, NO),
    ("less_than", -INF, 50, NO),
    ("less_than", None, 50, NO),
    ("greater_than_or_equal", 50, 50, YES),
    ("greater_than_or_equal", "50.0", 50, YES),
    ("greater_than_or_equal", 49, 50, NO),
    ("less_than_or_equal", 50, 50, YES),
    ("less_than_or_equal", 50.5, 50, NO),
    ("less_than_or_equal", None, 50, NO),
    ("exists", 0, None, YES),
    ("exists", "", None, YES),
    ("exists", False, None, YES),
    ("exists", None, None, NO),
    ("exists", MISSING, None, NO),
    ("not_exists", None, None, YES),
    ("not_exists", MISSING, None, YES),
    ("not_exists", 0, None, NO),
    ("is_empty", "", None, YES),
    ("is_empty", [], None, YES),
    ("is_empty", {}, None, YES),
    ("is_empty", None, None, YES),
    ("is_empty", MISSING, None, YES),
    ("is_empty", 0, None, NO),
    ("is_empty", False, None, NO),
    ("is_empty", " ", None, NO),
    ("between", 10, [10, 20], YES),
    ("between", 20, [10, 20], YES),
    ("between", 20.01, [10, 20], NO),
    ("between", "15", [10, 20], YES),
    ("between", "2025-06-15", ["2025-06-01", "2025-06-30"], YES),
    ("between", None, [10, 20], NO),
    ("between", "x", [10, 20], BROKEN),
    ("between", 15, [10], BROKEN),
    ("starts_with", "SKU-1", "sku", YES),
    ("starts_with", "x", "sku", NO),
    ("starts_with", None, "sku", NO),
    ("starts_with", 5, "5", BROKEN),
    ("ends_with", "a@B.de", "@b.DE", YES),
    ("ends_with", ["x"], "x", BROKEN),
    ("before", "2025-05-31T23:59:59Z", "2025-06-01", YES),
    ("before", "2025-06-01T00:30:00+02:00", "2025-06-01", YES),  # An instant, not a printed date.
    ("before", date(2025, 6, 1), "2025-06-01", NO),
    ("before", "soon", "2025-06-01", BROKEN),
    ("before", None, "2025-06-01", NO),
    ("before", 5, "2025-06-01", BROKEN),
    ("after", datetime(2025, 6, 1, 0, 0, 1, tzinfo=UTC), "2025-06-01", YES),
    ("after", datetime(2025, 6, 1, 0, 0, 1), "2025-06-01", YES),  # noqa: DTZ001  # Naive means UTC.
    ("after", "2025-06-01T00:00:00Z", "2025-06-01", NO),
    ("after", "2025-02-30", "2025-06-01", BROKEN),
    ("after", "0001-01-01T00:00:00+14:00", "2025-06-01", BROKEN),
    ("within_last", NOON - timedelta(hours=24), 24, YES),
    ("within_last", NOON - timedelta(hours=24, seconds=1), 24, NO),
    ("within_last", NOON + timedelta(seconds=1), 24, NO),
    ("within_last", None, 24, NO),
    ("within_last", "soon", 24, BROKEN),
    ("within_last", "2025-06-02", 1e300, BROKEN),
    ("within_next", NOON + timedelta(hours=24), 24, YES),
    ("within_next", NOON, 24, YES),
    ("within_next", NOON - timedelta(seconds=1), 24, NO),
]


@pytest.mark.parametrize(("operator", "actual", "expected", "verdict"), TABLE)
def test_operator_answers_exactly(operator: str, actual: Any, expected: Any, verdict: Verdict) -> None:
    """S-129, S-131, S-132, S-133, S-134, S-135, S-137, H-042: the exact cases of the laws."""
    result = operators.test(operator, actual, expected, now=NOON)
    assert result.verdict is verdict
    assert bool(result.reason) is (verdict is BROKEN)


@pytest.mark.parametrize(
    ("negative", "actual", "expected", "verdict"),
    [(NEGATIVES[name], *case) for name, *case in TABLE if name in NEGATIVES],
)
def test_negative_operator_is_the_opposite(
    negative: str, actual: Any, expected: Any, verdict: Verdict
) -> None:
    """S-130, S-136, S-138: not_equals, not_contains, not_in_list on the same cases."""
    opposite = {YES: NO, NO: YES, BROKEN: BROKEN}[verdict]
    assert operators.test(negative, actual, expected, now=NOON).verdict is opposite


@pytest.mark.parametrize(
    ("before", "after", "expected", "verdict"),
    [
        ("free", "pro", None, YES),
        ("pro", "pro", None, NO),
        ("5", 5, None, NO),
        (MISSING, "pro", None, YES),
        (None, "pro", None, YES),
        (MISSING, None, None, NO),
        ("pro", None, None, NO),  # A missing value satisfies no positive operator.
        ([1], [1, 2], None, YES),
        ([1, {"a": 2}], [1, {"a": 2}], None, NO),
        ("free", "pro", "pro", YES),
        (MISSING, "pro", "pro", YES),
        ("pro", "pro", "pro", NO),
        ("free", "basic", "pro", NO),
    ],
)
def test_changed_compares_with_the_value_before(
    before: Any, after: Any, expected: Any, verdict: Verdict
) -> None:
    """S-139: changed, and with an expected value changed_to."""
    operator = "changed" if expected is None else "changed_to"
    assert operators.test(operator, after, expected, now=NOON, before=before).verdict is verdict


def test_values_nested_too_deeply_are_broken_not_an_exception() -> None:
    """H-047: a stack overflow in comparing is a broken result."""
    deep: Any = []
    other: Any = []
    for _ in range(20_000):
        deep, other = [deep], [other]
    result = operators.test("changed", deep, None, now=NOON, before=other)
    assert result.verdict is BROKEN
    assert "nested too deeply" in result.reason


def test_unknown_operator_is_broken() -> None:
    """H-034: not True, not False."""
    assert operators.test("matches", "x", "x", now=NOON).verdict is BROKEN


def test_every_operator_has_a_label_and_negatives_name_their_positive() -> None:
    """S-139: the closed list."""
    assert list(OPERATORS) == [
        "equals", "not_equals", "greater_than", "less_than", "greater_than_or_equal", "less_than_or_equal",
        "contains", "not_contains", "in_list", "not_in_list", "exists", "not_exists", "between",
        "starts_with", "ends_with", "is_empty", "before", "after", "within_last", "within_next",
        "changed", "changed_to",
    ]  # fmt: skip
    for name, operator in OPERATORS.items():
        assert operator.name == name
        assert operator.label
        assert not operator.negates or operator.positive is OPERATORS[operator.negates].positive
