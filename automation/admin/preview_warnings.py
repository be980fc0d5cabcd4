"""Soft findings about a trigger: they do not stop a save, but somebody should know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _

from automation.engine.advice import advice
from automation.engine.definition import TriggerDefinition
from automation.engine.problems import Problem
from automation.models import CatalogueEntry
from profiles.behavior import ATTRIBUTES

PROFILES_SAMPLED = 5_000
FEW = 0.1  # An attribute known for a smaller share is worth a word.
Found = dict[str, dict[str, str]]


def warnings(definition: TriggerDefinition, problems: Mapping[str, Problem]) -> Found:
    """Pointer -> {message, hint}; nothing where there is an error already."""
    found: Found = {}
    said = ((pointer, problem.message, problem.hint) for pointer, problem in advice(definition))
    for pointer, message, hint in (*_unseen_events(definition), *_rare_attributes(definition), *said):
        if pointer not in problems:
            found.setdefault(pointer, {"message": message, "hint": hint})
    return found


def _places(definition: TriggerDefinition) -> Iterator[tuple[str, Any]]:
    def below(pointer: str, node: Any) -> Iterator[tuple[str, Any]]:
        yield pointer, node
        for place, child in node.children():
            yield from below(pointer + place, child)

    for index, node in enumerate(definition.conditions):
        yield from below(f"/conditions/{index}", node)


def _unseen_events(definition: TriggerDefinition) -> Iterator[tuple[str, str, str]]:
    named: dict[str, str] = {}
    for pointer, node in _places(definition):
        for field in ("event_type", "event_name"):
            name = getattr(node, field, None)
            if isinstance(name, str) and name:
                named[f"{pointer}/{field}"] = name
        for index, step in enumerate(getattr(node, "steps", None) or getattr(node, "events", None) or ()):
            name = getattr(step, "event_type", None)
            if isinstance(name, str) and name:
                place = "steps" if hasattr(node, "steps") else "events"
                named[f"{pointer}/{place}/{index}/event_type"] = name
    seen = set(CatalogueEntry.objects.filter(name__in=set(named.values())).values_list("name", flat=True))
    for pointer, name in named.items():
        if name not in seen:
            yield (
                pointer,
                _("No event “%(name)s” was ever received.") % {"name": name},
                _("Check the spelling, or send the first one."),
            )


def _rare_attributes(definition: TriggerDefinition) -> Iterator[tuple[str, str, str]]:
    """Traits that few customers have, from a sample of the newest customers."""
    wanted = {
        f"{pointer}/attribute": node.attribute.removeprefix("traits.")
        for pointer, node in _places(definition)
        if isinstance(getattr(node, "attribute", None), str)
    }
    wanted = {
        pointer: name
        for pointer, name in wanted.items()
        if name not in ATTRIBUTES and "." not in name and "[" not in name
    }
    if not wanted:
        return
    names = sorted(set(wanted.values()))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT n.name, count(*) FILTER (WHERE p.traits ? n.name), count(*)"
            " FROM (SELECT traits FROM profiles_profile ORDER BY id DESC LIMIT %s) p,"
            " unnest(%s::text[]) AS n(name) GROUP BY n.name",
            [PROFILES_SAMPLED, names],
        )
        shares = {name: known / total for name, known, total in cursor.fetchall() if total}
    for pointer, name in wanted.items():
        share = shares.get(name)
        if share is not None and share < FEW:
            yield (
                pointer,
                _("“%(name)s” is known for %(percent)s %% of customers.")
                % {"name": name, "percent": f"{share * 100:.0f}"},
                _("For all others the condition is not met, unless it asks for what is missing."),
            )
