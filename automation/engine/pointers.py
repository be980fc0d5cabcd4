"""From a pydantic location to a place in the stored document (RFC 6901), its label and its bounds.

The location of a tagged union contains the tags: walking along the document and the models drops them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from automation.engine.conditions import model_of, variants
from automation.engine.definition import TriggerDefinition
from automation.engine.operators import MISSING
from automation.engine.timing import Delay, Immediate, LocalTime, OptimalPersonal, Within24h

_TIMINGS: dict[str, type[BaseModel]] = {
    "immediate": Immediate,
    "delay": Delay,
    "local_time": LocalTime,
    "optimal_personal": OptimalPersonal,
    "within_24h": Within24h,
}


class Place(NamedTuple):
    """Where an error is."""

    pointer: str
    key: str  # The last name in it.
    label: str
    bounds: dict[str, Any]


def pointer_of(parts: Iterable[str | int]) -> str:
    """An RFC 6901 JSON Pointer; the whole document is the empty text."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def locate(loc: Iterable[str | int], document: Any) -> Place:
    """The place of a pydantic error in a trigger document; every part but the last exists there."""
    value: Any = document
    model: type[BaseModel] | None = TriggerDefinition
    info: FieldInfo | None = None
    tags: list[str] = []
    parts: list[str | int] = []
    for part in loc:
        if tags and part == tags[0]:
            tags.pop(0)
            continue
        if value is MISSING:
            break
        parts.append(part)
        value = _child(value, part)
        if isinstance(part, str):
            info = model.model_fields.get(part) if model is not None else None
            model = _inner(info.annotation) if info is not None else None
        tags = []
        names = [name for name in parts if isinstance(name, str)]
        if names[-1:] == ["timing"] and len(parts) == 1:
            tag = value.get("kind") if isinstance(value, dict) else None
            model, tags = (_TIMINGS.get(tag), [tag]) if isinstance(tag, str) else (None, [])
        elif isinstance(part, int) and names[-1] in ("conditions", "cancel_when"):
            model, tags = model_of(value), _tags(value)
            if names[-1] == "cancel_when":
                tags = ["name"] if isinstance(value, str) else ["node", *tags]
    names = [name for name in parts if isinstance(name, str)]
    key = names[-1] if names else ""
    label = info.title if info is not None and info.title else key.replace("_", " ").capitalize()
    return Place(pointer_of(parts), key, label, dict(_bounds(info)))


def _child(value: Any, part: str | int) -> Any:
    if isinstance(part, str):
        return value.get(part, MISSING) if isinstance(value, dict) else MISSING
    return value[part] if isinstance(value, list) and 0 <= part < len(value) else MISSING


def _tags(node: Any) -> list[str]:
    """The tags that pydantic puts in front of a node's own location."""
    tag = node.get("type") if isinstance(node, dict) else None
    plugins = variants(tag) if isinstance(tag, str) else []
    if not plugins:
        return []
    variant = node.get(plugins[0].variant_field) if len(plugins) > 1 else None
    return [str(tag), variant] if isinstance(variant, str) else [str(tag)]


def _inner(annotation: Any) -> type[BaseModel] | None:
    """The one model inside an annotation such as `list[Model]` or `Model | None`; None when there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = {model for argument in get_args(annotation) if (model := _inner(argument)) is not None}
    return found.pop() if len(found) == 1 else None


def _bounds(info: FieldInfo | None) -> Iterator[tuple[str, Any]]:
    if info is None:
        return
    pending: list[Any] = [*info.metadata, info.annotation]
    while pending:
        one = pending.pop()
        for name in ("ge", "gt", "le", "lt"):
            if (bound := getattr(one, name, None)) is not None and not callable(bound):
                yield name, bound
        pending.extend(getattr(one, "metadata", ()))
        pending.extend(get_args(one))
