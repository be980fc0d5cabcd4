"""The five types of a trigger as a person reads them: a word, what it means, and how it begins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from automation.engine.types import TriggerType
from automation.models import Trigger

WORDS: Mapping[str, Promise] = {
    TriggerType.BEHAVIORAL.value: _("Behavioural"),
    TriggerType.TRANSACTIONAL.value: _("Transactional"),
    TriggerType.LIFECYCLE.value: _("Lifecycle"),
    TriggerType.CONTEXTUAL.value: _("Contextual"),
    TriggerType.PREDICTIVE.value: _("Predictive"),
}

MEANINGS: Mapping[str, Promise] = {
    TriggerType.BEHAVIORAL.value: _("answers what a customer just did; begins with an event."),
    TriggerType.TRANSACTIONAL.value: _("belongs to an order or an account; begins with an event."),
    TriggerType.LIFECYCLE.value: _("a stage, a milestone or a date of the relationship."),
    TriggerType.CONTEXTUAL.value: _("place, device, season or time of day."),
    TriggerType.PREDICTIVE.value: _("a score is high or low, or has just crossed a line."),
}


def choices() -> list[tuple[str, str]]:
    """Value and line of each type, for the form."""
    return [(kind, f"{word} – {MEANINGS[kind]}") for kind, word in WORDS.items()]


def badge(trigger: Trigger) -> SafeString:
    """The word in its colour (`.kind-behavioral` …), with the meaning on hover."""
    return format_html(
        '<span class="kind kind-{}" title="{}">{}</span>',
        trigger.type,
        MEANINGS[trigger.type],
        WORDS[trigger.type],
    )


class TypeFilter(admin.SimpleListFilter):
    """By type, in words."""

    title = _("type")
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind, str(word)) for kind, word in WORDS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Trigger]) -> QuerySet[Trigger]:
        return queryset.filter(type=self.value()) if self.value() in WORDS else queryset
