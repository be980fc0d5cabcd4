"""What the trigger editor is drawn from: kinds out of the registries, known values out of the database.

All of it goes into the page as JSON blocks; the element in the browser has no list of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from django import forms
from django.contrib.auth import get_user_model
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from pydantic.json_schema import models_json_schema

from automation import recipes, wording
from automation.actions.registry import ACTIONS
from automation.admin.conflict import Conflict, conflict
from automation.admin.editor_words import WORDS
from automation.engine.conditions import CONDITIONS
from automation.engine.types import Priority
from automation.models import CatalogueEntry, Template, Trigger
from profiles.behavior.view import ATTRIBUTES
from profiles.models import Segment

MAX_KNOWN: Final = 200  # Values offered of one kind; anything else is typed.
EVENT_LENGTH: Final = 100  # Of a name in an address, as the column has it.
RECIPES_SHOWN: Final = 6
_SAMPLED: Final = 500  # Newest profiles whose traits are offered.
_NOT_SINGLE: Final = frozenset({"traits", "preferences", "event_counts", "behavioral_patterns"})
_NUMBERS: Final = ("_value", "_count", "_score", "_received", "days_")


@cache
def schema() -> dict[str, Any]:
    """JSON Schema of every condition and action, with the extensions that say how its card reads."""
    kinds: dict[str, tuple[Any, ...]] = {
        "conditions": tuple(CONDITIONS.values()),
        "actions": tuple(ACTIONS.values()),
    }
    references, shapes = models_json_schema(
        [(kind, "validation") for listed in kinds.values() for kind in listed]
    )
    names = {kind: reference["$ref"].rpartition("/")[2] for (kind, _), reference in references.items()}
    heading = {kind: getattr(kind, "kind", "") for listed in kinds.values() for kind in listed}
    return {
        "$defs": shapes["$defs"],
        **{
            name: [names[kind] for kind in sorted(listed, key=lambda kind: (heading[kind], kind.label))]
            for name, listed in kinds.items()
        },
    }


def sources() -> dict[str, Any]:
    """Values that were seen, by the name of their source: five queries, none of which counts."""
    entries = CatalogueEntry.objects.order_by("-volume").values_list("name", "volume", "properties")
    known = list(entries[:MAX_KNOWN])
    templates = Template.objects.filter(is_published=True).order_by("name").values_list("key", "name")
    segments = Segment.objects.order_by("name").values_list("key", "name")
    staff = get_user_model().objects.filter(is_staff=True, is_active=True).order_by("username")
    return {
        "event_types": [{"value": name, "seen": volume} for name, volume, _ in known],
        "event_fields": {name: _fields(properties) for name, _, properties in known},
        "attributes": _attributes(),
        "templates": [{"value": key, "label": name} for key, name in templates[:MAX_KNOWN]],
        "segments": [{"value": key, "label": name} for key, name in segments[:MAX_KNOWN]],
        "users": [{"value": name} for name in staff.values_list("username", flat=True)[:MAX_KNOWN]],
    }


def _fields(properties: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
    """Paths of an event's data that hold one value, or a list, with the types they came in."""
    return [
        {"value": path, "types": types}
        for path, counts in sorted(properties.items())
        if (types := [kind for kind in counts if kind != "null"]) != ["object"]
    ]


def _attributes() -> list[dict[str, Any]]:
    """What is known of every customer, and the traits of the newest ones."""
    found = [
        {"value": name, "types": ["number" if _is_number(name) else "text"]}
        for name in ATTRIBUTES
        if name not in _NOT_SINGLE
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT t.key, array_agg(DISTINCT jsonb_typeof(t.value)) FROM"
            " (SELECT traits FROM profiles_profile ORDER BY id DESC LIMIT %s) p, jsonb_each(p.traits) t"
            " GROUP BY t.key ORDER BY t.key LIMIT %s",
            [_SAMPLED, MAX_KNOWN],
        )
        traits = cursor.fetchall()
    words = {"string": "text", "array": "list"}
    return found + [
        {"value": f"traits.{key}", "types": [words.get(kind, kind) for kind in kinds if kind != "null"]}
        for key, kinds in traits
    ]


def _is_number(name: str) -> bool:
    return name.startswith(_NUMBERS[-1]) or name.endswith(_NUMBERS[:-1])


class Editing:
    """Mixed in before ModelAdmin: the editor's data, recipes, and the page of a conflict."""

    class Media:
        css = {"all": ("beckon/editor.css",)}
        js = (
            forms.Script("beckon/trigger-builder.js", type="module"),
            forms.Script("beckon/trigger-preview.js", type="module"),
        )

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """`?recipe=<key>` fills the form that adds a trigger; `?event=<name>` begins it with that event."""
        initial: dict[str, Any] = super().get_changeform_initial_data(request)  # type: ignore[misc]
        key = initial.pop("recipe", "")
        if key in recipes.KEYS:
            document = dict(recipes.recipe(key).trigger)
            document["priority"] = int(Priority[document["priority"].upper()])
            initial |= document
        elif event := initial.pop("event", "")[:EVENT_LENGTH]:
            initial["conditions"] = [{"type": "event_match", "event_type": event}]
        return initial

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        form = context["adminform"].form
        # A form of somebody who may only look has fields too, but draws none of them.
        if obj is None or self.has_change_permission(request, obj):  # type: ignore[attr-defined]
            context["editor"] = self.editor_data(form, obj)
            context["conflict"] = self.conflict(form, obj)
            context["recipes"] = () if obj or form.is_bound else recipes.recipes()[:RECIPES_SHOWN]
            context["chosen_recipe"] = request.GET.get("recipe", "")
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)  # type: ignore[misc]

    def editor_data(self, form: Any, obj: Trigger | None) -> dict[str, Any]:
        """The JSON blocks of the page, and where the preview is asked."""
        problems = {
            pointer: {"message": problem.message, "hint": problem.hint}
            for pointer, problem in form.problems.items()
        }
        return {
            "words": WORDS,
            "schema": schema(),
            "sources": sources(),
            "errors": problems,
            "preview_url": reverse("admin:automation_trigger_preview"),
            "sentence": wording.sentence(obj.document()) if obj is not None else "",
        }

    def conflict(self, form: Any, obj: Trigger | None) -> Conflict | None:
        """What the second of two savers is told."""
        return conflict(obj, form) if obj is not None and form.conflicts_with else None
