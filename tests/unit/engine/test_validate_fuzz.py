"""Mutated documents: never an exception; what is accepted can be evaluated, said and stored."""

from __future__ import annotations

import copy
import json
import random
import re
from typing import Any

import pytest

from automation import wording
from automation.actions.registry import ACTIONS, validate_actions
from automation.engine.conditions import CONDITIONS
from automation.engine.rules import compile_trigger, describe_conditions
from automation.engine.types import Mode, Verdict
from automation.engine.validate import validate_conditions, validate_definition
from tests.unit.engine.documents import LEAVES, example_facts, group, happens, trigger

JARGON = re.compile(r"[{}]|Input should|pydantic|\b(NoneType|dict|str|int|float)\b")
SEEDS = range(20250602, 20250607)
DOCUMENTS, DEFINITIONS = 3000, 1000  # For each seed: 20,000 in all.


def _nested(levels: int) -> Any:
    """Groups in groups, further than anything recursive would like."""
    node: Any = {"type": "event_match", "event_type": "x"}
    for _ in range(levels):
        node = group("all", node)
    return node


ODD: list[Any] = [
    None, True, False, 0, -1, 1.5, 1e15, 1e16, 1e308, 10**400, float("nan"), float("inf"), "", "x", "a\x00",
    "\ud800", "a.b[].c", "..", "2025-02-30", "25:00", [], [[]], [None], {}, {"type": "any"}, {"": {}}, {1: 2},
    {"/~": 1}, b"x", (1,), {1}, object(), "x" * 30_000, ["x"] * 2000,
    _nested(6), _nested(60), "\x7f", "\ud83d", {"\ud800": 1}, {"a\x00": 1}, {"type": []}, {"type": {}}, {"type": None},
    {"type": ["all"]}, -1e15, 1e-320, -0.0, 2**63, "١", "02-30", "12-31", "within", "rose_to", [float("-inf")],
    "equals", "in_list", "changed", "all", "not", "sequence", "event_match", "none", "sum", "after",
]  # fmt: skip


