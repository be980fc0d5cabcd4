"""Wrong passwords: when log-in closes, for whom, for how long, and who opens it again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from axes.models import AccessAttempt, AccessLog
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from automation.client_address import client_address
from automation.pipeline import retention

pytestmark = pytest.mark.django_db

PASSWORD = "a long and unusual passphrase"
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def ada() -> User:
    """A member of staff with a password."""
    return User.objects.create_user("ada", password=PASSWORD, is_staff=True)


def log_in(
    name: str = "ada", password: str = "wrong", *, at: str = "192.0.2.1", **headers: str
) -> HttpResponse:
    """One try with the form of the admin, from the address `at`."""
    return Client(REMOTE_ADDR=at, **headers).post(  # type: ignore[return-value]
        reverse("admin:login"), {"username": name, "password": password}
    )


def test_five_wrong_passwords_close_the_name_for_that_address_alone(ada: User) -> None:
    """R-050: the right password is not even looked at; another address and another name go on."""
    User.objects.create_user("bob", password=PASSWORD, is_staff=True)
    assert [log_in().status_code for _ in range(5)] == [200, 200, 200, 200, 429]
    assert log_in(password=PASSWORD).status_code == 429
    assert not Session.objects.exists()
    assert log_in("bob", PASSWORD).status_code == 302
    assert log_in(password=PASSWORD, at="192.0.2.2").status_code == 302


def test_addresses_of_one_ipv6_network_are_counted_together(ada: User) -> None:
    """R-050: one machine has a whole /64; another network goes on."""
    tries = [log_in(at=f"2001:db8:0:1::{number}").status_code for number in range(1, 6)]
    assert tries == [200, 200, 200, 200, 429]
    assert log_in(password=PASSWORD, at="2001:db8:0:1:ffff::1").status_code == 429
    assert log_in(password=PASSWORD, at="2001:db8:0:2::1").status_code == 302
    assert AccessLog.objects.get().ip_address == "2001:db8:0:2::"


def test_an_ipv4_address_in_ipv6_form_is_the_same_address(ada: User) -> None:
    """R-050: a server that listens on both names it in either way."""
    for at in ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1", "::ffff:c000:201"):
        assert log_in(at=at).status_code == 200
    assert log_in(at="192.0.2.1").status_code == 429


def test_the_page_says_when_to_try_again_and_who_can_help(ada: User) -> None:
    """R-050: 429 with Retry-After; trying on does not push the end away."""
    with time_machine.travel(NOON, tick=False) as clock:
        for _ in range(5):
            answer = log_in()
        assert answer["Retry-After"] == "900"
        clock.shift(timedelta(minutes=10))
        answer = log_in()
        assert (answer.status_code, answer["Retry-After"]) == (429, "300")
        page = answer.content.decode()
        assert "5 minutes" in page
        assert "12:15 UTC" in page
        assert "axes_reset_username" in page
        assert "no-store" in answer["Cache-Control"]
        clock.shift(timedelta(minutes=5, seconds=1))
        assert log_in(password=PASSWORD).status_code == 302


def test_a_name_with_markup_is_not_repeated(ada: User) -> None:
    """What was typed as a name may be a password; the page does not show it."""
    for _ in range(5):
        answer = log_in("<script>alert(1)</script>")
    assert answer.status_code == 429
    assert b"<script" not in answer.content


def test_the_right_password_forgets_the_wrong_ones(ada: User) -> None:
    """R-050: four slips and a success, twice, lock nobody out."""
    for _ in range(2):
        assert [log_in().status_code for _ in range(4)] == [200] * 4
        assert log_in(password=PASSWORD).status_code == 302
    assert not AccessAttempt.objects.exists()


def test_an_administrator_opens_it_at_once(ada: User, capsys: Any) -> None:
    """R-050: by the command that the page names."""
    for _ in range(5):
        log_in()
    call_command("axes_reset_username", "ada")
    assert log_in(password=PASSWORD).status_code == 302


def test_passwords_are_not_stored(ada: User) -> None:
    log_in(password="nearly the right one")
    row = AccessAttempt.objects.values().get()
    assert not any("nearly" in str(value) for value in row.values())


@pytest.mark.parametrize(
    ("proxies", "forwarded", "seen"),
    [
        (0, "", "10.0.0.9"),
        (0, "203.0.113.5", "10.0.0.9"),
        (1, "203.0.113.5", "203.0.113.5"),
        (1, "198.51.100.1, 203.0.113.5", "203.0.113.5"),
        (2, "198.51.100.1, 203.0.113.5, 10.0.0.8", "203.0.113.5"),
        (2, "203.0.113.5", "10.0.0.9"),
        (1, "not an address", "10.0.0.9"),
        (1, "2001:db8::1", "2001:db8::1"),
        (1, "", "10.0.0.9"),
    ],
)
def test_the_address_is_taken_from_declared_proxies_only(
    settings: Any, proxies: int, forwarded: str, seen: str
) -> None:
    """R-050: what the caller wrote into X-Forwarded-For is never believed."""
    settings.TRUSTED_PROXIES = proxies
    headers = {"HTTP_X_FORWARDED_FOR": forwarded} if forwarded else {}
    request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.9", **headers)  # type: ignore[arg-type]
    assert client_address(request) == seen


def test_a_forged_header_does_not_open_a_closed_name(ada: User) -> None:
    """R-050: without declared proxies every try counts for the peer, whatever it claims."""
    statuses = [log_in(HTTP_X_FORWARDED_FOR=f"198.51.100.{n}").status_code for n in range(5)]
    assert statuses[-1] == 429


def test_a_request_over_a_unix_socket_has_no_address() -> None:
    assert client_address(RequestFactory().get("/", REMOTE_ADDR="")) is None


def test_the_tidy_task_drops_old_attempts_log_ins_and_ended_sessions(ada: User) -> None:
    """R-050: what is recent stays, also a lock-out under way."""
    log_in()
    log_in(password=PASSWORD, at="192.0.2.7")
    old = timezone.now() - timedelta(days=400)
    AccessAttempt.objects.create(
        username="old", ip_address="192.0.2.3", failures_since_start=9, user_agent="", http_accept=""
    )
    AccessAttempt.objects.filter(username="old").update(attempt_time=old)
    AccessLog.objects.create(username="old", user_agent="", http_accept="")
    AccessLog.objects.filter(username="old").update(attempt_time=old)
    Session.objects.create(session_key="old", session_data="", expire_date=timezone.now() - timedelta(days=1))
    retention.tidy()
    assert list(AccessAttempt.objects.values_list("username", flat=True)) == ["ada"]
    assert list(AccessLog.objects.values_list("username", flat=True)) == ["ada"]
    assert not Session.objects.filter(session_key="old").exists()
    assert Session.objects.count() == 1
