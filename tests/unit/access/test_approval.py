"""The rule of the second person, case by case."""

from __future__ import annotations

import pytest

from automation.engine.types import Mode
from automation.pipeline.approval import WORDS, Case, Ruling, is_needed, rule

ANN, BOB, CYD = 1, 2, 3


@pytest.mark.parametrize(
    ("may_publish", "authors", "holders", "is_self_allowed", "ruling"),
    [
        # Somebody else's changes.
        (True, {BOB}, {ANN}, False, Ruling.FREE),
        (True, {BOB}, {ANN, BOB}, False, Ruling.FREE),
        (True, set(), {ANN, CYD}, False, Ruling.FREE),
        # One's own, wholly or in part.
        (True, {ANN}, {ANN, CYD}, False, Ruling.SECOND_PERSON),
        (True, {ANN, BOB}, {ANN, CYD}, False, Ruling.SECOND_PERSON),
        # A shop of one.
        (True, {ANN}, {ANN}, False, Ruling.ALONE),
        # Everybody who could has a share in it: nobody is stuck.
        (True, {ANN, CYD}, {ANN, CYD}, False, Ruling.ALONE),
        # Allowed by the setting, for those who hold the permission.
        (True, {ANN}, {ANN, CYD}, True, Ruling.FREE),
        (False, {ANN}, {CYD}, True, Ruling.NO_PERMISSION),
        # Without the permission, whoever wrote it.
        (False, {ANN}, {CYD}, False, Ruling.NO_PERMISSION),
        (False, {BOB}, {CYD}, False, Ruling.NO_PERMISSION),
        (False, {ANN, CYD}, {CYD}, False, Ruling.NO_PERMISSION),
        # Nobody holds it.
        (False, {ANN}, set(), False, Ruling.ALONE),
    ],
)
def test_who_may_publish(
    may_publish: bool, authors: set[int], holders: set[int], is_self_allowed: bool, ruling: Ruling
) -> None:
    """R-049."""
    case = Case(ANN, may_publish, frozenset(authors), frozenset(holders), is_self_allowed)
    assert rule(case) is ruling
    assert rule(case).is_allowed is (ruling in (Ruling.FREE, Ruling.ALONE))


@pytest.mark.parametrize(
    ("before", "after", "is_changed", "needed"),
    [
        (Mode.DRAFT, Mode.LIVE, True, True),
        (Mode.SHADOW, Mode.LIVE, False, True),
        (Mode.PAUSED, Mode.LIVE, False, True),
        (Mode.LIVE, Mode.LIVE, True, True),
        (Mode.LIVE, Mode.LIVE, False, False),
        (Mode.LIVE, Mode.SHADOW, True, False),
        (Mode.DRAFT, Mode.SHADOW, True, False),
        (Mode.LIVE, Mode.PAUSED, True, False),
        (Mode.LIVE, Mode.DRAFT, True, False),
        (Mode.LIVE, Mode.ARCHIVED, True, False),
    ],
)
def test_only_what_begins_to_act_or_acts_differently_is_ruled(
    before: Mode, after: Mode, is_changed: bool, needed: bool
) -> None:
    """R-049: stopping never waits for anybody."""
    assert is_needed(before, after, is_changed=is_changed) is needed


def test_every_refusal_says_what_to_do() -> None:
    assert all(WORDS[ruling] for ruling in Ruling if ruling is not Ruling.FREE)
