"""Webhooks against a real HTTP server: what is sent, what each answer means, and what is never reached."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from automation.channels import http_guard
from automation.channels.breaker import BREAKER
from automation.models import Delivery, Event
from automation.pipeline import deliver
from automation.pipeline.calls import CALLS
from automation.pipeline.deliver import deliver_batch
from profiles.models import Profile
from tests.integration.deliver.conftest import WEBHOOK_SECRET
from tests.integration.deliver.factory import (
    EMAIL,
    deliveries,
    make_event,
    make_execution,
    make_profile,
    make_template,
    make_trigger,
)
from tests.integration.deliver.hookserver import HookServer, answer, dripping, endless, hanging_up
from tests.integration.deliver.mailserver import Ledger

pytestmark = pytest.mark.django_db(transaction=True)


def run(
    *actions: dict[str, Any], profile: Profile | None = None, event: Event | None = None
) -> list[Delivery]:
    execution = make_execution(make_trigger(list(actions)), profile or make_profile(), event=event)
    for _ in range(len(actions) + 1):
        deliver_batch("medium", worker="test", limit=10)
    return deliveries(execution)


def hook(hooks: HookServer, **fields: Any) -> dict[str, Any]:
    return {"type": "webhook", "url": hooks.url, **fields}


def test_a_webhook_is_signed_and_says_what_happened(hooks: HookServer) -> None:
    """S-151, R-027: verified with the reference library; ids stay the same."""
    profile = make_profile()
    event = make_event(profile)
    (row,) = run(hook(hooks), profile=profile, event=event)
    (seen,) = hooks.seen
    payload = Webhook(WEBHOOK_SECRET).verify(seen.body, seen.headers)
    assert seen.headers["webhook-id"] == seen.headers["idempotency-key"] == str(row.pk)
    assert seen.headers["content-type"] == "application/json"
    assert payload["data"]["event"]["id"] == event.pk
    assert payload["data"]["event"]["name"] == "cart_abandonment"
    assert payload["data"]["event"]["data"] == event.data
    assert payload["data"]["customer"]["customer_id"] == profile.customer_id
    assert payload["data"]["delivery_id"] == str(row.pk)
    assert payload["type"] == f"trigger.{row.trigger.key}"
    assert (row.status, row.tries, row.provider_id) == ("sent", 1, str(row.pk))
    assert row.result["response"]["status"] == 200
    assert row.result["response"]["body"] == '{"coupon": "X1"}'


def test_a_changed_body_does_not_verify(hooks: HookServer) -> None:
    """S-151: the signature covers the body."""
    run(hook(hooks))
    (seen,) = hooks.seen
    with pytest.raises(WebhookVerificationError):
        Webhook(WEBHOOK_SECRET).verify(seen.body + b" ", seen.headers)


def test_a_body_of_its_own_is_filled_and_must_be_json(hooks: HookServer) -> None:
    """S-151: Liquid in the body; broken JSON is a template error, not a call."""
    body = '{"who": {{ first_name | json }}, "items": {{ event.items | json }}}'
    (row,) = run(hook(hooks, body=body), profile=make_profile(first_name='Al "x"'))
    assert row.status == "sent"
    assert json.loads(hooks.seen[0].body) == {"who": 'Al "x"', "items": [{"sku": "A"}]}
    (row,) = run(hook(hooks, body='{"who": {{ first_name }}}'))
    assert (row.status, row.reason) == ("failed", "template_error")
    assert len(hooks.seen) == 1


def test_the_answer_is_a_variable_of_the_actions_after_it(hooks: HookServer) -> None:
    """S-151: response captured into variables."""
    profile = make_profile()
    note = {"type": "update_customer_data", "set": {"coupon": "{{ response.body.coupon }}"}}
    run(hook(hooks), note, profile=profile)
    profile.refresh_from_db()
    assert profile.traits == {"coupon": "X1"}


@pytest.mark.parametrize(
    ("status", "headers", "outcome", "error_class"),
    [
        (204, {}, "sent", ""),
        (301, {"Location": "http://169.254.169.254/latest"}, "failed", "http_301"),
        (307, {"Location": "/elsewhere"}, "failed", "http_307"),
        (400, {}, "failed", "http_400"),
        (404, {}, "failed", "http_404"),
        (410, {}, "failed", "http_410"),
        (408, {}, "pending", "http_408"),
        (429, {}, "pending", "http_429"),
        (500, {}, "pending", "http_500"),
        (503, {}, "pending", "http_503"),
    ],
)
def test_each_status_means_sent_failed_or_again(
    hooks: HookServer, status: int, headers: dict[str, str], outcome: str, error_class: str
) -> None:
    """S-151, R-029, R-040: redirects are not followed, 4xx is final, 5xx and 429 are of the moment."""
    hooks.answer = answer(status, **headers)
    (row,) = run(hook(hooks))
    assert (row.status, row.error_class) == (outcome, error_class)
    assert len(hooks.seen) == 1


def test_retry_after_is_waited_out(hooks: HookServer) -> None:
    """R-029: plus jitter."""
    hooks.answer = answer(429, Retry_After="120")
    (row,) = run(hook(hooks))
    assert row.due_at is not None
    wait = row.due_at - datetime.now(UTC)
    assert timedelta(seconds=115) < wait < timedelta(seconds=126)


def test_a_repeat_carries_the_same_ids_and_a_new_time(hooks: HookServer) -> None:
    """R-026, R-027: at least once, and the receiver can tell."""
    hooks.answer = answer(500)
    run(hook(hooks))
    Delivery.objects.update(due_at=datetime.now(UTC))
    hooks.answer = answer(200)
    deliver_batch("medium", worker="test", limit=10)
    first, second = hooks.seen
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    Webhook(WEBHOOK_SECRET).verify(second.body, second.headers)
    assert Delivery.objects.get().status == "sent"


def test_no_more_than_64_kb_is_read_and_1_kb_kept(hooks: HookServer) -> None:
    """R-031, R-041."""
    hooks.answer = endless
    (row,) = run(hook(hooks))
    assert row.status == "sent"
    assert row.result["response"]["body"] == "x" * 1024


@pytest.mark.parametrize("script", [dripping, hanging_up])
def test_a_server_that_drips_or_hangs_up_is_tried_again(
    hooks: HookServer, script: Callable[[BaseHTTPRequestHandler], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-031: the whole call has a limit, however slowly bytes come."""
    monkeypatch.setattr(http_guard, "TOTAL_SECONDS", 1.0)
    hooks.answer = script
    began = time.monotonic()
    (row,) = run(hook(hooks))
    assert CALLS.finish(5)
    row.refresh_from_db()
    assert time.monotonic() - began < 5
    assert row.status == "pending"
    assert row.error_class in ("timeout", "connection")


