"""Addresses of admin pages, and times as the admin writes them."""

from __future__ import annotations

from datetime import datetime
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
