"""Variables of a chosen template that messages of this trigger would not have."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from django.utils.translation import gettext as _

from automation.engine.definition import TriggerDefinition
from automation.engine.rules import entry_names
from automation.engine.types import Event
from automation.models import CatalogueEntry, Template
from automation.rendering import context, liquid
from profiles.behavior import empty

_SAID = frozenset({"name", "occurred_at", "data", "type"})  # Of every event.


def warnings(definition: TriggerDefinition) -> Iterator[tuple[str, str, str]]:
    """(pointer, message, hint) for each e-mail whose template names what no message would hold."""
    chosen = {
        f"/actions/{index}/template_id": action["template_id"]
        for index, action in enumerate(definition.actions)
        if isinstance(action.get("template_id"), str)
    }
    if not chosen:
        return
    events = entry_names(definition.conditions)
    templates = {one.key: one for one in Template.objects.filter(key__in=chosen.values())}
    carried = {
        path
        for properties in CatalogueEntry.objects.filter(name__in=events).values_list("properties", flat=True)
        for path in properties
    }
    known = _variables(events)
    for pointer, key in chosen.items():
        template = templates.get(key)
        if template is None:
            continue
        missing = [path for path in _paths(template) if _is_missing(path, known, carried, events)]
        if missing:
            yield (
                pointer,
                _("The template names %(names)s, which these events do not bring.")
                % {"names": ", ".join(missing[:5])},
                _("It stays empty: give it a fallback (| default), or choose another template."),
            )


def _paths(template: Template) -> list[str]:
    """The variables that a template takes from outside, as dotted paths."""
    found: dict[str, None] = {}
    for source in (template.subject, template.html, template.text):
        try:
            found |= dict.fromkeys(liquid.compile(source).global_variable_paths())
        except liquid.TemplateError:
            continue  # Saving the template says so; there is nothing to compare.
    return sorted(found)


def _variables(events: frozenset[str]) -> frozenset[str]:
    """The variables that every message on one of these events has."""
    now = datetime.now(UTC)
    facts = context.TriggerFacts(0, "", "", "", now)
    names: set[str] = set()
    for name in events or {""}:
        event = Event(0, "", name, 0, now, now)
        names |= context.build(event=event, profile=empty(), customer_id="", trigger=facts, now=now).keys()
    return frozenset(names)


def _is_missing(path: str, known: frozenset[str], carried: set[str], events: frozenset[str]) -> bool:
    root, _, rest = path.partition(".")
    if root.partition("[")[0] not in known:
        return True
    if root != "event" or not rest or not carried or "*" in events:
        return False
    field = rest.removeprefix("data.").partition(".")[0].partition("[")[0]
    return field not in _SAID and field not in carried
