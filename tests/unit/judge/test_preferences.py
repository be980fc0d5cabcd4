"""What a person may enter as a customer's preferences."""

from __future__ import annotations

from typing import Any

import pytest

from profiles.admin.preferences import PreferencesForm, problems_of
from profiles.models import Profile

GOOD: list[Any] = [
    {},
    {"channels_off": ["email"], "topics_off": ["news"], "at_most_weekly": True, "theme": "dark"},
    {"channels_off": None, "pause_until": None},
    {"pause_until": "2026-05-05T12:00:00+02:00"},
    {"pause_until": "2026-05-05T12:00:00"},
    {"pause_until": "2026-05-05"},
    {"pause_until": ""},
]
BAD: list[tuple[Any, str]] = [
    (["x"], "object"),
    ("x", "object"),
    ({"pause_until": "tomorrow"}, "pause_until"),
    ({"pause_until": 5}, "pause_until"),
    ({"channels_off": "email"}, "channels_off"),
    ({"topics_off": [1]}, "topics_off"),
    ({"at_most_weekly": "yes"}, "at_most_weekly"),
]


@pytest.mark.parametrize("value", GOOD)
def test_what_the_rules_can_read_is_accepted(value: Any) -> None:
    assert problems_of(value) == []


@pytest.mark.parametrize(("value", "word"), BAD)
def test_what_no_rule_could_read_is_refused_in_words(value: Any, word: str) -> None:
    """S-001: so that a slip of the pen does not stop a customer's messages."""
    (problem,) = problems_of(value)
    assert word in problem


def test_the_customers_form_refuses_it() -> None:
    """S-001: with the words at the field."""
    form = PreferencesForm({"preferences": '{"pause_until": "tomorrow"}'}, instance=Profile())
    assert "pause_until is a date and time" in form.errors["preferences"][0]
    form = PreferencesForm({"preferences": '{"pause_until": "2026-05-05"}'}, instance=Profile())
    assert "preferences" not in form.errors
