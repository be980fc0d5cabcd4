"""What a person may enter as a customer's preferences, and how what is stored is read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from profiles.admin.preferences import PreferencesForm, in_words, readable
from profiles.models import Profile

NOTHING = {"at_most_weekly": False, "pause_until": None, "channels_off": [], "topics_off": []}
MAY = datetime(2026, 5, 5, tzinfo=UTC)
STORED: list[tuple[Any, dict[str, Any]]] = [
    ({}, {}),
    (None, {}),
    (["x"], {}),
    ({"channels_off": ["email"], "topics_off": ["news"], "at_most_weekly": True, "theme": "dark"},
     {"channels_off": ["email"], "topics_off": ["news"], "at_most_weekly": True}),
    ({"channels_off": "email"}, {"channels_off": ["email"]}),
    ({"channels_off": None, "pause_until": None}, {}),
    ({"topics_off": [1, "news"]}, {"topics_off": ["news"]}),
    ({"pause_until": "2026-05-05T02:00:00+02:00"}, {"pause_until": MAY}),
    ({"pause_until": "2026-05-05"}, {"pause_until": MAY}),
    ({"pause_until": "tomorrow"}, {}),
    ({"pause_until": 5}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("stored", "wishes"), STORED)
def test_what_is_stored_is_read_as_far_as_it_can_be(stored: Any, wishes: dict[str, Any]) -> None:
    assert readable(stored) == NOTHING | wishes


def entered(stored: Any, **data: Any) -> PreferencesForm:
    form = PreferencesForm(data, instance=Profile(preferences=stored))
    form.is_valid()
    return form


def test_what_is_entered_is_stored_as_the_rules_read_it() -> None:
    """S-001: a slip of the pen cannot stop a customer's messages."""
    form = entered(
        {"theme": "dark", "channels_off": ["fax"], "topics_off": "news"},
        at_most_weekly="on",
        pause_until="2026-05-05T12:00",
        channels_off=["email", "sms"],
        topics_off="news, , offers,news",
    )

    assert form.preferences() == {
        "theme": "dark",
        "at_most_weekly": True,
        "pause_until": "2026-05-05T12:00:00+00:00",
        "channels_off": ["fax", "email", "sms"],
        "topics_off": ["news", "offers"],
    }


def test_saving_what_was_shown_changes_nothing_that_could_be_read() -> None:
    stored = {"theme": "dark", "at_most_weekly": True, "topics_off": ["news"]}
    shown = PreferencesForm(instance=Profile(preferences=stored)).initial

    form = entered(stored, at_most_weekly="on", topics_off=shown["topics_off"])

    assert form.preferences() == stored
    assert entered({"pause_until": "tomorrow"}).preferences() == {}


def test_a_wish_that_is_none_is_refused_at_its_field() -> None:
    """S-001: with the words at the field."""
    form = entered({}, pause_until="tomorrow", channels_off=["fax"])

    assert {"pause_until", "channels_off"} <= set(form.errors)


def test_wishes_in_words() -> None:
    assert in_words({}) == "–"
    assert in_words({"at_most_weekly": True, "channels_off": ["sms"], "topics_off": ["news"]}) == (
        "At most one message a week. Nothing by: SMS. Nothing about: news."
    )
