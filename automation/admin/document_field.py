"""A form field for a piece of the stored document: indented JSON that comes back as it was typed."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

MAX_TEXT = 200_000
KEY_ORDER = (
    "type",
    "kind",
    "pattern_type",
    "time_condition_type",
    "event_type",
    "event_name",
    "attribute",
    "field",
    "over",
    "operator",
    "value",
    "template_id",
    "segment",
    "url",
    "data_conditions",
    "conditions",
)


class DocumentField(forms.JSONField):
    """A piece of the stored document as indented JSON; says where it cannot be read."""

    def __init__(self, *, rows: int = 4, **kwargs: Any) -> None:
        widget = forms.Textarea(attrs={"class": "beckon-json", "rows": rows, "spellcheck": "false"})
        super().__init__(widget=widget, **kwargs)

    def to_python(self, value: Any) -> Any:
        text = value if isinstance(value, str) else ""
        if not text.strip():
            return None
        if len(text) > MAX_TEXT:
            raise ValidationError(_("This is too long."))
        try:
            return msgspec.json.decode(text.encode("utf-8", "surrogatepass"))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValidationError(_where(text)) from error

    def prepare_value(self, value: Any) -> str:
        if isinstance(value, str):
            return value
        return "" if value in (None, {}, []) else json.dumps(_ordered(value), indent=2, ensure_ascii=False)

    def bound_data(self, data: Any, initial: Any) -> Any:
        return data  # Whatever was typed comes back as it was typed.

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool((self.to_python(data) or None) != (initial or None))
        except ValidationError:
            return True


def _ordered(value: Any) -> Any:
    """The same, its keys in the order in which one says them; PostgreSQL does not keep theirs."""
    if isinstance(value, list):
        return [_ordered(item) for item in value]
    if not isinstance(value, dict):
        return value
    ranks = {key: rank for rank, key in enumerate(KEY_ORDER)}
    return {
        key: _ordered(value[key]) for key in sorted(value, key=lambda key: (ranks.get(key, len(ranks)), key))
    }


def _where(text: str) -> str:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return _("This is not JSON yet: line %(line)s, column %(column)s: %(problem)s.") % {
            "line": error.lineno,
            "column": error.colno,
            "problem": error.msg,
        }
    except RecursionError:
        return _("This is nested too deeply.")
    return _("This is not JSON: it holds NaN, Infinity or a broken character.")
