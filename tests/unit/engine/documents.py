"""Ready-made documents and Hypothesis strategies for the tests of the rule engine."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from automation.engine.conditions import CONDITIONS
from automation.engine.definition import TriggerDefinition
from automation.engine.rules import CompiledTrigger, compile_trigger
from automation.engine.types import Mode


def row(field: str, operator: str, value: Any = None, **more: Any) -> dict[str, Any]:
    """One row of data_conditions."""
    document = {"field": field, "operator": operator, **more}
    return document if value is None else document | {"value": value}


def happens(name: str, *rows: dict[str, Any]) -> dict[str, Any]:
    """An event_match."""
    return {"type": "event_match", "event_type": name, "data_conditions": list(rows)}


def attribute(name: str, operator: str, value: Any = None) -> dict[str, Any]:
    """A customer_attribute."""
    document = {"type": "customer_attribute", "attribute": name, "operator": operator}
    return document if value is None else document | {"value": value}


def group(kind: str, *nodes: dict[str, Any]) -> dict[str, Any]:
    """A group."""
    return {"type": kind, "conditions": list(nodes)}


def trigger(*nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A whole trigger document."""
    return {
        "key": "cart",
        "name": "Cart",
        "type": "behavioral",
        "priority": "high",
        "conditions": list(nodes),
        "actions": [{"type": "send_email", "template": "cart"}],
        **more,
    }


def compiled(
    *nodes: dict[str, Any], trigger_id: int = 1, mode: Mode = Mode.LIVE, **more: Any
) -> CompiledTrigger:
    """The compiled form of such a document."""
    definition = TriggerDefinition.model_validate(trigger(*nodes, **more))
    return compile_trigger(definition, trigger_id=trigger_id, version_id=trigger_id * 10, mode=mode)


def leaves() -> list[dict[str, Any]]:
    """The example documents of all conditions but the groups."""
    return [
        example.document
        for key, plugin in CONDITIONS.items()
        if key not in ("all", "any", "not")
        for example in plugin.examples
    ]


# Values as they come out of JSON, with those that invite mistakes more often than chance would.
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, 5, 5.0, 0.1, 0.3, -0.0, 2**53, 2**53 + 1, 1e23, 1e15]),
    st.sampled_from(["5", "5.0", "0.3", "05", "", "none", "true", "Vip", "vip", "NaN", "1e5", " 5"]),
    st.sampled_from(["2025-06-01", "2025-06-01T00:00:00Z", "2025-06-01T02:00:00+02:00", "2025-02-30"]),
    st.integers(-(10**18), 10**18),
    st.floats(),
    st.text(max_size=6),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=5,
)


def example_facts() -> list[Any]:
    """The facts of all examples."""
    return [example.facts for plugin in CONDITIONS.values() for example in plugin.examples]


BROKEN_LEAF = happens("page_view", row("broken", "greater_than", [1]))
LEAVES = [
    *leaves(),
    BROKEN_LEAF,
    happens("page_view"),
    {"type": "event_match", "data_conditions": [row("x", "exists")]},
]
leaf_documents = st.sampled_from(LEAVES)
node_documents = st.recursive(
    leaf_documents,
    lambda inner: st.builds(
        lambda kind, nodes: group(kind, *nodes),
        st.sampled_from(["all", "any", "not"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=6,
)
condition_lists = st.lists(node_documents, min_size=1, max_size=4)
facts_of_examples = st.sampled_from(example_facts())