def places(document: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a document."""
    found = [at]
    items = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    for key, item in items:
        found.extend(places(item, (*at, key)))
    return found


def mutate(chance: random.Random, document: Any) -> Any:
    """One change somewhere: another value, a key more, a key less, a wrapping, a copy of another part."""
    place = chance.choice(places(document))
    if not place:
        return chance.choice([document, document, [document], copy.deepcopy(chance.choice(ODD))])
    parent = document
    for key in place[:-1]:
        parent = parent[key]
    key, kind = place[-1], chance.randrange(8)
    if kind == 0:
        del parent[key]
    elif kind == 1 and isinstance(parent[key], dict):
        parent[key][chance.choice(["type", "value", "conditions", "extra", "a/b", "any"])] = chance.choice(
            ODD
        )
    elif kind == 2:
        parent[key] = group(chance.choice(["all", "any", "not"]), copy.deepcopy(parent[key]))
    elif kind == 3 and isinstance(parent, list):
        parent.append(copy.deepcopy(chance.choice(LEAVES)))
    elif kind == 4 and isinstance(parent[key], (int, float)):
        parent[key] = parent[key] * chance.choice([-1, 0, 2, 1e6]) if abs(parent[key]) < 1e200 else 1
    elif kind in (5, 6):
        parent[key] = copy.deepcopy(chance.choice(LEAVES).get(key, parent[key]))
    else:
        parent[key] = copy.deepcopy(chance.choice(ODD))
    return document


def exists(document: Any, pointer: str) -> bool:
    """Whether the pointer leads to something, or names a key that is missing in something."""
    value = document
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    for index, part in enumerate(parts):
        if isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        else:
            return isinstance(value, dict) and index == len(parts) - 1
    return True


def check_problems(document: Any, problems: Any) -> None:
    for pointer, problem in problems.items():
        assert exists(document, pointer), (pointer, problem)
        text = f"{problem.message} {problem.hint}"
        assert problem.message.strip()
        assert not JARGON.search(text), text


def check_stored(document: Any) -> str:
    """Its JSON, which PostgreSQL takes: no NaN, no NUL, nothing that is not UTF-8; as large as it was."""
    text = json.dumps(document, allow_nan=False, ensure_ascii=False)
    assert "\\u0000" not in text
    text.encode()
    return text


def check_accepted(document: Any, nodes: Any, all_facts: list[Any]) -> None:
    text = check_stored(document)
    assert validate_conditions(json.loads(text))[0] == nodes
    assert describe_conditions(nodes)["when"]
    definition, problems = validate_definition(trigger(*document, type="lifecycle"))
    assert definition is not None, problems
    compiled = compile_trigger(definition, trigger_id=1, version_id=1, mode=Mode.LIVE)
    for facts in all_facts:
        verdict = compiled.full(facts).verdict
        assert verdict in Verdict
        assert len(json.dumps(compiled.trace(facts), allow_nan=False)) <= 4096
        assert "could not be checked" not in compiled.full(facts).reason


@pytest.mark.parametrize("seed", SEEDS)
def test_mutated_documents_are_judged_without_an_exception(seed: int) -> None:
    """S-117, H-032, H-033, H-034, H-041, H-043, H-047: 15,000 mutations of conditions, fixed seeds."""
    chance = random.Random(seed)
    all_facts = example_facts()
    accepted = refused = 0
    for _ in range(DOCUMENTS):
        nodes = [copy.deepcopy(chance.choice(LEAVES)) for _ in range(chance.randint(1, 3))]
        document: Any = [happens("page_view"), group("any", *nodes)] if chance.random() < 0.7 else nodes
        for _ in range(chance.choice([1, 1, 2, 3])):
            document = mutate(chance, document)
        valid, problems = validate_conditions(document)
        assert (valid is None) is bool(problems)
        if valid is None:
            refused += 1
            wrapped = (
                document
                if isinstance(document, dict) and "conditions" in document
                else {"conditions": document}
            )
            check_problems(wrapped, problems)
        else:
            accepted += 1
            listed = document["conditions"] if isinstance(document, dict) else document
            check_accepted(listed, valid, chance.sample(all_facts, 2))
    assert accepted > DOCUMENTS * 0.15
    assert refused > DOCUMENTS * 0.3


@pytest.mark.parametrize("seed", SEEDS)
def test_mutated_definitions_are_judged_without_an_exception(seed: int) -> None:
    """S-117, H-047: the other fields of a trigger, its actions too; 5,000 mutations, fixed seeds."""
    chance = random.Random(seed)
    examples = [example.document for plugin in ACTIONS.values() for example in plugin.examples]
    refused = accepted = 0
    for _ in range(DEFINITIONS):
        whole = trigger(
            happens("page_view"),
            timing={"kind": "delay", "minutes": 5},
            cancel_when=["buy", copy.deepcopy(LEAVES[0])],
            goal={"event_name": "buy", "data_conditions": [{"field": "a", "operator": "exists"}]},
            max_per_period={"count": 1, "hours": 5},
            valid_from="2025-01-01",
            cooldown_minutes=5,
            actions=copy.deepcopy(chance.sample(examples, 2)),
        )
        document = mutate(chance, whole)
        definition, problems = validate_definition(document)
        assert (definition is None) is bool(problems)
        check_problems(document, problems)
        listed = document.get("actions") if isinstance(document, dict) else None
        wrong = validate_actions(listed) if isinstance(listed, list) else {"": None}
        if isinstance(listed, list):
            check_problems(document, wrong)
        if definition is None or wrong:
            refused += 1
            continue
        accepted += 1
        check_stored(document)
        assert wording.of_definition(definition).endswith(".")
    assert accepted > DEFINITIONS * 0.1
    assert refused > DEFINITIONS * 0.3


@pytest.mark.parametrize("levels", [6, 24, 300, 20_000])
def test_groups_in_groups_in_groups_are_refused_without_an_exception(levels: int) -> None:
    """H-034: however deep; the pointer names a place, not hundreds."""
    document = {"conditions": [_nested(levels)]}
    nodes, problems = validate_conditions(document)
    assert nodes is None
    check_problems(document, problems)
    assert all(len(pointer) < 400 for pointer in problems)


def test_the_corpus_has_every_condition() -> None:
    """S-117: nothing that is registered escapes the fuzz."""
    tags = {leaf["type"] for leaf in LEAVES} | {"all", "any", "not"}
    assert tags == {key.partition(".")[0] for key in CONDITIONS}
