"""What anybody may call tells nothing about a person, a secret or the inside of the program."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings as configured
from django.test import Client

from tests.integration.access import samples

pytestmark = pytest.mark.django_db

TOKEN = "a token of the metrics, long enough"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_probes_and_metrics_name_nobody(settings: Any, path: str) -> None:
    """R-034, R-052: with one row in every table, also for who holds the token."""
    settings.METRICS_TOKEN = TOKEN
    rows = samples.made()
    answer = Client().get(path, HTTP_AUTHORIZATION=f"Bearer {TOKEN}")
    assert answer.status_code == 200
    text = answer.content.decode()
    profile = rows["profiles.Profile"]
    told = {*samples.SECRETS, str(profile.customer_id), TOKEN, settings.SECRET_KEY}
    assert {value for value in told if value and value in text} == set()


@pytest.mark.parametrize("method", ["get", "head"])
def test_metrics_without_the_token_are_empty(settings: Any, method: str) -> None:
    """R-034: not from this machine either, once there is a token."""
    settings.METRICS_TOKEN = TOKEN
    answer = getattr(Client(REMOTE_ADDR="127.0.0.1"), method)("/metrics")
    assert answer.status_code == 401
    assert b"beckon_" not in answer.content


def test_debugging_is_off_and_no_error_shows_the_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """R-054, R-056: as configured without DEBUG; neither addresses, nor settings, nor a traceback."""
    assert configured.DEBUG is False

    def crash(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("automation.rendering.unsubscribe.read", crash)
    monkeypatch.setattr("automation.api.keys.key_of", crash)
    client = Client(raise_request_exception=False)
    answers = {
        "/nothing": client.get("/nothing"),
        "/api/v1/nothing": client.get("/api/v1/nothing"),
        "/unsubscribe/x/": client.get("/unsubscribe/x/"),
        "/api/v1/events/": client.post("/api/v1/events/", HTTP_X_API_KEY="bk_live_x"),
        "wrong host": client.get("/healthz", HTTP_HOST="evil.test"),
    }
    assert [answer.status_code for answer in answers.values()] == [404, 404, 500, 500, 400]
    for path, answer in answers.items():
        text = answer.content.decode()
        for inside in (
            "Traceback",
            "a fault of ours",
            "RuntimeError",
            "urlpatterns",
            "DEBUG",
            "django.",
            ".py",
        ):
            assert inside not in text, (path, inside)
