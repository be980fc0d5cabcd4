"""Stored wishes in any shape: nothing raises, and no wish to hear less is lost."""

from __future__ import annotations

from typing import Any

import pytest

from automation.engine.suppression import Outcome
from automation.engine.types import Reason
from profiles.behavior.merge import _merge_preferences as merge
from tests.unit.judge.asks import alice, ask, codes, judged

ODD: list[tuple[Any, str]] = [
    (["x"], "preferences"),
    ("off", "preferences"),
    (5, "preferences"),
    ({"channels_off": True}, "channels_off"),
    ({"channels_off": 5}, "channels_off"),
    ({"channels_off": {"email": True}}, "channels_off"),
    ({"channels_off": [["email"]]}, "channels_off"),
    ({"channels_off": [None, "sms"]}, "channels_off"),
    ({"topics_off": 7.5}, "topics_off"),
    ({"topics_off": [1]}, "topics_off"),
    ({"topics_off": {"marketing": 1}}, "topics_off"),
]


@pytest.mark.parametrize(("preferences", "key"), ODD)
@pytest.mark.parametrize("message_class", ["marketing", "transactional"])
def test_a_wish_that_cannot_be_read_holds_back_and_says_which(
    preferences: Any, key: str, message_class: str
) -> None:
    """R-020: it might have meant `off`, and it must not stop the decisions on this customer either."""
    judgement = judged(ask(message_class=message_class), alice(preferences=preferences))
    assert set(codes(judgement)) == {Reason.PREFERENCE}
    assert judgement.reasons[0].params == {"kind": "unreadable", "key": key}


@pytest.mark.parametrize(
    ("preferences", "is_held"),
    [
        ({"channels_off": "email"}, True),
        ({"channels_off": "mail"}, False),  # Not a part of the word `email`.
        ({"channels_off": "e-mail email"}, False),
        ({"topics_off": "marketing"}, True),
        ({"channels_off": ("email",)}, True),
        ({"channels_off": ""}, False),
        ({"channels_off": 0}, False),
        ({"channels_off": False}, False),
    ],
)
def test_a_single_name_is_a_list_of_one(preferences: Any, is_held: bool) -> None:
    judgement = judged(ask(), alice(preferences=preferences))
    assert (judgement.outcome is not Outcome.ALLOW) == is_held


@pytest.mark.parametrize(
    ("known", "anonymous", "merged"),
    [
        ({"channels_off": ["sms"]}, {"channels_off": ["email"]}, {"channels_off": ["email", "sms"]}),
        ({"channels_off": "sms"}, {"channels_off": ["email"]}, {"channels_off": ["email", "sms"]}),
        ({"channels_off": []}, {"channels_off": ["email"]}, {"channels_off": ["email"]}),
        ({"channels_off": ["sms"]}, {"channels_off": {"email": 1}}, {"channels_off": {"email": 1}}),
        ({"topics_off": [1]}, {"topics_off": ["news"]}, {"topics_off": [1]}),
        ({"topics_off": ["a", 1]}, {}, {"topics_off": ["a", 1]}),
        (
            {"pause_until": "2026-05-05"},
            {"pause_until": "2026-05-05T01:00:00+00:00"},
            {"pause_until": "2026-05-05T01:00:00+00:00"},
        ),
        ({"pause_until": "2026-05-05"}, {"pause_until": "zzz"}, {"pause_until": "2026-05-05"}),
        ({"pause_until": 5}, {"pause_until": "2026-05-05"}, {"pause_until": "2026-05-05"}),
        ({"pause_until": {"at": 1}}, {}, {"pause_until": {"at": 1}}),
        (["x"], {"channels_off": ["sms"]}, ["x"]),
        ({"channels_off": ["sms"]}, "off", "off"),
        ({}, {"at_most_weekly": True}, {"at_most_weekly": True}),
    ],
)
def test_merging_two_people_loses_no_wish(known: Any, anonymous: Any, merged: Any) -> None:
    """What cannot be read survives, and the later pause counts, whatever its spelling."""
    assert merge(known, anonymous) == merged
