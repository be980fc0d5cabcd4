"""Read-only tables below a record's form: what belongs to it in other tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy

from profiles.masking import hidden, may_see

_NOTHING = gettext_lazy("Nothing yet.")


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell; its text is escaped by the template."""

    text: str
    url: str = ""  # Where the text leads.
    css: str = ""  # Classes from theme.css, such as sign-ok.


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table."""

    cells: Sequence[Cell]
    css: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """One titled table."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Row]
    note: str = ""  # One sentence under the title.
    links: Sequence[Cell] = ()  # "All events of this customer" and the like.
    empty: str | Promise = _NOTHING


class WithParts:
    """Mixed in before ModelAdmin: shows `parts()` below the form."""

    change_form_template: ClassVar[Any] = "admin/beckon/with_parts.html"
    page_title: str | Promise = ""  # Heading of a record's page; empty: Django's.

    def parts(self, request: HttpRequest, obj: Any) -> list[Part]:
        """The tables of one record; none on the page that adds one."""
        return []

    def tools(self, request: HttpRequest, obj: Any) -> list[Cell]:
        """Links at the top of one record's page."""
        return []

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        found = self.parts(request, obj) if obj is not None else []
        context["parts"] = found if may_see(request.user) else [_discreet(part) for part in found]
        context["tools"] = self.tools(request, obj) if obj is not None else []
        if obj is not None and self.page_title:
            context["title"] = self.page_title
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)  # type: ignore[misc]


def _discreet(part: Part) -> Part:
    """The same for those who may not see addresses."""
    rows = [
        replace(row, cells=[replace(cell, text=hidden(cell.text)) for cell in row.cells]) for row in part.rows
    ]
    return replace(part, rows=rows, note=hidden(part.note))


def pretty(value: Any) -> SafeString:
    """JSON for reading, escaped; a dash for nothing."""
    if value in (None, {}, []):
        return format_html("{}", "–")
    return verbatim(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True, default=str))


def verbatim(text: str) -> SafeString:
    """Text as it is, escaped, in a box that scrolls."""
    return format_html('<pre class="json" tabindex="0">{}</pre>', text)
