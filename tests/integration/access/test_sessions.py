"""How long a log-in lasts, and what its cookie promises."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.integration.admin.conftest import SignIn

PASSWORD = "a long and unusual passphrase"


@pytest.fixture
def ada(db: None) -> User:
    """A member of staff with a password."""
    return User.objects.create_user("ada", password=PASSWORD, is_staff=True)


def log_in(client: Client) -> Any:
    return client.post(reverse("admin:login"), {"username": "ada", "password": PASSWORD})


def test_a_session_ends_after_eight_hours(ada: User) -> None:
    """R-050."""
    client = Client()
    with time_machine.travel(datetime(2026, 11, 24, 8, tzinfo=UTC), tick=False) as clock:
        log_in(client)
        clock.shift(timedelta(hours=7, minutes=59))
        assert client.get(reverse("admin:index")).status_code == 200
        clock.shift(timedelta(minutes=2))
        assert client.get(reverse("admin:index")).status_code == 302


def test_logging_in_changes_the_session_key(ada: User) -> None:
    """R-050: a key that somebody planted before is worth nothing."""
    client = Client()
    client.session.save()
    before = client.session.session_key
    log_in(client)
    assert client.cookies["sessionid"].value not in ("", before)


def test_a_changed_password_ends_the_other_sessions(ada: User) -> None:
    """R-050: the one who changed it stays in."""
    here, elsewhere = Client(), Client()
    log_in(here)
    log_in(elsewhere)
    answer = here.post(
        reverse("admin:password_change"),
        {"old_password": PASSWORD, "new_password1": f"{PASSWORD} 2", "new_password2": f"{PASSWORD} 2"},
    )
    assert answer.status_code == 302
    assert here.get(reverse("admin:index")).status_code == 200
    assert elsewhere.get(reverse("admin:index")).status_code == 302


def test_a_person_who_was_switched_off_is_out_at_once(sign_in: SignIn) -> None:
    client = sign_in("Marketer")
    User.objects.update(is_active=False)
    assert client.get(reverse("admin:index")).status_code == 302


def test_the_cookie_is_kept_from_scripts_and_from_other_sites(ada: User) -> None:
    """R-050: HttpOnly, SameSite=Lax, eight hours."""
    client = Client()
    log_in(client)
    cookie = client.cookies["sessionid"]
    assert (cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (True, "Lax", 8 * 3600)
    assert client.cookies["csrftoken"]["httponly"] is True


_PRINT = (
    "import django; django.setup(); from django.conf import settings as s;"
    "print(s.SESSION_COOKIE_NAME, s.CSRF_COOKIE_NAME, s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE,"
    " s.SESSION_COOKIE_HTTPONLY, s.SESSION_COOKIE_SAMESITE, s.SECURE_SSL_REDIRECT)"
)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://shop.example.com", "__Host-sessionid __Host-csrftoken True True True Lax True"),
        ("http://127.0.0.1:8000", "sessionid csrftoken False False True Lax False"),
    ],
)
def test_over_https_cookies_are_secure_and_bound_to_the_host(url: str, said: str) -> None:
    """R-050: Secure, and the prefix with which browsers refuse cookies from elsewhere."""
    found = subprocess.run(
        [sys.executable, "-c", _PRINT],
        cwd=settings.BASE_DIR,
        env={**os.environ, "PUBLIC_URL": url},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == said
