"""Addresses of admin pages, and times as the admin writes them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString


def page(model: str, pk: Any) -> str:
    """The page of one record; `model` is `automation.event`."""
    app, _, name = model.partition(".")
    return reverse(f"admin:{app}_{name}_change", args=[pk])


def listing(model: str, **filters: Any) -> str:
    """The list of a model with filters."""
    app, _, name = model.partition(".")
    return f"{reverse(f'admin:{app}_{name}_changelist')}?{urlencode(filters)}"


def anchor(model: str, pk: Any, text: Any) -> SafeString:
    """A link to one record, its text escaped."""
    return format_html('<a href="{}">{}</a>', page(model, pk), text)


def clock(at: datetime | None) -> str:
    """A time to the second in the site's zone; a dash for none."""
    return date_format(timezone.localtime(at), "j M Y H:i:s") if at else "–"


def span(length: timedelta) -> str:
    """A length of time in its largest sensible unit."""
    seconds = max(length.total_seconds(), 0.0)
    if seconds < 1:
        return f"{seconds * 1000:,.0f} ms"
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:,.1f} s"