@pytest.mark.parametrize(("secret", "kind"), [("", "no_secret"), ("whsec_x", "bad_secret")])
def test_without_a_secret_nothing_is_called(hooks: HookServer, settings: Any, secret: str, kind: str) -> None:
    """S-151, R-054: never unsigned; the error names the variable."""
    settings.WEBHOOK_SECRET = secret
    (row,) = run(hook(hooks))
    assert (row.status, row.error_class) == ("pending", kind)
    assert "BECKON_WEBHOOK_SECRET" in row.error
    assert hooks.seen == []


def test_a_url_is_checked_again_when_it_is_called(hooks: HookServer, settings: Any) -> None:
    """R-040, H-061: a version published under other settings does not get through."""
    settings.WEBHOOK_ALLOW_LOOPBACK = False
    (row,) = run(hook(hooks))
    assert (row.status, row.error_class) == ("failed", "forbidden_url")
    assert hooks.seen == []


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b'{"note":"\\u0000x"}', '{"note":"\\u0000x"}'),  # Six characters, not the one they stand for.
        (b"\\\\u0000", "\\\\u0000"),
        (b"a\x00b", "ab"),
        (b'"\\ud800"', '"\\ud800"'),
    ],
)
def test_an_answer_that_speaks_of_nul_is_no_poison(hooks: HookServer, body: bytes, kept: str) -> None:
    """R-020, S-151: whatever a server answers can be stored."""
    hooks.answer = answer(200, body)
    (row,) = run(hook(hooks))
    assert (row.status, row.result["response"]["body"]) == ("sent", kept)


