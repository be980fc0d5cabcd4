"""Buckets: sticky, uniform, independent."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from automation.engine.bucketing import bucket, in_holdout, pick_variant

# A fair hash exceeds these in one run of a thousand; the buckets are fixed, so a test never flickers.
CHI_SQUARE_1, CHI_SQUARE_19 = 10.83, 43.82


def chi_square(seen: Sequence[float], expected: Sequence[float]) -> float:
    return sum((a - b) ** 2 / b for a, b in zip(seen, expected, strict=True))


def test_a_bucket_is_the_same_in_every_process_and_version() -> None:
    """Recorded values: changing them moves every customer to another group."""
    assert bucket("welcome", 1) == 0.545815682220884
    assert bucket("welcome", "1") == bucket("welcome", 1)
    assert bucket("cart", 1) != bucket("welcome", 1)


@pytest.mark.parametrize("salt", ["welcome", "", "ä", "x" * 500])
def test_buckets_are_uniform(salt: str) -> None:
    counts = [0] * 20
    for profile in range(20_000):
        value = bucket(salt, profile)
        assert 0.0 <= value < 1.0
        counts[int(value * 20)] += 1
    assert chi_square(counts, [1000] * 20) < CHI_SQUARE_19


def test_buckets_of_two_salts_are_independent() -> None:
    same = sum((bucket("a", p) < 0.5) == (bucket("b", p) < 0.5) for p in range(20_000))
    assert chi_square([same, 20_000 - same], [10_000, 10_000]) < CHI_SQUARE_1


def test_a_larger_holdout_keeps_everyone_it_held_before() -> None:
    small = {profile for profile in range(3000) if in_holdout("s", profile, 5)}
    large = {profile for profile in range(3000) if in_holdout("s", profile, 10)}
    assert small < large
    assert len(small) == pytest.approx(150, abs=40)


@pytest.mark.parametrize(("percent", "expected"), [(0, 0), (-5, 0), (100, 500), (150, 500)])
def test_none_and_all(percent: float, expected: int) -> None:
    assert sum(in_holdout("s", profile, percent) for profile in range(500)) == expected


class TestVariants:
    def test_shares_follow_the_weights(self) -> None:
        weights = {"a": 1.0, "b": 3.0, "off": 0.0}
        counts = dict.fromkeys(weights, 0)
        for profile in range(20_000):
            counts[pick_variant("experiment", profile, weights) or ""] += 1
        assert counts["off"] == 0
        assert chi_square([counts["a"], counts["b"]], [5000, 15_000]) < CHI_SQUARE_1

    def test_the_order_of_the_mapping_does_not_matter(self) -> None:
        for profile in range(200):
            forth = pick_variant("x", profile, {"a": 1, "b": 1})
            assert forth == pick_variant("x", profile, {"b": 1, "a": 1})

    @pytest.mark.parametrize("weights", [{}, {"a": 0.0}, {"a": -1.0}])
    def test_without_weight_there_is_no_variant(self, weights: dict[str, float]) -> None:
        assert pick_variant("x", 1, weights) is None

    def test_rounding_never_leaves_a_customer_without_a_variant(self) -> None:
        weights = dict.fromkeys("abcdefghij", 0.1)
        assert all(pick_variant("x", profile, weights) in weights for profile in range(500))
