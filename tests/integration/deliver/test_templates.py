"""Templates that fail, and data that tries to become something else (R-042, R-048, H-062)."""

from __future__ import annotations

from typing import Any

import pytest

from automation.models import Template
from automation.pipeline.deliver import deliver_batch
from tests.integration.deliver.factory import (
    EMAIL,
    deliveries,
    make_event,
    make_execution,
    make_profile,
    make_template,
    make_trigger,
)
from tests.integration.deliver.mailserver import Ledger

pytestmark = pytest.mark.django_db(transaction=True)


def attempt(**event: Any) -> Any:
    profile = make_profile()
    execution = make_execution(make_trigger([EMAIL]), profile, event=make_event(profile, **event))
    assert deliver_batch("medium", worker="test", limit=10) == 1
    return deliveries(execution)[0]


@pytest.mark.parametrize("value", ["x\r\nBcc: eve@example.com", "x\nBcc: eve@example.com", "x\rX-Evil: 1"])
def test_a_line_break_in_the_subject_is_never_sent_and_never_tried_again(smtp: Ledger, value: str) -> None:
    """R-048, H-062: header injection ends the delivery."""
    make_template(subject="About {{ event.title }}")
    row = attempt(data={"title": value})
    assert smtp.messages == []
    assert (row.status, row.reason, row.error_class) == ("failed", "template_error", "header_injection")


def test_html_in_data_is_shown_not_run(smtp: Ledger) -> None:
    """H-062: escaped in HTML, as it is in text and subject."""
    make_template(subject="{{ event.title }}", html="<p>{{ event.title }}</p>", text="{{ event.title }}")
    attempt(data={"title": "<script>alert('1')</script> & co"})
    (mail,) = smtp.messages
    assert mail["Subject"] == "<script>alert('1')</script> & co"
    html = mail.get_body(("html",)).get_content()  # type: ignore[attr-defined]
    assert html.strip() == "<p>&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; co</p>"
    text = mail.get_body(("plain",)).get_content()  # type: ignore[attr-defined]
    assert text.strip() == "<script>alert('1')</script> & co"


def test_a_link_from_an_event_cannot_run_script(smtp: Ledger) -> None:
    """H-062: javascript: becomes empty."""
    make_template(html="<a href='{{ cart_url }}'>a</a><a href='{{ event.cart_recovery_url }}'>b</a>")
    attempt(data={"cart_recovery_url": "javascript:alert(1)"})
    html = smtp.messages[0].get_body(("html",)).get_content()  # type: ignore[attr-defined]
    assert html.strip() == "<a href=''>a</a><a href=''>b</a>"


@pytest.mark.parametrize(
    "fields",
    [
        {"subject": "{{ event.title | divided_by: 0 }}"},
        {"html": "{% for i in (1..100000) %}x{% endfor %}"},
        {"text": "{% if %}"},
        {"is_published": False},
    ],
)
def test_a_template_that_cannot_be_filled_ends_the_delivery(smtp: Ledger, fields: dict[str, Any]) -> None:
    """R-042, S-153: permanent, with the reason template_error."""
    make_template(**fields)
    row = attempt()
    assert (row.status, row.reason) == ("failed", "template_error")
    assert row.error
    assert smtp.messages == []


def test_a_template_that_is_gone_ends_the_delivery(smtp: Ledger) -> None:
    """S-153."""
    row = attempt()
    assert (row.status, row.reason, row.error_class) == ("failed", "template_error", "template_missing")


def test_an_edited_template_is_used_at_once(smtp: Ledger) -> None:
    """Compiled templates are kept by id and time of change."""
    make_template(subject="One")
    attempt()
    Template.objects.get().delete()
    make_template(subject="Two")
    attempt()
    template = Template.objects.get()
    template.subject = "Three"
    template.save()
    attempt()
    assert [mail["Subject"] for mail in smtp.messages] == ["One", "Two", "Three"]


def test_unknown_variables_render_empty_and_are_reported(smtp: Ledger) -> None:
    """R-042: the explicit policy."""
    make_template(subject="Hi {{ nickname }}!", html="<p>{{ event.colour }}{{ size | default: 'M' }}</p>")
    row = attempt()
    assert smtp.messages[0]["Subject"] == "Hi !"
    assert row.result["unknown_variables"] == ["nickname", "event.colour"]


@pytest.mark.parametrize(
    "address", ["no-at-sign", "a@b@c.com", "a b@example.com", "a@example.com,b@example.com"]
)
def test_an_address_that_is_none_is_not_written_to(smtp: Ledger, address: str) -> None:
    """R-048, H-065: one valid recipient."""
    make_template()
    execution = make_execution(make_trigger([EMAIL]), make_profile(email=address))
    deliver_batch("medium", worker="test", limit=10)
    (row,) = deliveries(execution)
    assert (row.status, row.error_class) == ("failed", "invalid_address")
    assert smtp.messages == []


def test_a_sender_name_is_encoded(smtp: Ledger) -> None:
    """R-048: RFC 2047."""
    make_template()
    make_execution(make_trigger([{**EMAIL, "from_name": "Zoë, Shop"}]))
    deliver_batch("medium", worker="test", limit=10)
    address = smtp.messages[0]["From"].addresses[0]  # type: ignore[union-attr]
    assert (address.display_name, address.addr_spec) == ("Zoë, Shop", "hello@example.com")
