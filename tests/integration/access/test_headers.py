"""What every answer tells browsers: pages, API, public pages, errors."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from automation.rendering import unsubscribe as links
from automation.response_headers import PERMISSIONS_POLICY
from tests.integration.admin import rows

pytestmark = pytest.mark.django_db

CSP = {
    "default-src 'self'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "object-src 'none'",
}


def directives(answer: Any) -> set[str]:
    """The parts of the policy; their order says nothing."""
    return set(answer["Content-Security-Policy"].split("; "))


def _wrong_passwords(client: Client) -> Any:
    for _ in range(5):
        answer = client.post(reverse("admin:login"), {"username": "nobody", "password": "wrong"})
    return answer


def _unsubscribe(client: Client) -> Any:
    token = links.token(links.Subscription(rows.customer().pk, "marketing", "email"))
    return client.get(reverse("unsubscribe", args=[token]))


def _style_sheet(client: Client) -> Any:
    answer = client.get("/static/beckon/api-docs.css")
    answer.getvalue()  # Read to its end, which closes the file.
    return answer


def _crash(client: Client, monkeypatch: pytest.MonkeyPatch) -> Any:
    def crash(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("automation.rendering.unsubscribe.read", crash)
    client.raise_request_exception = False
    return client.get(reverse("unsubscribe", args=["x"]))


ANSWERS: dict[str, tuple[int, Any]] = {
    "log-in page": (200, lambda client, mp: client.get(reverse("admin:login"))),
    "redirect to it": (302, lambda client, mp: client.get(reverse("admin:index"))),
    "API": (401, lambda client, mp: client.post("/api/v1/events/")),
    "OpenAPI": (200, lambda client, mp: client.get("/api/v1/openapi.json")),
    "page of the API": (200, lambda client, mp: client.get("/api/docs/")),
    "unsubscribe page": (200, lambda client, mp: _unsubscribe(client)),
    "health": (200, lambda client, mp: client.get("/healthz")),
    "404 for people": (404, lambda client, mp: client.get("/nothing")),
    "404 for programs": (404, lambda client, mp: client.get("/api/v1/nothing")),
    "405": (405, lambda client, mp: client.post("/healthz")),
    "lock-out page": (429, lambda client, mp: _wrong_passwords(client)),
    "500 for people": (500, lambda client, mp: _crash(client, mp)),
    "style sheet": (200, lambda client, mp: _style_sheet(client)),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_carries_the_headers(client: Client, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """R-050: no inline script or style, no frame, nothing from elsewhere; also on errors and redirects."""
    status, ask = ANSWERS[name]
    answer = ask(client, monkeypatch)
    assert answer.status_code == status
    assert directives(answer) == CSP
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == ("no-referrer" if name == "unsubscribe page" else "same-origin")
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer["Permissions-Policy"] == PERMISSIONS_POLICY
    if name != "style sheet":  # Served before that middleware; frame-ancestors says the same.
        assert answer["X-Frame-Options"] == "DENY"


def test_an_error_of_the_api_carries_them_too(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """R-050, R-056: a fault of ours, as a problem document."""

    def crash(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("automation.api.keys.key_of", crash)
    answer = client.post("/api/v1/events/", HTTP_X_API_KEY="bk_live_x")
    assert answer.status_code == 500
    assert answer["Content-Type"] == "application/problem+json"
    assert directives(answer) == CSP


@pytest.mark.parametrize("path", ["/admin/login/", "/api/docs/", "/nothing", "/api/v1/events/"])
def test_the_policy_allows_nothing_inline_and_nothing_foreign(client: Client, path: str) -> None:
    """R-050: read from the header itself."""
    policy = client.get(path)["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "*" not in policy
    assert "data:" not in policy
