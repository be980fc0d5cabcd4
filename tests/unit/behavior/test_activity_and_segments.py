"""First and last moments, and the five segments."""

from __future__ import annotations

from datetime import timedelta

import pytest

from profiles.behavior import EMPTY, SEGMENTS, empty, segment_of, view
from tests.unit.behavior.events import NOON, after, event


def test_a_customer_never_seen_is_new_and_has_no_last_activity() -> None:
    """S-174, H-052: never active does not look like active now."""
    assert EMPTY["behavior_segment"] == "new"
    assert EMPTY["last_activity"] is None
    assert EMPTY["lifetime_value"] == 0
    assert empty() == dict(EMPTY)
    seen = view(EMPTY, NOON)
    assert seen["last_activity"] is None
    assert seen["days_since_last_activity"] is None
    assert seen["lifetime_value"] == 0.0
    assert seen["preferences"] == {}
    assert seen["behavioral_patterns"] == {}


def test_a_late_event_moves_the_first_moment_back_and_the_last_not() -> None:
    """S-170, H-053."""
    state = after(event("page_view", days=2), event("page_view", days=-3))
    assert state["last_activity"] == NOON + timedelta(days=2)
    assert state["first_seen"] == NOON - timedelta(days=3)


@pytest.mark.parametrize("name", ["email_sent", "email_delivered", "email_bounced", "refund_issued"])
def test_mailing_somebody_does_not_make_them_active(name: str) -> None:
    """S-170, H-052."""
    state = after(event("page_view"), event(name, days=80))
    assert state["last_activity"] == NOON
    assert state["behavior_segment"] == "new"
    assert segment_of(state, NOON + timedelta(days=80)) == "at_risk"


DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("orders", "age", "silence", "expected"),
    [
        (0, 0 * DAY, 0 * DAY, "new"),
        (0, 14 * DAY, 0 * DAY, "new"),
        (0, 14 * DAY + SECOND, 0 * DAY, "active"),
        (2, 20 * DAY, 0 * DAY, "active"),
        (2, 3 * DAY, 0 * DAY, "new"),
        (3, 3 * DAY, 0 * DAY, "loyal"),
        (3, 200 * DAY, 30 * DAY, "loyal"),
        (3, 200 * DAY, 30 * DAY + SECOND, "at_risk"),
        (0, 200 * DAY, 90 * DAY, "at_risk"),
        (9, 200 * DAY, 90 * DAY + SECOND, "lapsed"),
    ],
)
def test_segments_follow_the_published_rules(
    orders: int, age: timedelta, silence: timedelta, expected: str
) -> None:
    """Rules, published in segments.py."""
    state = {"orders_count": orders, "first_seen": NOON - age, "last_activity": NOON - silence}
    assert segment_of(state, NOON) == expected
    assert expected in SEGMENTS


def test_every_event_updates_the_stored_segment_and_time_moves_the_seen_one() -> None:
    """S-103."""
    state = after(*(event("purchase_completed", days=n) for n in (0, 1, 2)))
    assert state["behavior_segment"] == "loyal"
    assert view(state, NOON + timedelta(days=2))["behavior_segment"] == "loyal"
    assert view(state, NOON + timedelta(days=33))["behavior_segment"] == "at_risk"
    assert view(state, NOON + timedelta(days=93))["behavior_segment"] == "lapsed"
    assert state["behavior_segment"] == "loyal"


def test_the_view_of_the_state_before_the_event_still_shows_what_was() -> None:
    """S-110: `before.` reads the state that apply did not touch."""
    before = after(event("page_view"))
    now = after(event("purchase_completed", days=20, data={"total": 30}), state=before)
    assert view(before, NOON)["orders_count"] == 0
    assert view(now, NOON)["orders_count"] == 1
    assert view(before, NOON)["lifetime_value"] == 0.0
    assert view(now, NOON)["lifetime_value"] == 30.0
