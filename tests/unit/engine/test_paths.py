"""Field paths."""

from __future__ import annotations

from typing import Any

import pytest

from automation.engine.operators import MISSING
from automation.engine.paths import PathError, parse, resolve
from automation.engine.samples import facts
from automation.engine.types import Facts

DATA = {
    "total": 5,
    "none": None,
    "cart": {"id": "c1", "a.b": 7},
    "items": [
        {"sku": "A", "price": 1, "tags": ["x", "y"]},
        {"sku": "B", "tags": []},
        {"sku": None, "price": 3},
    ],
    "numbers": [10, 20],
    "data": {"inner": 1},
    "profile": "shadowed",
}
FACTS = facts(
    data=DATA,
    profile={"traits": {"plan": "pro"}, "total_spent": 9},
    before={"traits": {"plan": "free"}},
    context={"device": {"type": "mobile"}},
)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("total", 5),
        ("event.total", 5),
        ("event.data.total", 5),
        ("event.data", {"inner": 1}),
        ("event.data.data.inner", 1),
        ("none", None),
        ("unknown", MISSING),
        ("total.deeper", MISSING),
        ("none.deeper", MISSING),
        ("cart.id", "c1"),
        ("cart.a\\.b", 7),
        ("numbers.0", 10),
        ("numbers[1]", 20),
        ("numbers[2]", MISSING),
        ("numbers.x", MISSING),
        ("items.0.sku", "A"),
        ("items[0].tags[1]", "y"),
        ("items[].price", [1, 3]),
        ("items[].sku", ["A", "B", None]),
        ("items[].tags[]", ["x", "y"]),
        ("numbers[]", [10, 20]),
        ("total[]", MISSING),
        ("unknown[].price", MISSING),
        ("profile.traits.plan", "pro"),
        ("profile", "shadowed"),
        ("before.traits.plan", "free"),
        ("before.total_spent", MISSING),
        ("context.device.type", "mobile"),
    ],
)
def test_path_leads_to_value(path: str, value: Any) -> None:
    """S-139, H-043: dots, indexes, any-of-list, escaped dots; null is not missing."""
    assert resolve(path, FACTS) == value
    assert (resolve(path, FACTS) is MISSING) is (value is MISSING)


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "a..b",
        "a b",
        "a-b",
        "a;DROP",
        "a\x00",
        "items[",
        "items[x]",
        "[]",
        "x" * 65,
        ".".join("abcdefghi"),
        "a\\b",
        "a\n",
    ],
)
def test_bad_path_is_refused_with_a_sentence(path: str) -> None:
    """H-043: the grammar of R-043, at most 8 parts of 64 characters."""
    with pytest.raises(PathError, match=r"Use letters|at most 8 parts"):
        parse(path)


def test_arrays_are_read_up_to_a_limit() -> None:
    """S-139: a huge array costs a bounded time."""
    wide = facts(data={"rows": [{"cells": [1] * 5000}] * 5000})
    assert len(resolve("rows[].cells[]", wide)) == 1000


def test_other_mappings_than_dict_are_read() -> None:
    """H-045: a profile may be a view that computes its attributes."""

    class View(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            return f"computed {key}"

    seen: Facts = facts(profile=View())
    assert resolve("profile.segment", seen) == "computed segment"
