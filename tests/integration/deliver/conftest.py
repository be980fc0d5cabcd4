"""A mail server for each test that sends, and circuits that remember nothing of the test before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.integration.deliver.hookserver import HookServer, hook_server
from tests.integration.deliver.mailserver import Ledger, Scripted, mail_server

WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(autouse=True)
def closed_circuits() -> Iterator[None]:
    """No outage of one test holds back the next."""
    from automation.channels.breaker import BREAKER

    BREAKER.reset()
    yield
    BREAKER.reset()


@pytest.fixture
def smtp(settings: Any) -> Iterator[Ledger]:
    """A real server; what it accepted."""
    with mail_server() as (ledger, port):
        _use(settings, port)
        yield ledger


@pytest.fixture
def scripted(settings: Any) -> Iterator[Callable[..., Scripted]]:
    """A server that answers as told."""
    started: list[Scripted] = []

    def start(**script: str) -> Scripted:
        server = Scripted(**script)
        started.append(server)
        _use(settings, server.port)
        return server

    yield start
    for server in started:
        server.close()


def _use(settings: Any, port: int) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""


@pytest.fixture
def hooks(settings: Any) -> Iterator[HookServer]:
    """A server on this machine, which only the development setting lets webhooks reach."""
    with hook_server() as hook:
        settings.WEBHOOK_ALLOW_LOOPBACK = True
        settings.WEBHOOK_PORTS = [hook.port]
        settings.WEBHOOK_SECRET = WEBHOOK_SECRET
        yield hook


@pytest.fixture
def client(settings: Any, tmp_path: Path) -> Client:
    """A browser that has never been here; static files need no collecting for it."""
    settings.STATIC_ROOT = tmp_path
    return Client()
