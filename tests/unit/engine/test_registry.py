"""The plugin registry."""

from __future__ import annotations

import pytest

from automation.engine.conditions.base import Condition, condition
from automation.engine.registry import PluginError, Registry


class Red:
    name = "red"
    label = "Red"


class Unlabelled:
    name = "blue"
    label = ""


@pytest.fixture
def registry() -> Registry[type]:
    return Registry("colour", key=lambda plugin: plugin.name, required=("label",))  # type: ignore[attr-defined]


def test_plugin_is_found_by_key(registry: Registry[type]) -> None:
    """S-117: dispatch is a look-up."""
    assert registry.register(Red) is Red
    assert registry["red"] is Red
    assert registry.get("green") is None
    assert (list(registry), len(registry), "red" in registry) == (["red"], 1, True)


def test_incomplete_plugin_is_refused(registry: Registry[type]) -> None:
    """S-117: at import, with the name of what is missing."""
    with pytest.raises(PluginError, match="colour Unlabelled lacks label"):
        registry.register(Unlabelled)
    assert len(registry) == 0


def test_second_plugin_under_one_key_is_refused(registry: Registry[type]) -> None:
    """S-117: nothing is silently replaced."""
    registry.register(Red)
    with pytest.raises(PluginError, match="'red' is registered twice"):
        registry.register(type("Other", (Red,), {}))
    assert registry["red"] is Red


def test_condition_without_compile_is_refused() -> None:
    """H-032: a condition that cannot be evaluated never gets into the union."""
    with pytest.raises(TypeError, match="lacks compile"):
        condition(type("Empty", (Condition,), {"__annotations__": {}}))
