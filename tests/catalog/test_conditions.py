"""The catalogue of conditions: everything that a plugin file promises."""

from __future__ import annotations

import json
import pkgutil
import string
from typing import Any

import pytest

from automation.engine import conditions
from automation.engine.conditions import CONDITIONS, model_of, node_adapter
from automation.engine.conditions.base import Condition, Example
from automation.engine.definition import TriggerDefinition
from automation.engine.operators import OPERATORS
from automation.engine.rules import compile_trigger
from automation.engine.types import Facts, Mode, Result, Verdict
from automation.engine.validate import validate_conditions

PLUGINS = CONDITIONS.items()
EXAMPLES = [(key, example) for key, plugin in PLUGINS for example in plugin.examples]
SCHEMA = node_adapter.json_schema()

plugins = pytest.mark.parametrize(("key", "plugin"), PLUGINS, ids=[key for key, _ in PLUGINS])
examples = pytest.mark.parametrize(("key", "example"), EXAMPLES, ids=[f"{k}: {e.title}" for k, e in EXAMPLES])


def test_the_types_of_the_source_and_ours_are_there() -> None:
    """S-117..S-127, S-139: nine variants over the source's five types, ours, and the groups."""
    assert set(CONDITIONS) >= {
        "event_match",
        "behavior_pattern.engagement_decline",
        "behavior_pattern.purchase_frequency",
        "behavior_pattern.browsing_intensity",
        "customer_attribute",
        "time_based.time_since_last_email",
        "time_based.day_of_week",
        "time_based.time_of_day",
        "sequence",
        "event_count",
        "absence",
        "segment",
        "date",
        "location",
        "device",
        "season",
        "score",
        "all",
        "any",
        "not",
    }


def test_one_file_per_condition() -> None:
    """S-117: the scan finds each; nothing but the base lies beside them."""
    files = {module.name for module in pkgutil.iter_modules(conditions.__path__)} - {"base"}
    homes = [plugin.__module__.rpartition(".")[2] for _, plugin in PLUGINS]
    assert sorted(homes) == sorted(files)


@plugins
def test_plugin_is_complete(key: str, plugin: type[Condition]) -> None:
    """S-117: label, heading, help, icon, sentence and examples; labels on all fields."""
    for text in (plugin.label, plugin.kind, plugin.help, plugin.icon, plugin.sentence):
        assert text.strip()
    assert plugin.help.endswith((".", ")"))
    assert plugin.__doc__
    assert len(plugin.examples) >= 1
    names = {name for _, name, _, _ in string.Formatter().parse(plugin.sentence) if name}
    assert names <= set(plugin.model_fields)
    tags = {"type", plugin.variant_field}
    assert all(info.title for name, info in plugin.model_fields.items() if name not in tags)


@plugins
def test_leaf_has_examples_of_both_answers(key: str, plugin: type[Condition]) -> None:
    """S-117: an example that holds and one that does not."""
    if key not in ("all", "any", "not"):
        assert {example.verdict for example in plugin.examples} >= {Verdict.MET, Verdict.NOT_MET}


@examples
def test_example_is_valid_and_gets_its_verdict(key: str, example: Example) -> None:
    """S-117..S-128: validated, evaluated, in a trigger as well as alone."""
    nodes, problems = validate_conditions([example.document])
    assert problems == {}
    assert nodes is not None
    assert type(nodes[0]).key() == key
    assert model_of(example.document) is type(nodes[0])
    result = nodes[0].is_met(example.facts)
    assert type(result) is Result
    assert result.verdict is example.verdict
    json.dumps(result.seen, allow_nan=False)
    definition = TriggerDefinition.model_validate(
        {
            "key": "example",
            "name": example.title,
            "type": "lifecycle",
            "priority": 3,
            "conditions": [example.document],
            "actions": [{"type": "x"}],
        }
    )
    trigger = compile_trigger(definition, trigger_id=1, version_id=1, mode=Mode.LIVE)
    assert trigger.full(example.facts).verdict is example.verdict
    assert trigger.cheap(example.facts).verdict in (example.verdict, Verdict.MET)


@examples
def test_example_round_trips_through_json(key: str, example: Example) -> None:
    """S-117: stored, read back, the same; the sentence is made of words."""
    node = node_adapter.validate_python(example.document)
    stored = json.loads(json.dumps(node.model_dump(mode="json"), allow_nan=False))
    again = node_adapter.validate_python(stored)
    assert again == node
    assert again.describe() == node.describe()
    assert node.describe().strip()
    assert "{" not in node.describe()


@plugins
def test_plugin_is_in_the_json_schema(key: str, plugin: type[Condition]) -> None:
    """S-117: with what the editor reads."""
    shape = SCHEMA["$defs"][plugin.__name__]
    assert shape["additionalProperties"] is False
    assert shape["title"] == plugin.label
    for extension in ("x-kind", "x-icon", "x-sentence", "x-help"):
        assert shape[extension]
    assert set(shape["properties"]) == set(plugin.model_fields)
    tag, _, variant = key.partition(".")
    assert shape["properties"]["type"]["const"] == tag
    if variant:
        assert shape["properties"][plugin.variant_field]["const"] == variant


def test_groups_hold_the_same_union() -> None:
    """S-140, H-044: a condition added by a file can stand in a group without another list."""
    union = SCHEMA["discriminator"]["mapping"]
    inner = SCHEMA["$defs"]["All"]["properties"]["conditions"]["items"]["discriminator"]["mapping"]
    assert inner == union
    assert set(union) == {key.partition(".")[0] for key, _ in PLUGINS}


def test_operators_carry_their_label_and_the_kind_of_their_right_side() -> None:
    """S-117, S-139: the editor offers and casts by these."""
    for shape in ("DataCondition", "CustomerAttribute"):
        operator = SCHEMA["$defs"][shape]["properties"]["operator"]
        assert operator["enum"] == list(OPERATORS)
        assert operator["x-labels"]["greater_than"] == "is more than"
        assert operator["x-operands"] == {name: known.operand for name, known in OPERATORS.items()}


@plugins
def test_lookback_is_bounded(key: str, plugin: type[Condition]) -> None:
    """S-127, H-038: at most 1,000 events of named types, a year and a bit at the most."""
    for example in plugin.examples:
        look = node_adapter.validate_python(example.document).lookback()
        if look is not None:
            assert look.events
            assert look.max_events <= 1000
            assert look.window.days <= 366


def _wild_facts() -> list[Facts]:
    wild: list[Any] = [None, [], {}, "x", -1, 10**400, float("nan"), "2025-02-30", [[{}]], True]
    found = []
    for index, value in enumerate(wild):
        base = EXAMPLES[index % len(EXAMPLES)][1].facts
        data = dict.fromkeys(("total_value", "product_id", "items", "cart_id", "total", "is_machine"), value)
        found.append(
            Facts(
                event=base.event.__class__(1, "m", "purchase_completed", 1, base.now, base.now, data, data),
                profile=dict.fromkeys(("total_spent", "traits", "country"), value),
                before={"traits": value},
                now=base.now,
                zone=base.zone,
                history=[base.event.__class__(1, "a", "product_view", 1, base.now, base.now, data)] * 3,
            )
        )
    return found


@examples
def test_example_never_raises_on_wild_data(key: str, example: Example) -> None:
    """H-047: met, not met or broken; never a fault of the code."""
    check = node_adapter.validate_python(example.document).compile()
    for facts in _wild_facts():
        assert check(facts).verdict in Verdict