def _due(trigger: Any, count: int) -> None:
    for _ in range(count):
        make_execution(trigger)


def test_a_host_that_fails_is_left_alone_and_uses_up_no_attempt(hooks: HookServer) -> None:
    """R-030: at most 20 attempts until the circuit opens."""
    hooks.answer = answer(500)
    _due(make_trigger([hook(hooks)]), 30)
    while deliver_batch("medium", worker="test", limit=50):
        Delivery.objects.filter(tries=1).update(due_at=datetime.now(UTC) + timedelta(hours=1))
    rows = list(Delivery.objects.all())
    busy = [row for row in rows if row.error_class == "circuit_open"]
    assert len(hooks.seen) == 20
    assert len(busy) == 10
    assert {(row.status, row.tries, row.reason, row.sending_at) for row in busy} == {
        ("pending", 0, "circuit_open", None)
    }
    assert BREAKER.open_destinations() == ["webhook:127.0.0.1"]


def test_a_host_that_does_not_answer_is_left_alone_after_three_calls(hooks: HookServer) -> None:
    """R-030: also with few attempts in a minute, as one process with long timeouts makes them."""
    hooks.answer = hanging_up
    _due(make_trigger([hook(hooks)]), 10)
    while deliver_batch("medium", worker="test", limit=50):
        Delivery.objects.filter(tries=1).update(due_at=datetime.now(UTC) + timedelta(hours=1))
    assert len(hooks.seen) == 3
    assert (
        sorted(Delivery.objects.values_list("error_class", "tries"))
        == [("circuit_open", 0)] * 7 + [("connection", 1)] * 3
    )


def test_one_host_takes_at_most_a_quarter_of_a_batch(hooks: HookServer, smtp: Ledger) -> None:
    """R-030: the rest is given back, behind all that is due."""
    make_template()
    now = datetime.now(UTC)
    _due(make_trigger([hook(hooks)]), 8)
    Delivery.objects.update(due_at=now - timedelta(minutes=2))
    _due(make_trigger([EMAIL]), 4)
    assert deliver_batch("medium", worker="test", limit=12) == 7
    assert (len(hooks.seen), len(smtp.messages)) == (3, 4)
    waiting = Delivery.objects.filter(status="pending")
    assert waiting.count() == 5
    assert {(row.tries, row.lease_until, row.worker) for row in waiting} == {(0, None, "")}
    assert all(row.due_at and row.due_at >= now for row in waiting)
    assert deliver_batch("medium", worker="test", limit=12) == 1  # Of five; at least one.
    assert len(hooks.seen) == 4


def test_a_host_that_takes_all_the_time_lets_the_others_go_first(
    hooks: HookServer, smtp: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-030, R-031: its other rows step back, so that the next batch begins with what waited behind them."""
    monkeypatch.setattr(http_guard, "TOTAL_SECONDS", 0.5)
    monkeypatch.setattr(deliver, "START_SECONDS", 0.4)
    hooks.answer = dripping
    make_template()
    _due(make_trigger([hook(hooks)]), 8)
    Delivery.objects.update(due_at=datetime.now(UTC) - timedelta(minutes=2))
    mail = make_execution(make_trigger([EMAIL]))
    assert deliver_batch("medium", worker="test", limit=9) == 1
    assert (len(hooks.seen), len(smtp.messages)) == (1, 0)
    first = Delivery.objects.filter(status="pending", tries=0).earliest("due_at")
    assert first.execution_id == mail.pk
