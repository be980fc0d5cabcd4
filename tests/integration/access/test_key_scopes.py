"""Nobody hands out a key that may do more than they may: keys that export and forget people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.urls import reverse

from automation.models import WriteKey
from tests.integration.admin.conftest import SignIn

pytestmark = pytest.mark.django_db

ADMIN = WriteKey.Scope.ADMIN.value
EVENTS = WriteKey.Scope.EVENTS_WRITE.value


def made(scope: str = ADMIN, **fields: Any) -> WriteKey:
    key = WriteKey(name="Shop", source="shop", scopes=[scope], **fields)
    key.issue()
    key.save()
    return key


def form(*scopes: str, **fields: str) -> dict[str, Any]:
    values = {"name": "Shop", "source": "shop", "scopes": list(scopes), "is_active": "on"}
    return {**values, "expires_at_0": "", "expires_at_1": "", **fields}


@pytest.mark.parametrize(
    ("group", "scope", "is_made"),
    [
        ("Operator", ADMIN, False),
        ("Operator", EVENTS, True),
        ("Operator", WriteKey.Scope.PROFILES_WRITE.value, True),
        ("Admin", ADMIN, True),
    ],
)
def test_an_admin_key_is_made_by_who_may_export_and_forget(
    sign_in: SignIn, group: str, scope: str, is_made: bool
) -> None:
    """R-036, R-049: operators make keys, yet see no personal data."""
    answer = sign_in(group).post(reverse("admin:automation_writekey_add"), form(scope))
    assert WriteKey.objects.filter(scopes=[scope]).exists() is is_made
    assert ("exports and forgets people" in answer.content.decode()) is not is_made


@pytest.mark.parametrize(("group", "is_given"), [("Operator", False), ("Admin", True)])
def test_a_key_does_not_become_an_admin_key_by_an_edit(sign_in: SignIn, group: str, is_given: bool) -> None:
    """R-036, R-049: whoever made the key knows its secret."""
    key = made(EVENTS)
    sign_in(group).post(reverse("admin:automation_writekey_change", args=[key.pk]), form(EVENTS, ADMIN))
    key.refresh_from_db()
    assert (ADMIN in key.scopes) is is_given


@pytest.mark.parametrize(("group", "status", "keys"), [("Operator", 403, 1), ("Admin", 200, 2)])
def test_an_admin_key_is_replaced_by_who_may_give_one(
    sign_in: SignIn, group: str, status: int, keys: int
) -> None:
    """R-036, R-049: the page shows the secret of the new key."""
    key = made()
    client = sign_in(group)
    answer = client.post(reverse("admin:automation_writekey_replace", args=[key.pk]), {"keep_days": "7"})
    assert answer.status_code == status
    assert WriteKey.objects.count() == keys
    page = client.get(reverse("admin:automation_writekey_change", args=[key.pk])).content.decode()
    assert ("/replace/" in page) is (status == 200)


def test_an_operator_switches_an_admin_key_off_and_not_on(sign_in: SignIn) -> None:
    """R-036, R-049: stopping is everybody's; a key that was switched off may be in wrong hands."""
    key, client = made(), sign_in("Operator")
    page = reverse("admin:automation_writekey_change", args=[key.pk])
    off = form(ADMIN)
    del off["is_active"]
    assert client.post(page, off).status_code == 302
    key.refresh_from_db()
    assert not key.is_active
    assert client.post(page, form(ADMIN)).status_code == 200
    key.refresh_from_db()
    assert not key.is_active


def test_an_operator_lets_an_admin_key_end_sooner_and_not_later(sign_in: SignIn) -> None:
    """R-036, R-049."""
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=9)
    key, client = made(expires_at=end), sign_in("Operator")
    page = reverse("admin:automation_writekey_change", args=[key.pk])

    def ending(at: datetime) -> dict[str, Any]:
        return form(ADMIN, expires_at_0=f"{at:%Y-%m-%d}", expires_at_1=f"{at:%H:%M:%S}")

    for data in (ending(end + timedelta(days=1)), form(ADMIN)):
        assert client.post(page, data).status_code == 200
        key.refresh_from_db()
        assert key.expires_at == end
    assert client.post(page, ending(end - timedelta(days=1))).status_code == 302
    key.refresh_from_db()
    assert key.expires_at == end - timedelta(days=1)
