"""How many sessions a customer had, without keeping them all.

Session ids are kept as a k-minimum-values sketch: the 64 smallest 48-bit hashes ever seen. Up to 63
sessions the count is exact; beyond that it is estimated as (k - 1) / (k-th smallest hash / 2^48),
standard error 1 / sqrt(k - 2), about 13 %. A set of smallest values does not depend on the order of
events, and the sketch of two merged profiles is the sketch of all their events.
Source: Bar-Yossef et al., Counting Distinct Elements in a Data Stream, RANDOM 2002.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

SKETCH_SIZE: Final = 64
_SPACE: Final = 1 << 48


def add_session(sketch: Sequence[int], session_id: str) -> list[int]:
    """The sketch with this session in it; sorted ascending, each hash once."""
    digest = blake2b(session_id.encode("utf-8", "surrogatepass"), digest_size=6).digest()
    value = int.from_bytes(digest, "big")
    at = bisect_left(sketch, value)
    if at == SKETCH_SIZE or (at < len(sketch) and sketch[at] == value):
        return list(sketch)
    return [*sketch[:at], value, *sketch[at : SKETCH_SIZE - 1]]


def merge_sketches(a: Sequence[int], b: Sequence[int]) -> list[int]:
    """The sketch of all sessions of both."""
    return sorted({*a, *b})[:SKETCH_SIZE]


def session_count(sketch: Sequence[int]) -> int:
    """Number of distinct sessions; exact below SKETCH_SIZE, an estimate from there."""
    if len(sketch) < SKETCH_SIZE:
        return len(sketch)
    return max(SKETCH_SIZE, round((SKETCH_SIZE - 1) * _SPACE / (sketch[-1] + 1)))
