"""What may be saved: every refusal has a place and words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from automation.actions.registry import MAX_ACTIONS, Planned, parse, plan, validate_actions

EMAIL = {"type": "send_email", "template_id": "a"}


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("document", "pointer", "words"),
    [
        ({"type": "fly"}, "/type", "not an action"),
        ({"type": 5}, "/type", "not an action"),
        ({}, "/type", "what kind"),
        ("send_email", "", "object"),
        (None, "", "object"),
        ({"type": "send_email"}, "/template_id", "needed"),
        ({"type": "send_email", "template_id": ""}, "/template_id", "needed"),
        ({"type": "send_email", "template_id": 5}, "/template_id", "text"),
        ({"type": "send_email", "template_id": "a/b"}, "/template_id", ""),
        ({**EMAIL, "subject": "x"}, "/subject", "not a field"),
        ({**EMAIL, "delay_minutes": -1}, "/delay_minutes", "0 to 525,600"),
        ({**EMAIL, "delay_minutes": 525_601}, "/delay_minutes", "0 to 525,600"),
        ({**EMAIL, "delay_minutes": "5"}, "/delay_minutes", "number"),
        ({**EMAIL, "delay_minutes": float("nan")}, "/delay_minutes", ""),
        ({**EMAIL, "on_failure": "explode"}, "/on_failure", "stop"),
        ({"type": "add_to_segment", "segment": "no blanks"}, "/segment", ""),
        ({"type": "create_task", "title": ""}, "/title", "needed"),
        ({"type": "create_task", "title": "{{ x"}, "/title", "cannot be read"),
        ({"type": "create_task", "title": "x", "due_in_hours": 9000}, "/due_in_hours", "0 to 8,760"),
        ({"type": "emit_event", "name": "Big Event"}, "/name", "lower-case"),
        ({"type": "emit_event", "name": "a", "data": {"x": ["{% if"]}}, "", "cannot be read"),
        ({"type": "emit_event", "name": "a", "data": {"x": nested(20)}}, "", "nested"),
        ({"type": "emit_event", "name": "a", "data": {"x": list(range(300))}}, "", "too many"),
        ({"type": "update_customer_data"}, "", "Nothing would change"),
        ({"type": "update_customer_data", "set": {"lifetime_value": 5}}, "", "lifetime_value"),
        ({"type": "update_customer_data", "set": {"": 5}}, "", "1 to 100"),
        ({"type": "update_customer_data", "set": {"a": 1}, "unset": ["a"]}, "", "twice"),
        ({"type": "update_customer_data", "increment": {"a": "many"}}, "", "number"),
        ({"type": "update_customer_data", "increment": {"a": True}}, "", "number"),
        ({"type": "update_customer_data", "increment": {"a": 1e16}}, "", "number"),
        ({"type": "webhook", "url": "http://127.0.0.1:80@x/"}, "/url", "password"),
        ({"type": "webhook", "url": "http://0x7f.1/"}, "/url", "disguise"),
        ({"type": "webhook", "url": "ftp://example.com/"}, "/url", "http"),
        ({"type": "webhook", "url": "https://example.com:22/"}, "/url", "ports"),
        ({"type": "webhook", "url": "https://example.com/", "body": "{{"}, "/body", "cannot be read"),
        ({"type": "webhook", "url": "https://example.com/", "secret": "whsec_x"}, "/secret", "not a field"),
    ],
)
def test_a_bad_action_is_refused_at_its_place(document: Any, pointer: str, words: str) -> None:
    """S-152, H-061: JSON pointer and plain words, at save time."""
    problems = validate_actions([EMAIL, document])
    assert list(problems) == [f"/actions/1{pointer}"]
    (problem,) = problems.values()
    assert words in problem.message
    assert "pydantic" not in problem.message.lower()


@pytest.mark.parametrize("documents", [[], None, {}, "x", [EMAIL] * (MAX_ACTIONS + 1)])
def test_a_trigger_has_one_to_twenty_actions(documents: Any) -> None:
    """S-076."""
    assert list(validate_actions(documents)) == ["/actions"]


def test_every_mistake_is_told_at_once() -> None:
    """A person should not have to save ten times."""
    problems = validate_actions([{"type": "send_email", "x": 1, "delay_minutes": -1}, {"type": "fly"}])
    assert set(problems) == {
        "/actions/0/template_id",
        "/actions/0/x",
        "/actions/0/delay_minutes",
        "/actions/1/type",
    }


def test_the_plan_says_what_the_outbox_needs() -> None:
    """S-076: index, type, channel, whether it counts as a message, delay."""
    documents = [EMAIL, {"type": "webhook", "url": "https://example.com/", "delay_minutes": 1.5}, {**SEGMENT}]
    assert plan(documents) == (
        Planned(0, "send_email", "email", True, timedelta(0)),
        Planned(1, "webhook", "webhook", False, timedelta(seconds=90)),
        Planned(2, "add_to_segment", "internal", False, timedelta(0)),
    )


SEGMENT = {"type": "add_to_segment", "segment": "vips"}


def test_an_unknown_action_cannot_be_parsed() -> None:
    """S-152."""
    with pytest.raises(ValueError, match="unknown action: fly"):
        parse({"type": "fly"})
