"""Engagement score: weights, decay, prior and clamp, with exact values."""

from __future__ import annotations

from datetime import timedelta

import pytest

from profiles.behavior import EMPTY, WEIGHTS, apply, engagement_score, view
from tests.unit.behavior.events import NOON, after, event


def test_a_customer_never_seen_reads_one_half() -> None:
    """S-169, S-174, H-031: 0.5 is where everyone starts, it is not a measurement."""
    assert engagement_score(EMPTY, NOON) == 0.5
    assert view(EMPTY, NOON)["engagement_score"] == 0.5


@pytest.mark.parametrize(
    ("name", "sign"),
    [
        ("email_opened", 1),
        ("email_clicked", 1),
        ("product_view", 1),
        ("page_view", 1),
        ("purchase_completed", 1),
        ("email_unsubscribed", -1),
        ("email_complained", -1),
        ("email_bounced", -1),
    ],
)
def test_each_event_moves_the_score_by_its_weight(name: str, sign: int) -> None:
    """S-167, S-168."""
    expected = min(1.0, max(0.0, 0.5 + WEIGHTS[name]))
    assert WEIGHTS[name] * sign > 0
    assert engagement_score(after(event(name)), NOON) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (0, 0.75),
        (15, 0.75 / 2**0.5),
        (30, 0.375),
        (60, 0.1875),
        (300, 0.75 / 1024),
    ],
)
def test_silence_halves_the_score_every_thirty_days(days: float, expected: float) -> None:
    """H-054: the score decays although nothing happens."""
    state = after(event("purchase_completed"))
    assert engagement_score(state, NOON + timedelta(days=days)) == pytest.approx(expected, abs=1e-12)


def test_half_life_and_weights_are_arguments() -> None:
    """S-167: weights come from the settings of the installation."""
    state = apply(EMPTY, event("page_view"), weights={"page_view": 0.3}, half_life_days=10)
    assert state["engagement_value"] == 0.3
    at = NOON + timedelta(days=10)
    assert engagement_score(state, at, half_life_days=10) == pytest.approx((0.5 + 0.3) / 2, abs=1e-12)


def test_a_late_event_adds_what_is_left_of_its_weight() -> None:
    """R-008."""
    state = after(event("purchase_completed", days=30), event("email_clicked"))
    assert state["engagement_at"] == NOON + timedelta(days=30)
    assert state["engagement_value"] == pytest.approx(0.25 + 0.08 / 2, abs=1e-12)


def test_clamping_happens_only_when_the_score_is_read() -> None:
    """S-169: beyond 1 and below 0 the stored sum forgets nothing."""
    many = [event("purchase_completed", minutes=n) for n in range(4)]
    state = after(*many)
    assert state["engagement_value"] == pytest.approx(1.0, abs=1e-3)
    assert engagement_score(state, NOON + timedelta(minutes=4)) == 1.0
    worse = after(*many, *(event("email_complained", minutes=5 + n) for n in range(3)))
    assert worse["engagement_value"] == pytest.approx(-0.8, abs=1e-3)
    assert engagement_score(worse, NOON + timedelta(minutes=8)) == 0.0


def test_nothing_grows_when_an_earlier_moment_is_asked_for() -> None:
    state = after(event("purchase_completed", days=10))
    assert engagement_score(state, NOON - timedelta(days=100)) == 0.75


@pytest.mark.parametrize("name", ["email_sent", "email_delivered", "churn_risk_changed", "profile_updated"])
def test_what_happens_to_a_customer_does_not_engage_them(name: str) -> None:
    state = after(event(name))
    assert state["engagement_value"] == 0.0
    assert state["engagement_at"] is None


def test_an_unknown_activity_has_the_weight_of_any_activity() -> None:
    assert after(event("workout_logged"))["engagement_value"] == WEIGHTS["*"]
    state = apply(EMPTY, event("workout_logged"), weights={})
    assert state["engagement_value"] == 0.0


@pytest.mark.parametrize("name", ["email_opened", "email_clicked"])
def test_an_open_made_by_a_machine_is_counted_but_engages_nobody(name: str) -> None:
    state = after(event(name, data={"is_machine": True}))
    assert state["engagement_value"] == 0.0
    assert state["last_activity"] is None
    assert state["patterns"]["events"][name][0] == 1
    assert "hours" not in state["patterns"]
