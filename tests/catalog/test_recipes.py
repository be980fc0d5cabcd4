"""The recipes that the editor offers: each is a document that could go live as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from automation import wording
from automation.actions import registry
from automation.engine.rules import compile_trigger
from automation.engine.samples import facts
from automation.engine.types import Mode, Verdict
from automation.engine.validate import validate_definition
from automation.recipes import KEYS, Recipe, recipes

every = pytest.mark.parametrize("recipe", recipes(), ids=KEYS)


def test_each_file_is_a_recipe() -> None:
    """None lies there unseen."""
    import automation.recipes as home

    assert {path.stem for path in Path(home.__file__).parent.glob("*.json")} == set(KEYS)
    assert len({recipe.name for recipe in recipes()}) == len(KEYS)
    assert {"cart_recovery", "payment_failed", "browse_reminder"} <= set(KEYS)


@every
def test_a_recipe_is_valid_and_can_be_said(recipe: Recipe) -> None:
    """By the validator that the editor uses, actions included."""
    definition, problems = validate_definition(recipe.trigger)
    assert problems == {}
    assert registry.validate_actions(recipe.trigger["actions"]) == {}
    assert recipe.summary.endswith(".")
    assert wording.sentence(recipe.trigger).startswith("When ")
    assert definition is not None
    assert definition.key == recipe.key
    assert json.loads(json.dumps(recipe.trigger)) == recipe.trigger


@every
def test_a_recipe_can_be_judged(recipe: Recipe) -> None:
    """Its event, with none of the data that it asks for, is not met; nothing in it is broken."""
    definition, _ = validate_definition(recipe.trigger)
    assert definition is not None
    trigger = compile_trigger(definition, trigger_id=1, version_id=1, mode=Mode.SHADOW)
    name = recipe.trigger["conditions"][0]["event_type"]
    assert trigger.full(facts(name, {})).verdict is not Verdict.BROKEN
    assert trigger.full(facts("nothing_of_the_kind", {})).verdict is Verdict.NOT_MET
