"""Who may send and see: keys, scopes, their end and their use."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from django.test import Client, RequestFactory
from django.urls import URLPattern, get_resolver
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from automation.api import keys, throttle
from automation.api.keys import HasScope
from automation.buckets import Buckets
from automation.models import Event, WriteKey
from tests.integration.api.shops import EVENTS, Shop

pytestmark = pytest.mark.django_db
EVENT = {"customer_id": "ada", "event_type": "page_view"}
NewKey = Callable[..., tuple[WriteKey, str]]


def basic(user: str, password: str = "") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    "carry",
    [
        lambda token: {"HTTP_AUTHORIZATION": f"Bearer {token}"},
        lambda token: {"HTTP_AUTHORIZATION": f"bearer  {token} "},
        lambda token: {"HTTP_X_API_KEY": token},
        lambda token: {"HTTP_AUTHORIZATION": basic(token)},
        lambda token: {"HTTP_AUTHORIZATION": basic(token, "ignored")},
    ],
)
def test_a_key_travels_in_three_ways(client: Client, new_key: NewKey, carry: Any) -> None:
    """S-007, R-036: Bearer, X-Api-Key and Basic."""
    answer = client.post(EVENTS, EVENT, content_type="application/json", **carry(new_key()[1]))
    assert answer.status_code == 202


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"HTTP_AUTHORIZATION": ""},
        {"HTTP_AUTHORIZATION": "Bearer"},
        {"HTTP_AUTHORIZATION": "Bearer bk_live_00000000_" + "x" * 43},
        {"HTTP_AUTHORIZATION": "Bearer \u00ff"},
        {"HTTP_AUTHORIZATION": "Basic !!!"},
        {"HTTP_AUTHORIZATION": "Basic /w=="},
        {"HTTP_AUTHORIZATION": basic("")},
        {"HTTP_AUTHORIZATION": "Digest x"},
        {"HTTP_X_API_KEY": "bk_live_"},
        {"HTTP_X_API_KEY": "x" * 10_000},
    ],
)
def test_without_a_valid_key_nothing_is_accepted(client: Client, headers: dict[str, str]) -> None:
    """H-067, R-036: 401 with WWW-Authenticate, and nothing is stored."""
    answer = client.post(EVENTS, EVENT, content_type="application/json", **headers)  # type: ignore[arg-type]
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == 'Bearer realm="beckon"'
    assert answer.json()["type"].endswith("#unauthenticated")
    assert Event.objects.count() == 0


def test_a_right_public_part_with_a_wrong_secret_is_refused(shop: Shop) -> None:
    """R-036: the row is found by its public part; the digest decides."""
    shop.post(EVENT)
    answer = shop.post(
        EVENT, HTTP_AUTHORIZATION=f"Bearer {shop.token[:-1]}{'A' if shop.token[-1] != 'A' else 'B'}"
    )
    assert answer.status_code == 401
    assert Event.objects.count() == 1


def test_only_the_hash_of_a_key_is_stored(new_key: NewKey) -> None:
    """R-036: a stolen database opens nothing."""
    key, token = new_key()
    row = WriteKey.objects.filter(pk=key.pk).values().get()
    assert not any(token[17:] in str(value) for value in row.values())


@pytest.mark.parametrize("scopes", [(), ("profiles:read",), ("profiles:read", "analytics:read")])
def test_a_key_without_the_scope_is_403(client: Client, new_key: NewKey, scopes: tuple[str, ...]) -> None:
    """R-037: a valid key sees only what its scopes allow; nothing is stored."""
    shop = Shop(new_key(scopes=scopes)[1], "shop", client)
    answer = shop.post(EVENT)
    assert answer.status_code == 403
    assert "events:write" in answer.json()["detail"]
    assert Event.objects.count() == 0


def test_admin_includes_every_scope(client: Client, new_key: NewKey) -> None:
    assert Shop(new_key(scopes=("admin",))[1], "shop", client).post(EVENT).status_code == 202


def test_a_revoked_key_stops_within_five_seconds(shop: Shop, monkeypatch: Any) -> None:
    """R-036: a process believes its cache for less than 5 s."""
    now = 1000.0
    monkeypatch.setattr(keys, "time", SimpleNamespace(monotonic=lambda: now))
    assert shop.post(EVENT).status_code == 202
    WriteKey.objects.update(is_active=False)
    assert shop.post(EVENT).status_code == 202
    now += 4.99
    assert shop.post(EVENT).status_code == 401


def test_a_known_key_costs_no_query(shop: Shop, django_assert_num_queries: Any) -> None:
    shop.post(EVENT)
    request = RequestFactory().get("/", HTTP_X_API_KEY=shop.token)
    with django_assert_num_queries(0):
        assert keys.key_of(keys.token_in_headers(request)) is not None  # type: ignore[arg-type]


def test_an_expired_key_is_refused_at_once(client: Client, new_key: NewKey) -> None:
    """R-036: also while it is cached."""
    ends = datetime(2026, 11, 24, 12, tzinfo=UTC)
    shop = Shop(new_key(expires_at=ends)[1], "shop", client)
    with time_machine.travel(ends - timedelta(seconds=1), tick=False) as clock:
        assert shop.post(EVENT).status_code == 202
        clock.shift(timedelta(seconds=1))
        assert shop.post(EVENT).status_code == 401


def test_the_last_use_is_noted_once_a_minute(shop: Shop, django_assert_num_queries: Any) -> None:
    """R-036: last_used_at, without a write per request."""
    shop.post(EVENT)
    first = WriteKey.objects.get().last_used_at
    assert first is not None
    WriteKey.objects.update(last_used_at=first - timedelta(seconds=30))
    keys.forget()
    shop.post(EVENT)
    assert WriteKey.objects.get().last_used_at == first - timedelta(seconds=30)
    WriteKey.objects.update(last_used_at=first - timedelta(seconds=61))
    keys.forget()
    shop.post(EVENT)
    assert WriteKey.objects.get().last_used_at > first - timedelta(seconds=30)  # type: ignore[operator]


def test_many_wrong_keys_from_one_address_are_429(client: Client, shop: Shop) -> None:
    """Guessing ends with Retry-After; a right key from the same address still works."""
    statuses = []
    for _ in range(55):
        answer = client.post(EVENTS, EVENT, content_type="application/json", HTTP_X_API_KEY="bk_live_wrong")
        statuses.append(answer.status_code)
    assert statuses[:50] == [401] * 50
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) >= 1
    assert shop.post(EVENT).status_code == 202


def test_a_key_that_runs_wild_is_429_before_its_body_is_read(shop: Shop, monkeypatch: Any) -> None:
    """The bucket of one key does not touch another's."""
    monkeypatch.setattr(throttle.KEYS, "burst", 3)
    monkeypatch.setattr(throttle.KEYS, "rate", 1)
    assert [shop.post(b"not json").status_code for _ in range(3)] == [400, 400, 400]
    answer = shop.post(b"not json")
    assert answer.status_code == 429
    assert answer["Retry-After"] == "1"


