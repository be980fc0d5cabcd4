"""The OpenAPI document and its page: complete, valid, and every example really works."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from html.parser import HTMLParser
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from jsonschema import Draft202012Validator

from automation.api import docs, fields
from automation.api.docs import operations
from automation.api.documents import BATCH, EVENT, PROBLEM, RESULT, RESULTS
from automation.api.examples import CART_ABANDONMENT
from tests.integration.api.shops import EVENTS, Shop
from tests.integration.api.test_keys import api_views

pytestmark = pytest.mark.django_db

SAMPLES = [
    pytest.param(path, name, example["value"], id=f"{path} {name}")
    for path, method, operation in operations()
    if method == "post" and "{" not in path
    for name, example in operation["requestBody"]["content"]["application/json"]["examples"].items()
]


def test_the_generator_has_nothing_to_say() -> None:
    """S-007: `manage.py spectacular --validate --fail-on-warn` is clean."""
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=StringIO())


def test_the_document_is_served_to_anybody(client: Client) -> None:
    answer = client.get("/api/v1/openapi.json")
    assert answer.status_code == 200
    assert json.loads(answer.content)["openapi"].startswith("3.1")


def test_every_address_of_the_router_is_in_the_document() -> None:
    """What is left out are the browser library's one-letter forms."""
    listed = {re.sub(r"\{\w+\}", "*", path).rstrip("/") for path, _, _ in operations()}
    routed = set()
    for pattern, view in api_views():
        if view.schema is not None:
            routed.add("/" + re.sub(r"\(\?P<\w+>[^)]*\)", "*", pattern).replace("^", "").replace("/?$", ""))
    assert listed == routed


@pytest.mark.parametrize(("path", "name", "body"), SAMPLES)
def test_every_example_of_the_document_is_accepted(
    new_key: Callable[..., tuple[Any, str]], client: Client, path: str, name: str, body: Any
) -> None:
    """S-007, S-188: the article's sample is the first of them."""
    answer = Shop(new_key(scopes=("admin",))[1], "shop", client).post(body, path)
    assert answer.status_code in (200, 202)
    assert answer.json().get("rejected") in (None, 0)


def test_the_examples_are_there() -> None:
    assert len(SAMPLES) == 12
    assert SAMPLES[0].values[2] == CART_ABANDONMENT or CART_ABANDONMENT in [
        sample.values[2] for sample in SAMPLES
    ]


@pytest.mark.parametrize(("path", "name", "body"), SAMPLES)
def test_every_example_keeps_its_own_schema(path: str, name: str, body: Any) -> None:
    operation = next(
        operation for where, method, operation in operations() if (where, method) == (path, "post")
    )
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    Draft202012Validator(schema).validate(body)


def test_answers_keep_the_documents_schema(shop: Shop) -> None:
    """What is promised of answers is what is sent."""
    Draft202012Validator(RESULT).validate(shop.post({**CART_ABANDONMENT, "message_id": "m"}).json())
    batch = {"events": [CART_ABANDONMENT, {**CART_ABANDONMENT, "message_id": "m", "source": "x"}, {"a": 1}]}
    Draft202012Validator(RESULTS).validate(shop.post(batch).json())
    Draft202012Validator(PROBLEM).validate(shop.post({"a": 1}).json())


@pytest.mark.parametrize(
    "body",
    [
        {"customer_id": 1.5, "event_type": "x"},
        {"customer_id": "a", "event_type": "x", "unknown": 1},
        {"customer_id": "a", "event_type": "x" * 201},
        {"customer_id": "a"},
        {"customer_id": "a", "event_type": "x", "event_data": []},
        {"customer_id": 10**15 + 1, "event_type": "x"},
    ],
)
def test_what_the_schema_refuses_the_server_refuses(shop: Shop, body: Any) -> None:
    assert not Draft202012Validator({"oneOf": [EVENT, BATCH]}).is_valid(body)
    assert shop.post(body).status_code == 400


def test_the_schema_has_the_fields_of_the_code() -> None:
    assert set(EVENT["properties"]) == set(fields.ARTICLE)


class Page(HTMLParser):
    """Collects what a strict content security policy would stop."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name.startswith("on") or name == "style":
                self.stopped.append(f"{tag} {name}")
            if name in ("src", "href") and value:
                self.links.append(value)
            if name == "id" and value:
                assert value not in self.ids
                self.ids.add(value)
        if tag in ("script", "style", "iframe", "base"):
            self.stopped.append(tag)


def test_the_page_works_without_script_and_inline_style(client: Client) -> None:
    """ux 8.3: under `default-src 'self'`; every link on the page leads somewhere."""
    answer = client.get("/api/docs/")
    assert answer.status_code == 200
    page = Page()
    page.feed(answer.content.decode())
    assert page.stopped == []
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids
    elsewhere = [link for link in page.links if not link.startswith("#")]
    assert elsewhere == ["/static/beckon/api-docs.css", "/api/v1/openapi.json"]
    assert {operation["operationId"] for _, _, operation in operations()} <= page.ids


def test_a_curl_command_of_the_page_sends_exactly_its_example(shop: Shop) -> None:
    """Quotes and all: what a shell makes of it is the example again."""
    body = {"customer_id": 'O\'Neill "x" $HOME', "event_type": "x"}
    words = shlex.split(docs.curl("http://s/api/v1/events/", body).replace("\\\n", " "))
    assert words[:4] == ["curl", "-X", "POST", "http://s/api/v1/events/"]
    assert json.loads(words[words.index("-d") + 1]) == body
    assert shop.post(words[words.index("-d") + 1].encode(), EVENTS).status_code == 202
