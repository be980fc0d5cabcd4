"""Every action of the registry: complete, described, documented, and valid by its own examples."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from automation.actions import registry
from automation.actions.base import ACTIONS, Action
from automation.channels.registry import CHANNELS

EXPECTED = {
    "add_to_segment",
    "create_task",
    "emit_event",
    "remove_from_segment",
    "send_email",
    "update_customer_data",
    "webhook",
}
EVERY = pytest.mark.parametrize("kind", registry.ACTIONS.values(), ids=list(registry.ACTIONS))
EXAMPLES = [
    pytest.param(kind, example, id=f"{kind.key()}-{example.title}")
    for kind in registry.ACTIONS.values()
    for example in kind.examples
]


def test_the_actions_of_the_source_article_are_there() -> None:
    """S-147, S-148, S-149, S-150, S-151: each one file, registered."""
    assert set(registry.ACTIONS) == EXPECTED


@EVERY
def test_an_action_lives_in_a_file_of_its_own_name(kind: type[Action]) -> None:
    """S-147: one file adds one action."""
    assert kind.__module__ == f"automation.actions.{kind.key()}"


@EVERY
def test_an_action_has_words_and_bounds(kind: type[Action]) -> None:
    """S-147: schema, sentence, icon; every text and number of it has a limit."""
    assert kind.help.endswith(".")
    schema = kind.model_json_schema()
    assert (schema["title"], schema["x-icon"], schema["x-channel"]) == (kind.label, kind.icon, kind.channel)
    assert schema["additionalProperties"] is False
    for name, field in schema["properties"].items():
        if name == "type":
            continue
        assert field.get("title"), name
        assert _is_bounded(field), name


def _is_bounded(field: dict[str, Any]) -> bool:
    if "anyOf" in field:
        return all(one.get("type") == "null" or _is_bounded(one) for one in field["anyOf"])
    limit = {"string": "maxLength", "number": "maximum", "array": "maxItems", "object": "maxProperties"}
    return "enum" in field or limit[field["type"]] in field


@EVERY
def test_a_channel_of_an_action_exists(kind: type[Action]) -> None:
    """S-157: `internal`, or one of the registry; only messages to customers need an address."""
    assert kind.channel == "internal" or kind.channel in CHANNELS
    if kind.is_message:
        assert CHANNELS[kind.channel].address


@pytest.mark.parametrize(("kind", "example"), EXAMPLES)
def test_an_example_is_valid_and_described(kind: type[Action], example: Any) -> None:
    """S-147: what the documentation shows can be saved."""
    assert registry.validate_actions([example.document]) == {}
    action = registry.parse(example.document)
    assert type(action) is kind
    words = action.describe()
    assert words
    assert "{" not in words.replace("{{", "").replace("}}", "") or kind.key() == "create_task"
    assert not words.endswith(".")


@EVERY
def test_an_action_refuses_fields_it_does_not_know(kind: type[Action]) -> None:
    """S-152: a typing mistake is not silently ignored."""
    document = {**kind.examples[0].document, "no_such_field": 1}
    assert list(registry.validate_actions([document])) == ["/actions/0/no_such_field"]


@EVERY
def test_an_action_may_wait_and_stop(kind: type[Action]) -> None:
    """S-076: own delay and on_failure for every action."""
    action = registry.parse({**kind.examples[0].document, "delay_minutes": 90, "on_failure": "stop"})
    assert action.describe().endswith("after 90 minutes")
    assert set(get_args(kind.model_fields["on_failure"].annotation)) == {"stop", "continue"}


def test_an_incomplete_or_repeated_action_is_refused_at_import() -> None:
    """S-147: a faulty file never starts."""
    from automation.actions.base import action
    from automation.actions.send_email import SendEmail

    with pytest.raises(TypeError, match="registered twice"):
        ACTIONS.register(SendEmail)

    class Silent(Action):
        label = help = icon = sentence = "x"

        type: str = "silent"

    with pytest.raises(TypeError, match="lacks perform"):
        action(Silent)