def test_a_bucket_fills_again() -> None:
    buckets = Buckets(rate=2, burst=2)
    with time_machine.travel(datetime(2026, 1, 1, tzinfo=UTC), tick=False):
        assert [buckets.take("a") for _ in range(2)] == [0, 0]
        assert buckets.take("a") == pytest.approx(0.5, abs=0.05)
        assert buckets.take("b") == 0


def test_a_bucket_forgets_whom_it_has_not_seen_for_longest() -> None:
    """Memory is bounded however many addresses come."""
    buckets = Buckets(rate=0.001, burst=1, limit=2)
    for name in "abc":
        assert buckets.take(name) == 0
    assert buckets.take("c") > 0
    assert buckets.take("a") == 0


class Undeclared(APIView):
    """A view whose author forgot the scope."""

    permission_classes = [HasScope]

    def get(self, request: Any) -> Response:
        return Response({})


def test_a_view_without_a_declared_scope_lets_nobody_pass(new_key: NewKey) -> None:
    """R-037: closed by default, also for an admin key."""
    view = Undeclared.as_view()
    assert view(RequestFactory().get("/")).status_code == 401
    token = new_key(scopes=("admin",))[1]
    assert view(RequestFactory().get("/", HTTP_X_API_KEY=token)).status_code == 403


OPEN = {"ProjectSettingsView"}  # The key is in its address.


def api_views() -> list[tuple[str, Any]]:
    """Every DRF view of the router."""
    found = []

    def walk(patterns: Any, prefix: str) -> None:
        for entry in patterns:
            if isinstance(entry, URLPattern):
                view = getattr(entry.callback, "cls", None)
                if view is not None and issubclass(view, APIView):
                    found.append((prefix + str(entry.pattern), view))
            else:
                walk(entry.url_patterns, prefix + str(entry.pattern))

    walk(get_resolver().url_patterns, "")
    return found


def test_every_view_of_the_router_declares_its_scope() -> None:
    """R-037: generated from the router, so that a new endpoint cannot be forgotten."""
    views = api_views()
    assert len(views) >= 17
    for address, view in views:
        if view.__name__ in OPEN:
            continue
        assert HasScope in view.permission_classes, address
        assert AllowAny not in view.permission_classes, address
        assert view.required_scope in WriteKey.Scope.values, address
