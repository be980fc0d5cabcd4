"""The ways to export and to erase: commands, API and the customer's page; who may, and what they see."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.test import Client

from automation.api import keys
from automation.api.problems import KINDS
from automation.management.commands import erase as command
from automation.models import Event, WriteKey
from automation.models.audit import AuditEntry
from automation.privacy.holdings import HOLDINGS
from profiles.models import Erasure, Profile, Tombstone
from tests.factories import decide_all, known, send
from tests.integration.privacy import people
from tests.integration.privacy.people import ADDRESS, ANONYMOUS, CUSTOMER, NEEDLES, cart, introduced
from tests.integration.privacy.residue import hits

pytestmark = pytest.mark.django_db(transaction=True)
EXPORT, ERASE = "/api/v1/privacy/export/", "/api/v1/privacy/erase/"


@pytest.fixture(autouse=True)
def quiet(settings: Any, tmp_path: Path) -> None:
    """Whitenoise warns when collectstatic has not run; and no key of another test is known."""
    settings.STATIC_ROOT = tmp_path
    keys.forget()


@pytest.fixture
def grace() -> Profile:
    send(*introduced(), cart())
    decide_all()
    return Profile.objects.get(customer_id=CUSTOMER)


# --- Commands


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_the_command_erases_and_prints_the_receipt(grace: Profile) -> None:
    """R-052."""
    document = json.loads(run("erase", CUSTOMER, "--yes", "--json"))
    assert document["outcome"] == "erased"
    assert document["counts"]["automation_event"] == 4
    text = run("erase", CUSTOMER, "--yes")
    assert "already erased" in text
    assert hits(text, NEEDLES) == {}
    assert AuditEntry.objects.filter(action="customer.erased", actor__startswith="command line").count() == 2


def test_the_command_does_nothing_where_nobody_can_be_asked(grace: Profile) -> None:
    with pytest.raises(CommandError, match="Add --yes"):
        run("erase", CUSTOMER)
    assert not Erasure.objects.exists()


@pytest.mark.parametrize(("typed", "is_erased"), [(CUSTOMER, True), (f" {CUSTOMER} ", True), ("yes", False)])
def test_the_command_asks_for_the_id(
    grace: Profile, monkeypatch: pytest.MonkeyPatch, typed: str, is_erased: bool
) -> None:
    """R-052: on a terminal, after showing what it concerns."""
    monkeypatch.setattr(command.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda prompt: typed)
    if is_erased:
        assert "automation_event" in run("erase", CUSTOMER)
    else:
        with pytest.raises(CommandError, match="Nothing was erased"):
            run("erase", CUSTOMER)
    assert Event.objects.exists() is not is_erased


def test_the_command_says_where_it_is_when_it_takes_long(
    grace: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "QUIET_SECONDS", 0)
    err = io.StringIO()
    call_command("erase", CUSTOMER, "--yes", stdout=io.StringIO(), stderr=err)
    assert [f"… {holding.table}" in err.getvalue() for holding in HOLDINGS] == [True] * len(HOLDINGS)


def test_the_command_lets_a_person_come_back(grace: Profile) -> None:
    """R-052."""
    run("erase", "--anonymous-id", ANONYMOUS, "--yes")
    assert json.loads(run("erase", CUSTOMER, "--lift", "--json")) == {"lifted": 2}
    with pytest.raises(CommandError, match="no tombstone"):
        run("erase", CUSTOMER, "--lift")


@pytest.mark.parametrize("arguments", [[], ["a", "--email", "b"]])
@pytest.mark.parametrize("name", ["erase", "export_customer"])
def test_the_commands_want_exactly_one_name(name: str, arguments: list[str]) -> None:
    with pytest.raises(CommandError, match="Name a person by one of"):
        run(name, *arguments)


@pytest.mark.parametrize("name", ["erase", "export_customer"])
def test_the_commands_refuse_an_address_of_several(name: str) -> None:
    send(*known("a", email="same@example.com"), *known("b", email="same@example.com"))
    decide_all()
    with pytest.raises(CommandError, match="2 customers have this address"):
        run(name, "--email", "same@example.com", *(["--yes"] if name == "erase" else []))


def test_the_export_is_written_to_a_file_of_ours_alone(grace: Profile, tmp_path: Path) -> None:
    """R-052, R-051: complete or not there; recorded."""
    target = tmp_path / "grace.json"
    run("export_customer", CUSTOMER, "--output", str(target))
    assert json.loads(target.read_text())["tables"]["profiles_profile"][0]["email"] == ADDRESS
    assert target.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == [target]
    assert json.loads(run("export_customer", "--email", ADDRESS))["outcome"] == "found"
    assert AuditEntry.objects.filter(action="customer.exported").count() == 2
    with pytest.raises(CommandError, match="Cannot write"):
        run("export_customer", CUSTOMER, "--output", str(tmp_path / "no" / "such"))


# --- API


@pytest.fixture
def post() -> Callable[..., Any]:
    """Post to the API: `post(path, body, "admin")`."""

    def send_it(path: str, body: Any, *scopes: str) -> Any:
        key = WriteKey(name="privacy desk", scopes=list(scopes))
        token = key.issue()
        key.save()
        raw = body if isinstance(body, bytes) else json.dumps(body)
        headers = {"Authorization": f"Bearer {token}"}
        return Client().post(path, raw, content_type="application/json", headers=headers)

    return send_it


@pytest.mark.parametrize("path", [EXPORT, ERASE])
@pytest.mark.parametrize("scope", sorted(set(WriteKey.Scope.values) - {"admin"}))
def test_only_an_admin_key_may(grace: Profile, post: Callable[..., Any], path: str, scope: str) -> None:
    """R-037, R-052: denied means that nothing happened."""
    assert post(path, {"customer_id": CUSTOMER}, scope).status_code == 403
    assert Client().post(path, {"customer_id": CUSTOMER}, content_type="application/json").status_code == 401
    assert (Erasure.objects.count(), AuditEntry.objects.filter(action__startswith="customer.").count()) == (
        0,
        0,
    )


def test_the_api_exports_and_erases(grace: Profile, post: Callable[..., Any]) -> None:
    """R-052: with and without the slash; the same shape for everybody."""
    document = post(EXPORT, {"customer_id": CUSTOMER}, "admin")
    assert document.headers["Cache-Control"] == "no-store"
    assert document.json()["tables"]["profiles_profile"][0]["email"] == ADDRESS
    receipts = [
        post(path, body, "admin")
        for path, body in (
            (ERASE, {"email": ADDRESS}),
            (ERASE.rstrip("/"), {"customer_id": CUSTOMER, "email": None}),
            (ERASE, {"customer_id": 4711}),
        )
    ]
    assert [receipt.status_code for receipt in receipts] == [200] * 3
    assert [receipt.json()["outcome"] for receipt in receipts] == ["erased", "already_erased", "unknown"]
    assert len({frozenset(receipt.json()) for receipt in receipts}) == 1
    assert post(EXPORT, {"customer_id": CUSTOMER}, "admin").json()["outcome"] == "erased"
    entry = AuditEntry.objects.filter(action="customer.erased").first()
    assert entry is not None
    assert entry.actor.endswith("(privacy desk)")
    assert Tombstone.objects.count() == 3


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        (b"", [""]),
        (b"[]", [""]),
        ({}, [""]),
        ({"customer_id": CUSTOMER, "email": ADDRESS}, [""]),
        ({"customer_id": ""}, ["/customer_id"]),
        ({"customer_id": "x" * 255}, ["/customer_id"]),
        ({"customer_id": ["a"]}, ["/customer_id"]),
        ({"customer_id": True}, ["/customer_id"]),
        ({"email": 5}, ["/email"]),
        ({"customer_id": "a\0b"}, ["/customer_id"]),
        ({"customer_id": CUSTOMER, "profile_id": 1}, ["/profile_id"]),
    ],
)
@pytest.mark.parametrize("path", [EXPORT, ERASE])
def test_what_names_nobody_is_refused_with_a_pointer(
    grace: Profile, post: Callable[..., Any], path: str, body: Any, pointers: list[str]
) -> None:
    """R-056, R-005."""
    answer = post(path, body, "admin")
    assert answer.status_code == KINDS["validation"].status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert [fault["pointer"] for fault in answer.json()["errors"]] == pointers
    assert not Erasure.objects.exists()


def test_an_address_of_several_is_refused(post: Callable[..., Any]) -> None:
    send(*known("a", email="same@example.com"), *known("b", email="same@example.com"))
    decide_all()
    for path in (EXPORT, ERASE):
        answer = post(path, {"email": "same@example.com"}, "admin")
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/email")
    assert not Erasure.objects.exists()


# --- The customer's page


def signed_in(*permissions: str) -> Client:
    user = get_user_model().objects.create(username="-".join(permissions) or "nobody", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=[*permissions, "view_profile"]))
    client = Client()
    client.force_login(user)
    return client


def address(profile: Profile, page: str) -> str:
    return f"/admin/profiles/profile/{profile.pk}/{page}/"


@pytest.mark.parametrize(
    ("permissions", "offered"),
    [((), []), (("export_profile",), ["export"]), (("erase_profile",), ["forget"])],
)
def test_the_page_offers_what_one_may_do(
    grace: Profile, permissions: tuple[str, ...], offered: list[str]
) -> None:
    """R-049, R-052: and the others are refused, also by address, with nothing done."""
    client = signed_in(*permissions)
    shown = client.get(address(grace, "change")).content.decode()
    for page in ("export", "forget"):
        assert (address(grace, page) in shown) is (page in offered)
        assert client.get(address(grace, page)).status_code == (200 if page in offered else 403)
        if page not in offered:
            assert client.post(address(grace, page), {"typed": CUSTOMER}).status_code == 403
    assert not Erasure.objects.exists()
    assert not AuditEntry.objects.filter(action="customer.exported").exists()


def test_the_page_exports_as_a_file(grace: Profile) -> None:
    """R-052: looking changes nothing, posting downloads and is recorded with the user."""
    client = signed_in("export_profile")
    assert "automation" not in client.get(address(grace, "export")).headers.get("Content-Disposition", "")
    answer = client.post(address(grace, "export"))
    assert answer.headers["Content-Disposition"] == f'attachment; filename="customer-{grace.pk}.json"'
    assert json.loads(answer.content)["tables"]["profiles_profile"][0]["email"] == ADDRESS
    entry = AuditEntry.objects.get(action="customer.exported")
    assert (entry.actor, entry.actor_id is not None) == ("export_profile", True)


def test_the_page_forgets_only_after_the_id_was_typed(grace: Profile) -> None:
    """R-052: what will go is shown with counts, the receipt afterwards; the page is gone then."""
    client = signed_in("erase_profile")
    shown = client.get(address(grace, "forget")).content.decode()
    assert "What will be removed" in shown
    assert CUSTOMER in shown
    assert "csrfmiddlewaretoken" in shown
    refused = client.post(address(grace, "forget"), {"typed": "yes"})
    assert "Nothing was changed" in refused.content.decode()
    assert not Erasure.objects.exists()
    answer = client.post(address(grace, "forget"), {"typed": CUSTOMER})
    text = answer.content.decode()
    assert str(Erasure.objects.get().pk) in text
    assert hits(text, NEEDLES) == {}
    assert client.get(address(grace, "forget")).status_code == 404
    assert "forget/" not in client.get(address(grace, "change")).content.decode()


def test_the_page_wants_the_token_against_forged_requests(grace: Profile) -> None:
    """R-052."""
    client = Client(enforce_csrf_checks=True)
    user = get_user_model().objects.create(username="root", is_staff=True, is_superuser=True)
    client.force_login(user)
    for page in ("export", "forget"):
        assert client.post(address(grace, page), {"typed": CUSTOMER}).status_code == 403
    assert not Erasure.objects.exists()


def test_a_visitor_without_an_id_is_called_by_the_number_of_the_row() -> None:
    send(people.incoming("page_view", None, anonymous_id="visitor"))
    profile = Profile.objects.get()
    client = signed_in("erase_profile")
    assert client.post(address(profile, "forget"), {"typed": f"anonymous {profile.pk}"}).status_code == 200
    assert Erasure.objects.get().outcome == "erased"
