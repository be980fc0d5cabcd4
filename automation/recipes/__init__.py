"""The recipes: triggers as files, offered by the editor of an empty trigger and installed by the demo.

`<key>.json` holds one sentence for people and the trigger's document, as TriggerVersion stores it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

_HERE: Final = Path(__file__).parent
KEYS: Final = (
    "cart_recovery",
    "payment_failed",
    "browse_reminder",
    "welcome",
    "win_back",
    "order_thanks",
    "refund_follow_up",
    "milestone",
    "vip",
    "security_notice",
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """One trigger to start from; do not change its document."""

    key: str
    summary: str
    trigger: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.trigger["name"])


@cache
def recipes() -> tuple[Recipe, ...]:
    """All recipes, in the order in which they are shown."""
    return tuple(map(recipe, KEYS))


def recipe(key: str) -> Recipe:
    """One of KEYS."""
    document = json.loads((_HERE / f"{key}.json").read_text(encoding="utf-8"))
    return Recipe(key=key, summary=document["summary"], trigger=document["trigger"])
