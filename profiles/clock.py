"""Times as the lists of the admin write them: short, with the whole of it on hover."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString


def short(at: datetime | None) -> str:
    """`25 Nov 04:10` in the viewer's zone, with the year where it is another one; a dash for none."""
    if at is None:
        return "–"
    local = timezone.localtime(at)
    is_now = local.year == timezone.localtime().year
    return date_format(local, "j M H:i" if is_now else "j M Y H:i")


def when(at: datetime | None) -> str | SafeString:
    """The same as an element that tells the second and the zone on hover."""
    if at is None:
        return "–"
    local = timezone.localtime(at)
    whole = date_format(local, "j M Y H:i:s T")
    return format_html('<time datetime="{}" title="{}">{}</time>', local.isoformat(), whole, short(at))
