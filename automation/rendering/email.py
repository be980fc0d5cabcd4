"""From a template and its variables to subject, HTML and text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import inscriptis
from inscriptis.model.config import ParserConfig
from liquid import BoundTemplate

from automation.rendering import liquid


@dataclass(frozen=True, slots=True)
class Source:
    """A stored template. Two sources are the same when id and time of the last change are."""

    id: int
    updated_at: datetime
    key: str = field(compare=False)
    subject: str = field(compare=False)
    html: str = field(compare=False)
    text: str = field(compare=False)
    is_published: bool = field(default=True, compare=False)


class Rendered(NamedTuple):
    """What the customer will read."""

    subject: str
    html: str
    text: str
    unknown: tuple[str, ...]  # Variables that the template uses and nobody knows.


class _Compiled(NamedTuple):
    subject: BoundTemplate
    html: BoundTemplate
    text: BoundTemplate


def render(source: Source, context: Mapping[str, Any]) -> Rendered:
    """Fill a template. Raises liquid.TemplateError. Without a text of its own, it is taken from the HTML."""
    compiled = _compiled(source)
    subject = liquid.render(compiled.subject, context)
    html = liquid.render(compiled.html, context)
    text = liquid.render(compiled.text, context)
    words = text.text if source.text.strip() else text_of(html.text)
    unknown = dict.fromkeys((*subject.unknown, *html.unknown, *text.unknown))
    return Rendered(subject.text.strip(), html.text, words, tuple(unknown))


def check(subject: str, html: str, text: str) -> dict[str, str]:
    """What cannot be read: field -> words; empty when all is well. For the save of a template."""
    problems = {}
    for name, source in (("subject", subject), ("html", html), ("text", text)):
        try:
            liquid.compile(source, is_html=name == "html")
        except liquid.TemplateError as error:
            problems[name] = str(error)
    return problems


def text_of(html: str) -> str:
    """The text part of a mail that has only HTML; links keep their addresses."""
    if not html.strip():
        return ""
    return inscriptis.get_text(html, _LINKS).strip() + "\n"


@lru_cache(maxsize=256)
def _compiled(source: Source) -> _Compiled:
    return _Compiled(
        liquid.compile(source.subject), liquid.compile(source.html, is_html=True), liquid.compile(source.text)
    )


_LINKS = ParserConfig(display_links=True)
