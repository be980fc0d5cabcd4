"""All condition types, found by scanning this package; `Node` is their discriminated union.

A new file here is a new condition: there is no list to extend. Groups hold nodes of the same union.
"""

from __future__ import annotations

from collections import defaultdict
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, TypeAdapter

from automation.engine.conditions.base import CONDITIONS, Condition

__all__ = ["CONDITIONS", "Condition", "Node", "model_of", "node_adapter", "variants"]

CONDITIONS.scan(__name__)


def _by_tag() -> dict[str, list[type[Condition]]]:
    tags: dict[str, list[type[Condition]]] = defaultdict(list)
    for key, plugin in CONDITIONS.items():
        tags[key.partition(".")[0]].append(plugin)
    return dict(tags)


_TAGS = _by_tag()


def _union() -> Any:
    """`type` tells the kinds apart, and within one kind its variant field."""
    members = []
    for plugins in _TAGS.values():
        member: Any = reduce(or_, plugins)
        if len(plugins) > 1:
            member = Annotated[member, Field(discriminator=plugins[0].variant_field)]
        members.append(member)
    union = members[0]
    for member in members[1:]:
        union = union | member
    return Annotated[union, Field(discriminator="type")]


if TYPE_CHECKING:
    Node = Condition
else:
    Node = _union()
    for _plugin in CONDITIONS.values():
        _plugin.model_rebuild(_types_namespace={"Node": Node})

node_adapter: TypeAdapter[Condition] = TypeAdapter(Node)


def variants(tag: str) -> list[type[Condition]]:
    """The plugins of one `type`: one, or one per variant; none when the type is unknown."""
    return list(_TAGS.get(tag, ()))


def model_of(document: Any) -> type[Condition] | None:
    """The plugin that a stored node belongs to, or None."""
    tag = document.get("type") if isinstance(document, dict) else None
    plugins = _TAGS.get(tag, []) if isinstance(tag, str) else []
    if len(plugins) == 1 and not plugins[0].variant_field:
        return plugins[0]
    variant = document.get(plugins[0].variant_field) if plugins else None
    return CONDITIONS.get(f"{tag}.{variant}") if isinstance(variant, str) else None
