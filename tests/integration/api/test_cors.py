"""Which addresses the pages of other sites may use: the collecting ones, without cookies, and no other."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from tests.integration.api.shops import Shop

pytestmark = pytest.mark.django_db
SITE = "https://shop.example"
COLLECTING = [
    *(f"/v1/{kind}" for kind in ("track", "identify", "page", "screen", "group", "alias", "batch", "import")),
    *(f"/v1/{letter}" for letter in "tipsgab"),
    "/v1/projects/bk_live_x/settings",
]


def preflight(client: Client, path: str, origin: str = SITE) -> Any:
    return client.options(
        path,
        HTTP_ORIGIN=origin,
        HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST",
        HTTP_ACCESS_CONTROL_REQUEST_HEADERS="authorization,content-type",
    )


def shared(answer: Any) -> dict[str, str]:
    """The CORS headers of an answer."""
    return {
        name.lower(): value
        for name, value in answer.headers.items()
        if name.lower().startswith("access-control-")
    }


def patterns(found: list[Any] | None = None, prefix: str = "") -> list[str]:
    """Every address of the router, with something in its places."""
    paths = []
    for entry in get_resolver().url_patterns if found is None else found:
        route = re.sub(r"<\w+:\w+>|\(\?P<\w+>[^)]*\)|\(\?:[^)]*\)|<[\w.]+>", "1", str(entry.pattern))
        path = prefix + re.sub(r"[\^$?\\]|\[[^\]]*\]\{?[\d,]*\}?", "", route)
        if isinstance(entry, URLResolver):
            paths += patterns(entry.url_patterns, path)
        elif isinstance(entry, URLPattern):
            paths.append(f"/{path}".replace("//", "/"))
    return paths


@pytest.mark.parametrize("path", COLLECTING)
def test_any_page_may_send_to_the_collecting_addresses(client: Client, path: str) -> None:
    """R-056: a preflight needs no key, sees which headers may be sent, and promises no cookies."""
    answer = preflight(client, path)
    assert answer.status_code == 200
    assert shared(answer) == {
        "access-control-allow-origin": "*",
        "access-control-allow-methods": "GET, POST, OPTIONS",
        "access-control-allow-headers": "authorization, content-type, content-encoding, x-api-key",
        "access-control-expose-headers": "X-Request-Id, Retry-After",
        "access-control-max-age": "86400",
    }


def test_no_other_address_of_the_router_has_cors(client: Client, admin_client: Client) -> None:
    """R-056: none by default; API, admin, pages, probes and documents, for preflights and for plain requests."""
    others = [path for path in patterns() if not path.startswith("/v1/")]
    assert {"/api/v1/events/", "/admin/", "/healthz", "/api/v1/openapi.json"} <= set(others)
    for path in others:
        for who in (client, admin_client):
            assert shared(preflight(who, path)) == {}, path
    for path in ("/api/v1/events/", "/admin/", "/healthz", "/api/v1/openapi.json", "/api/docs/", "/nothing"):
        assert shared(client.get(path, HTTP_ORIGIN=SITE)) == {}, path


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        ([SITE], SITE, SITE),
        ([SITE], "https://other.example", None),
        ([SITE], "http://shop.example", None),
        ([SITE], "https://shop.example.evil.example", None),
        ([SITE], "null", None),
        ([], SITE, None),
    ],
)
def test_the_origins_can_be_named(
    shop: Shop, settings: Any, origins: list[str], origin: str, allowed: str | None
) -> None:
    """R-056: BECKON_CORS_ORIGINS; the answer of a real call follows it like the preflight."""
    settings.CORS_ALLOW_ALL_ORIGINS, settings.CORS_ALLOWED_ORIGINS = False, origins
    body = json.dumps({"userId": "a", "event": "X", "writeKey": shop.token}).encode()
    call = shop.client.generic("POST", "/v1/t", body, content_type="text/plain", HTTP_ORIGIN=origin)
    assert call.status_code == 200  # CORS keeps pages from reading answers; the key decides who may send.
    for answer in (call, preflight(shop.client, "/v1/t", origin)):
        assert shared(answer).get("access-control-allow-origin") == allowed
        assert "access-control-allow-credentials" not in shared(answer)
        assert "origin" in answer["Vary"].lower()
