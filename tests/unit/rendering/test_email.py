"""A template filled: subject, HTML and text."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from automation.rendering.email import Source, check, render, text_of

NOW = datetime(2025, 1, 1, tzinfo=UTC)


def source(**fields: str) -> Source:
    values = {"subject": "Hi {{ first_name }}", "html": "<p>Hi {{ first_name }}</p>", "text": "", **fields}
    return Source(len(repr(fields)), NOW, "k", values["subject"], values["html"], values["text"])


def test_the_text_is_derived_from_the_html_when_there_is_none() -> None:
    """S-153: with the addresses of links."""
    html = "<h1>Hi {{ first_name }}</h1><p>See <a href='https://shop.test/a'>the cart</a></p>"
    rendered = render(source(html=html), {"first_name": "Al & Bo"})
    assert rendered.subject == "Hi Al & Bo"
    assert "Hi Al &amp; Bo" in rendered.html
    assert "Hi Al & Bo" in rendered.text
    assert "[the cart](https://shop.test/a)" in rendered.text


def test_a_text_of_its_own_is_kept() -> None:
    """S-153: and not escaped."""
    rendered = render(source(text="Dear {{ first_name }}"), {"first_name": "<Al>"})
    assert rendered.text == "Dear <Al>"


def test_blanks_around_a_subject_are_dropped() -> None:
    """A conditional may leave a line break at its ends; one inside is refused later (R-048)."""
    assert render(source(subject="\n {% if x %}{% endif %}Hi\n"), {}).subject == "Hi"


@pytest.mark.parametrize("html", ["", "   ", "<p></p>", "<!doctype html><html><body></body></html>", "<br>"])
def test_empty_html_gives_empty_text(html: str) -> None:
    """No error from the parser of HTML."""
    assert text_of(html).strip() == ""


def test_mistakes_are_told_per_field() -> None:
    """For the save of a template."""
    assert check("ok {{ a }}", "<p>{% if %}</p>", "{{ a | nope").keys() == {"html", "text"}
    assert check("ok", "ok", "ok") == {}
