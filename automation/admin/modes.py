"""The five modes of a trigger as a person reads them: a word, and what it means."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from automation.engine.types import Mode

WORDS: Mapping[str, Promise] = {
    Mode.DRAFT.value: _("Draft"),
    Mode.SHADOW.value: _("Shadow"),
    Mode.LIVE.value: _("Live"),
    Mode.PAUSED.value: _("Paused"),
    Mode.ARCHIVED.value: _("Archived"),
}

MEANINGS: Mapping[str, Promise] = {
    Mode.DRAFT.value: _("ignored by the engine."),
    Mode.SHADOW.value: _("judged and recorded on real events; nothing is sent."),
    Mode.LIVE.value: _("it acts on real customers."),
    Mode.PAUSED.value: _("nothing new starts; you are asked what becomes of the deliveries that wait."),
    Mode.ARCHIVED.value: _("hidden and read-only; its history stays."),
}


def choices() -> list[tuple[str, str]]:
    """Value and line of each mode that the mode control offers; archiving is an action of its own."""
    return [
        (mode, f"{word} – {MEANINGS[mode]}") for mode, word in WORDS.items() if mode != Mode.ARCHIVED.value
    ]
