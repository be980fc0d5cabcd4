"""Which attributes the conditions of a trigger read, found by asking them."""

from __future__ import annotations

from typing import Any

from automation.engine.definition import TriggerDefinition
from automation.engine.logic import conjunction
from automation.engine.rules import walk
from automation.engine.samples import facts
from automation.engine.types import Facts


class _Recorder(dict[str, Any]):
    """A profile without attributes that remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return default

    def __getitem__(self, key: str) -> Any:
        self.asked.add(key)
        raise KeyError(key)


def attributes_read(definition: TriggerDefinition) -> frozenset[str]:
    """The attributes that the conditions ask for, as far as asking each of them once shows.

    One that is missed costs time only: its reader is told that it is not loaded.
    """
    recorder = _Recorder()
    event = facts("unread")
    asked = Facts(event.event, recorder, recorder, event.now, event.zone)
    for node in walk(definition.conditions):
        for probe in node.probes(""):
            conjunction([probe.check])(
                asked
            )  # Joined, it never raises; only what it asks for is of interest.
    return frozenset(recorder.asked)
