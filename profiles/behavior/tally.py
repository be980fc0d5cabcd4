"""Bounded counters that do not depend on the order of events.

A bound needs a rule for who has to leave, and "the newest" or "the rarest" would make the result
depend on the order of arrival. Here the members of a full tally are always the `limit` smallest keys
ever seen (protected keys count as smaller than all others); the rest are summed in `other`. A key
that has left can never return, because the keys that pushed it out can only be replaced by smaller
ones, so its whole count lies in `other`; a key that is present was never out, so its count is whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

OTHER: Final = "other"
_NOTHING: Final[frozenset[str]] = frozenset()

Count = dict[str, int]
Span = list[Any]  # [count, first moment, last moment].
Spans = dict[str, Span]


def count(tally: Mapping[str, int], key: str, limit: int) -> Count:
    """`tally` with one more of `key`; at most `limit` keys and `other`."""
    new = dict(tally)
    new[key] = new.get(key, 0) + 1
    if len(new) > limit and len(new) - (OTHER in new) > limit:
        _fold_counts(new, limit)
    return new


def merge_counts(a: Mapping[str, int], b: Mapping[str, int], limit: int) -> Count:
    """The sum of two tallies; equal to the tally of all their events together."""
    new = dict(a)
    for key, n in b.items():
        new[key] = new.get(key, 0) + n
    _fold_counts(new, limit)
    return new


def count_span(
    spans: Mapping[str, Span], key: str, moment: str, limit: int, protected: frozenset[str] = _NOTHING
) -> Spans:
    """`spans` with one more of `key` at `moment`; first and last are kept beside the count."""
    new = dict(spans)
    old = new.get(key)
    if old is None:
        new[key] = [1, moment, moment]
        if len(new) > limit and len(new) - (OTHER in new) > limit:
            _fold_spans(new, limit, protected)
    else:
        n, first, last = old
        new[key] = [n + 1, moment if moment < first else first, moment if moment > last else last]
    return new


def merge_spans(
    a: Mapping[str, Span], b: Mapping[str, Span], limit: int, protected: frozenset[str] = _NOTHING
) -> Spans:
    """The sum of two span tallies; equal to the tally of all their events together."""
    new = dict(a)
    for key, span in b.items():
        new[key] = _join(new[key], span) if key in new else span
    _fold_spans(new, limit, protected)
    return new


def _leavers(keys: Mapping[str, Any], limit: int, protected: frozenset[str]) -> list[str]:
    named = sorted((key not in protected, key) for key in keys if key != OTHER)
    return [key for _, key in named[limit:]]


def _fold_counts(new: Count, limit: int) -> None:
    for key in _leavers(new, limit, _NOTHING):
        new[OTHER] = new.get(OTHER, 0) + new.pop(key)


def _fold_spans(new: Spans, limit: int, protected: frozenset[str]) -> None:
    for key in _leavers(new, limit, protected):
        span = new.pop(key)
        new[OTHER] = _join(new[OTHER], span) if OTHER in new else span


def _join(a: Span, b: Span) -> Span:
    return [a[0] + b[0], min(a[1], b[1]), max(a[2], b[2])]
