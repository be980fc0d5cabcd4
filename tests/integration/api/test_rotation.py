"""A key is replaced without a gap, from the admin and from the command line, and revoked everywhere at once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import httpx
import pytest
import time_machine
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from automation import rotation
from automation.models import WriteKey
from automation.models.audit import AuditEntry
from config.servers import Servers
from config.supervisor import Supervisor
from tests.integration.api.shops import EVENTS, Shop

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
EVENT = {"customer_id": "ada", "event_type": "page_view"}
NewKey = Callable[..., tuple[WriteKey, str]]


def rotate(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command("rotate_key", *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())  # type: ignore[no-any-return]


@pytest.mark.django_db
def test_both_keys_work_until_the_old_one_ends(client: Client, new_key: NewKey) -> None:
    """R-036: same source and scopes, so message ids go on being unique; the old key ends to the second."""
    key, token = new_key(source="shop", scopes=("events:write", "profiles:read"))
    old = Shop(token, "shop", client)
    with time_machine.travel(NOW, tick=False) as clock:
        document = rotate(key.public_id)
        new = Shop(document["key"], "shop", client)
        assert old.post({**EVENT, "message_id": "m"}).json()["duplicate"] is False
        assert new.post({**EVENT, "message_id": "m"}).json()["duplicate"] is True
        clock.shift(timedelta(days=7) - timedelta(seconds=1))
        assert old.post(EVENT).status_code == 202
        clock.shift(timedelta(seconds=1))
        refused = old.post(EVENT)
        assert refused.status_code == 401
        assert "expired" in refused.json()["detail"]
        assert new.post(EVENT).status_code == 202
    made = WriteKey.objects.exclude(pk=key.pk).get()
    assert (made.source, made.scopes, made.expires_at) == ("shop", ["events:write", "profiles:read"], None)
    (entry,) = AuditEntry.objects.filter(action="writekey.replaced")
    assert entry.target == f"automation.writekey {key.pk}"
    assert entry.actor.startswith("command line")
    assert document["key"][17:] not in str(entry.details)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("planned_days", "keep_days", "old_days", "new_days"),
    [(None, 7, 7, None), (None, 0, 0, None), (3, 7, 3, None), (30, 7, 7, 30), (7, 7, 7, None)],
)
def test_an_end_that_was_planned_is_kept(
    new_key: NewKey, planned_days: int | None, keep_days: int, old_days: int, new_days: int | None
) -> None:
    """R-036: rotating never makes a key live longer than it was to."""

    def after(days: int | None) -> datetime | None:
        return None if days is None else NOW + timedelta(days=days)

    key, _ = new_key(expires_at=after(planned_days))
    replaced = rotation.replace(key, keep_days=keep_days, now=NOW, actor="test")
    assert replaced.old_ends_at == WriteKey.objects.get(pk=key.pk).expires_at == after(old_days)
    assert replaced.key.expires_at == after(new_days)


@pytest.mark.django_db
@pytest.mark.parametrize("fields", [{"is_active": False}, {"expires_at": NOW - timedelta(seconds=1)}])
def test_a_key_that_does_not_work_is_not_replaced(new_key: NewKey, fields: dict[str, Any]) -> None:
    """R-036: a revoked key must not come back under another secret."""
    key, _ = new_key(**fields)
    with pytest.raises(CommandError, match="switched off or has expired"):
        rotate(key.public_id)
    assert WriteKey.objects.count() == 1
    assert not AuditEntry.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "arguments", [("00000000",), ("KEY", "--keep-days", "-1"), ("KEY", "--keep-days", "91")]
)
def test_arguments_that_make_no_sense_change_nothing(new_key: NewKey, arguments: tuple[str, ...]) -> None:
    key, _ = new_key()
    with pytest.raises(CommandError):
        rotate(*(key.public_id if argument == "KEY" else argument for argument in arguments))
    assert WriteKey.objects.get().expires_at is None


@pytest.mark.django_db
def test_the_button_in_the_admin_replaces_a_key(
    admin_client: Client, client: Client, new_key: NewKey
) -> None:
    """R-036: GET asks, POST acts; the secret is in that one answer, which nobody may keep."""
    key, _ = new_key()
    page = reverse("admin:automation_writekey_change", args=[key.pk])
    url = reverse("admin:automation_writekey_replace", args=[key.pk])
    assert url in admin_client.get(page).content.decode()
    assert admin_client.get(url).status_code == 200
    assert WriteKey.objects.count() == 1

    answer = admin_client.post(url, {"keep_days": "3"})
    made = WriteKey.objects.exclude(pk=key.pk).get()
    text = answer.content.decode()
    token = text[text.index(f"bk_live_{made.public_id}_") :][:60]
    assert "no-store" in answer["Cache-Control"]
    assert Shop(token, "shop", client).post(EVENT).status_code == 202
    ends_at = WriteKey.objects.get(pk=key.pk).expires_at
    assert ends_at is not None
    assert timedelta(days=2, hours=23) < ends_at - datetime.now(UTC) <= timedelta(days=3)
    entry = AuditEntry.objects.get(action="writekey.replaced")
    assert (entry.actor, entry.ip) == ("admin", "127.0.0.1")
    assert made.public_id in admin_client.get(page).content.decode()  # Both are shown beside one another.


@pytest.mark.django_db
@pytest.mark.parametrize(("days", "status"), [("-1", 200), ("91", 200), ("x", 200), ("", 200)])
def test_the_page_refuses_days_that_make_no_sense(
    admin_client: Client, new_key: NewKey, days: str, status: int
) -> None:
    key, _ = new_key()
    url = reverse("admin:automation_writekey_replace", args=[key.pk])
    assert admin_client.post(url, {"keep_days": days}).status_code == status
    assert WriteKey.objects.get().expires_at is None


@pytest.mark.django_db
def test_only_who_may_make_keys_may_replace_one(client: Client, new_key: NewKey) -> None:
    """R-036, R-049."""
    key, _ = new_key()
    client.force_login(User.objects.create_user("m", is_staff=True))
    url = reverse("admin:automation_writekey_replace", args=[key.pk])
    assert client.get(url).status_code == 403
    assert client.post(url, {"keep_days": "1"}).status_code == 403
    assert WriteKey.objects.count() == 1


@pytest.mark.django_db
def test_a_revocation_in_the_admin_leaves_an_entry(admin_client: Client, new_key: NewKey) -> None:
    """R-036, R-051."""
    key, _ = new_key()
    page = reverse("admin:automation_writekey_change", args=[key.pk])
    fields = {"name": key.name, "scopes": key.scopes, "expires_at_0": "", "expires_at_1": ""}
    assert admin_client.post(page, fields).status_code == 302
    assert WriteKey.objects.get().is_active is False
    assert AuditEntry.objects.get(action="writekey.changed").details["values"] == {
        "is_active": "True → False"
    }


@pytest.mark.chaos
@pytest.mark.timeout(120)
def test_a_revoked_key_is_refused_by_every_process_within_five_seconds(own_servers: Servers) -> None:
    """R-036: two web processes that both know the key; and its use was noted."""
    env = {
        "DATABASE_URL": own_servers.database_url,
        "REDIS_URL": own_servers.redis_url,
        "EMAIL_URL": "smtp://127.0.0.1:1",
        "SECRET_KEY": "only for this server",
    }
    with Supervisor(env, own_servers.paths.base, workers=(), beat=False, port=18_200) as beckon:
        key = json.loads(beckon.manage("create_key", "shop", "--json"))["key"]
        assert beckon.wait_ready(60)

        def statuses(count: int) -> set[int]:
            """Each on a connection of its own, so that both processes are asked."""
            headers = {"X-Api-Key": key}
            return {
                httpx.post(f"{beckon.url}{EVENTS}", json=EVENT, headers=headers, timeout=20).status_code
                for _ in range(count)
            }

        def rows(query: str) -> str:
            script = f"from automation.models import WriteKey; print({query})"
            return beckon.manage("shell", "--verbosity=0", "-c", script).strip()

        assert statuses(30) == {202}
        assert rows("WriteKey.objects.get().last_used_at is not None") == "True"
        rows("WriteKey.objects.update(is_active=False)")
        revoked = time.monotonic()
        while 202 in statuses(10):
            assert time.monotonic() - revoked < 5
        time.sleep(max(0.0, 5 - (time.monotonic() - revoked)))
        assert statuses(30) == {401}
