"""Log-ins, failed ones, lock-outs and log-outs are in the audit log."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

from automation.audit import logins
from automation.models import AuditEntry

WRONG, RIGHT = "not-the-one", "the-right-one-7"


@pytest.fixture
def ann(db: None, settings: object, tmp_path: object) -> Client:
    settings.STATIC_ROOT = tmp_path  # type: ignore[attr-defined]
    get_user_model().objects.create_user("ann", password=RIGHT, is_staff=True)
    return Client(REMOTE_ADDR="203.0.113.9")


def attempt(client: Client, name: str, password: str) -> None:
    client.post(reverse("admin:login"), {"username": name, "password": password})


def said() -> list[tuple[str, str]]:
    return list(AuditEntry.objects.order_by("id").values_list("action", "actor"))


def test_a_log_in_and_a_log_out_leave_entries(ann: Client) -> None:
    """R-051: log-in success, failure and log-out, with the address."""
    attempt(ann, "ann", WRONG)
    attempt(ann, "ann", RIGHT)
    ann.post(reverse("admin:logout"))

    assert said() == [("login.failed", "ann"), ("login", "ann"), ("logout", "ann")]
    assert set(AuditEntry.objects.values_list("ip", flat=True)) == {"203.0.113.9"}


def test_a_name_that_no_user_has_is_not_written_down(ann: Client) -> None:
    """R-051: people type their password into the field above."""
    attempt(ann, RIGHT, "")
    attempt(ann, RIGHT, WRONG)

    assert set(said()) == {("login.failed", "(no such user)")}
    assert RIGHT not in str(list(AuditEntry.objects.values()))


def test_a_lock_out_leaves_an_entry(ann: Client) -> None:
    """R-050, R-051."""
    for _ in range(6):
        attempt(ann, "ann", WRONG)

    actions = [action for action, _ in said()]
    assert "login.locked_out" in actions
    assert actions.count("login.failed") >= 4
    assert {actor for _, actor in said()} == {"ann"}


def test_guessing_cannot_fill_the_log(ann: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """R-051: of one process so many a minute; the next says how many were left out."""
    budget = logins.Budget(2)
    monkeypatch.setattr(logins, "_failures", budget)
    now = [0.0]
    monkeypatch.setattr(logins.time, "monotonic", lambda: now[0])
    for number in range(5):
        logins._attempt("login.failed", f"nobody {number}", None)
    now[0] = 61.0
    logins._attempt("login.failed", "nobody", None)

    assert [entry.details for entry in AuditEntry.objects.order_by("id")] == [{}, {}, {"left_out_before": 3}]
