"""Use a plugin file from the documentation as if it lay beside the real ones; run in a process of its own.

`python -m tests.architecture.documented_plugin PACKAGE FOLDER` prints what came of its examples as JSON.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from datetime import UTC, datetime
from types import ModuleType, SimpleNamespace
from typing import Any
from uuid import UUID

CONDITIONS, ACTIONS = "automation.engine.conditions", "automation.actions"


def scanned(package: str, folder: str) -> ModuleType:
    """Import a package of plugins whose scan finds the files of `folder` too."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    module.__path__.append(folder)
    sys.modules[package] = module
    spec.loader.exec_module(module)
    return module


def of_folder(plugins: list[Any], folder: str) -> Any:
    """The plugin whose file lies in `folder`."""
    return next(p for p in plugins if str(sys.modules[p.__module__].__file__).startswith(folder))


def try_condition(folder: str) -> list[Any]:
    """Validate, compile, ask, trace and describe each example; then look for it in the reference."""
    conditions = scanned(CONDITIONS, folder)
    import django

    django.setup()
    from analytics.reference import language
    from automation.engine.rules import compile_trigger
    from automation.engine.types import Mode
    from automation.engine.validate import validate_definition

    plugin = of_folder(conditions.CONDITIONS.values(), folder)
    told = []
    for example in plugin.examples:
        document = {
            "key": "t",
            "name": "T",
            "type": "lifecycle",
            "priority": "low",
            "conditions": [example.document],
            "actions": [{"type": "add_to_segment", "segment": "s"}],
        }
        definition, problems = validate_definition(document)
        assert definition is not None, problems
        trigger = compile_trigger(definition, trigger_id=1, version_id=1, mode=Mode.LIVE)
        verdict = trigger.full(example.facts).verdict
        assert verdict is example.verdict
        assert trigger.trace(example.facts)["result"] == verdict.name.lower()
        told.append([verdict.name, definition.conditions[0].describe()])
    assert f"### {plugin.label}" in language.conditions()
    return told


def try_action(folder: str) -> list[Any]:
    """Validate, perform and describe the first example; the channel notes what it is given."""
    scanned(ACTIONS, folder)
    import django

    django.setup()
    from automation.actions import registry
    from automation.channels.base import Receipt

    plugin = of_folder(registry.ACTIONS.values(), folder)
    document = plugin.examples[0].document
    assert registry.validate_actions([document]) == {}
    action, calls = registry.parse(document), []

    def send(message: Any) -> Receipt:
        calls.append(message)
        return Receipt("provider-1", {"status": 200})

    context = {"first_name": "Ada", "cart_value": 80}
    job: Any = SimpleNamespace(delivery_id=UUID(int=1), context=context, send=send, now=datetime.now(UTC))
    outcome = action.perform(job)
    return [calls[0].url, json.loads(calls[0].body), outcome.provider_id, action.describe()]


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    chosen = try_condition if sys.argv[1] == CONDITIONS else try_action
    print(json.dumps(chosen(sys.argv[2])))
