"""Which people are held out, and which variant they see: a hash, never a random draw.

A person keeps their bucket for as long as the salt stays the same, in every process and after every
restart; buckets of different salts are independent of each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

_SPACE: Final = float(1 << 53)  # As many steps as a float between 0 and 1 can tell apart.


def bucket(salt: str, profile_id: int | str) -> float:
    """A uniform number in [0, 1) that belongs to this salt and profile."""
    digest = blake2b(f"{salt}:{profile_id}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / _SPACE


def in_holdout(salt: str, profile_id: int | str, percent: float) -> bool:
    """Whether this profile is one of the `percent` (0-100) who get nothing.

    Raising the percentage keeps everyone who was held out before.
    """
    return percent > 0 and bucket(salt, profile_id) * 100.0 < percent


def pick_variant(salt: str, profile_id: int | str, weights: Mapping[str, float]) -> str | None:
    """The variant of this profile, with the odds of `weights`; None when no weight is positive.

    Variants are laid out in the order of their names, so the order of the mapping does not matter.
    Use another salt than for the holdout, or the variants share out only what the holdout left over.
    """
    positive = sorted((name, weight) for name, weight in weights.items() if weight > 0)
    if not positive:
        return None
    point = bucket(salt, profile_id) * sum(weight for _, weight in positive)
    for name, weight in positive:
        if point < weight:
            return name
        point -= weight
    return positive[-1][0]  # Rounding left a grain over.
