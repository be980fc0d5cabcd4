"""Soft findings about a trigger: they do not stop a save, but somebody should know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _
from pydantic import BaseModel

from automation.admin import template_warnings
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
    said = (
        *_unseen_events(definition),
        *_rare_attributes(definition),
        *template_warnings.warnings(definition),
        *((pointer, problem.message, problem.hint) for pointer, problem in advice(definition)),
    )
    found: Found = {}
    for pointer, message, hint in said:
        if pointer not in problems:
            found.setdefault(pointer, {"message": message, "hint": hint})
    return found


def _named(value: Any, source: str, pointer: str) -> Iterator[tuple[str, str]]:
    """Pointers and values of what was filled in with names that come from `source` (x-source of the schema)."""
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _named(item, source, f"{pointer}/{index}")
    elif isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            item, extra, place = getattr(value, name), field.json_schema_extra, f"{pointer}/{name}"
            if name in value.model_fields_set and isinstance(extra, dict) and extra.get("x-source") == source:
                several = item if isinstance(item, (list, tuple)) else [item]
                yield from ((place, one) for one in several if isinstance(one, str) and one)
            else:
                yield from _named(item, source, place)


def _unseen_events(definition: TriggerDefinition) -> Iterator[tuple[str, str, str]]:
    named = dict(_named(definition.conditions, "event_types", "/conditions"))
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
    named = _named(definition.conditions, "attributes", "/conditions")
    wanted = {
        pointer: name
        for pointer, path in named
        if (name := path.removeprefix("traits.")) not in ATTRIBUTES and name.isidentifier()
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
