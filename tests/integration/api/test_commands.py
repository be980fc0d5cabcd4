"""manage.py create_key and send_event."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from automation.management.commands import send_event
from automation.models import Event, WriteKey
from tests.integration.api.shops import Shop, stored

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_a_new_key_is_printed_once_and_works(client: Client) -> None:
    """R-036: shown at creation, never stored."""
    token = next(word for word in run("create_key", "My shop").split() if word.startswith("bk_live_"))
    key = WriteKey.objects.get()
    assert (key.name, key.source, key.scopes, key.expires_at) == (
        "My shop",
        "default",
        ["events:write"],
        None,
    )
    assert Shop(token, "default", client).post({"customer_id": "a", "event_type": "x"}).status_code == 202


def test_a_new_key_can_be_had_as_json() -> None:
    arguments = ("--source", "app", "--scopes", "events:write, admin", "--expires-days", "30", "--json")
    document = json.loads(run("create_key", "App", *arguments))
    key = WriteKey.objects.get()
    assert document["key"].startswith(f"bk_live_{key.public_id}_")
    assert document["scopes"] == key.scopes == ["events:write", "admin"]
    assert key.expires_at is not None
    assert timedelta(days=29) < key.expires_at - timezone.now() <= timedelta(days=30)


@pytest.mark.parametrize(
    "arguments",
    [("X", "--scopes", "everything"), ("X", "--scopes", ""), ("X", "--source", "not a slug"), ("x" * 101,)],
)
def test_a_key_that_makes_no_sense_is_not_created(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        run("create_key", *arguments)
    assert WriteKey.objects.count() == 0


@pytest.fixture
def wired(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """httpx reaches the server without a network."""

    def handle(request: httpx.Request) -> httpx.Response:
        answer = shop.client.generic(
            request.method,
            request.url.path,
            request.content,
            content_type="application/json",
            HTTP_AUTHORIZATION=request.headers["Authorization"],
        )
        return httpx.Response(answer.status_code, content=answer.content)

    real = httpx.Client

    def wired_client(**options: Any) -> httpx.Client:
        return real(transport=httpx.MockTransport(handle), **options)

    monkeypatch.setattr(send_event.httpx, "Client", wired_client)
    return shop


def test_send_event_sends_the_abandoned_cart(wired: Shop) -> None:
    """S-188: the article's sample through the real API."""
    answer = json.loads(run("send_event", "--key", wired.token))
    assert answer["status"] == "accepted"
    assert stored().data["total_value"] == 124.98


def test_send_event_sends_what_is_asked(wired: Shop) -> None:
    run("send_event", "Order Completed", "--key", wired.token, "--customer", "ada", "--data", '{"total": 5}')
    assert (stored().name, stored().data) == ("order_completed", {"total": 5})


def test_send_event_sends_a_file(wired: Shop, tmp_path: Path) -> None:
    path = tmp_path / "batch.json"
    path.write_text(json.dumps({"events": [{"customer_id": "a", "event_type": "x"}] * 2}))
    assert json.loads(run("send_event", "--key", wired.token, "--file", str(path)))["accepted"] == 2


def test_send_event_waits_for_the_decision(wired: Shop) -> None:
    out = run("send_event", "--key", wired.token, "--wait", "0.15")
    decoder = json.JSONDecoder()
    first, end = decoder.raw_decode(out)
    second, _ = decoder.raw_decode(out[end:].strip())
    assert first["event_id"] == second["event_id"]
    assert second["state"] == "received"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--key", "wrong"),
        ("page_view", "--key", "TOKEN"),
        ("page_view", "--key", "TOKEN", "--customer", "a", "--data", "{"),
        ("page_view", "--key", "TOKEN", "--customer", "a", "--data", "[]"),
        ("--key", "TOKEN", "--file", "no/such/file"),
    ],
)
def test_send_event_fails_aloud(wired: Shop, arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        run("send_event", *(wired.token if word == "TOKEN" else word for word in arguments))
    assert Event.objects.count() == 0


def test_send_event_says_when_nobody_answers(shop: Shop) -> None:
    with pytest.raises(CommandError, match="No answer from http://127"):
        run("send_event", "--key", shop.token, "--url", "http://127.0.0.1:1")
