"""The permission matrix: every address of the router, asked by every role and every kind of key (T24)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import models, transaction
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import URLPattern, get_resolver, path, reverse

from analytics.reference.permissions import ROLES, table
from automation.api import keys, throttle
from automation.models import WriteKey
from automation.rendering import unsubscribe as links
from profiles.models import Profile
from tests.factories import incoming, send
from tests.integration.access import samples

pytestmark = pytest.mark.django_db

MODELS, PAGES, ADDRESSES = table()["models"], table()["pages"], table()["addresses"]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
VERBS = ("view", "add", "change", "delete")
# Pages that every model has -> what a role must hold one of.
STANDARD = {
    "changelist": ("view", "change"),
    "add": ("add",),
    "change": ("view", "change"),
    "history": ("view", "change"),
    "delete": ("delete",),
}
RUNS_FOR_REAL = {"run_tasks"}  # Would put work into a queue that outlives the test.
SCOPES = tuple(WriteKey.Scope.values)


def routes(patterns: Any = None, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    """Every address of the router as its pattern."""
    for entry in get_resolver().url_patterns if patterns is None else patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLPattern):
            yield route, entry
        else:
            yield from routes(entry.url_patterns, route)


def model_of(entry: URLPattern) -> tuple[str, str] | None:
    """Label and page, when this is a page that every model has; the unnamed one is the old address of change."""
    found = getattr(entry.callback, "model_admin", None)
    if found is None:
        return None
    meta = found.opts
    for page in STANDARD:
        if entry.name == f"{meta.app_label}_{meta.model_name}_{page}":
            return meta.label, page
    return None


def declared_name(route: str) -> str:
    """Routes of app lists name every app; the table does not."""
    return "admin/^(?P<app_label>APPS)/$" if route.startswith("admin/^(?P<app_label>") else route


def is_old_address(route: str, entry: URLPattern) -> bool:
    """`/admin/app/model/5/`, which leads to the page of the record."""
    app_model = route.removeprefix("admin/").removesuffix("/<path:object_id>/").replace("/", ".")
    return entry.name is None and app_model in {model._meta.label_lower for model in admin.site._registry}


# --- Nothing is undeclared


def test_every_address_of_the_router_is_declared() -> None:
    """T24, R-049: a new page, action or endpoint fails here until somebody says who may use it."""
    found = {(declared_name(route), entry) for route, entry in routes()}
    standard = {route for route, entry in found if model_of(entry) or is_old_address(route, entry)}
    others = {route for route, _ in found} - standard
    undeclared = sorted(others - set(PAGES) - set(ADDRESSES))
    assert not undeclared, f"say in analytics/reference/permissions.toml who may use {undeclared}"
    gone = sorted((set(PAGES) | set(ADDRESSES)) - others)
    assert not gone, f"in analytics/reference/permissions.toml and not in the router: {gone}"


def test_an_address_that_nobody_declared_fails(settings: Any) -> None:
    """T24: the test above, shown to fail."""
    urls = ModuleType("urls_with_one_more")
    extra = path("api/v1/forgotten/", lambda request: HttpResponse())
    urls.urlpatterns = [*import_module(settings.ROOT_URLCONF).urlpatterns, extra]  # type: ignore[attr-defined]
    settings.ROOT_URLCONF = urls
    with pytest.raises(AssertionError, match="api/v1/forgotten/"):
        test_every_address_of_the_router_is_declared()


def test_every_model_is_declared() -> None:
    """T24: no model without its line, no line without its model, and no unknown word in a line."""
    assert set(MODELS) == {model._meta.label for model in admin.site._registry}
    for label, cells in MODELS.items():
        assert set(cells) <= {*ROLES, "actions"}, label
        assert {verb for role in ROLES for verb in cells.get(role, "").split()} <= set(VERBS), label


def test_every_address_with_an_id_names_one_that_is_not_there() -> None:
    """R-037, T24."""
    for route, cells in {**PAGES, **ADDRESSES}.items():
        if "<" in route and not route.startswith(
            ("admin/(?P<url>", "admin/^(?P<app", "admin/r/", "admin/auth/")
        ):
            assert cells.get("unknown"), route


# --- The admin


@pytest.fixture
def staff() -> Mapping[str, User]:
    """One member of each role."""
    users = {}
    for role in ROLES:
        users[role] = User.objects.create(username=role, is_staff=True, is_superuser=role == "superuser")
        if role != "superuser":
            users[role].groups.add(Group.objects.get(name=role.title()))
    return users


@pytest.fixture
def clients(staff: Mapping[str, User]) -> Mapping[str, Client]:
    """A browser of each role, and of nobody."""
    found = {"anonymous": Client()}
    for role, user in staff.items():
        found[role] = Client()
        found[role].force_login(user)
    return found


def ask(client: Client, method: str, url: str, data: Any = None) -> str:
    """What became of a request that is undone afterwards: open, refused or log-in."""
    with transaction.atomic():
        answer = client.generic(method, url) if data is None else client.post(url, data)
        transaction.set_rollback(True)
    status = answer.status_code
    if answer.get("Location", "").startswith(reverse("admin:login")):
        return "log-in"
    if status in (403, 404, 405):
        return "refused"
    # 400: it was let in, and found nothing readable in the empty body.
    assert status in (200, 302, 400), f"{method} {url}: {status}"
    return "open"


def stored(row: models.Model) -> dict[str, Any]:
    """A row as the database has it."""
    found: dict[str, Any] = type(row)._default_manager.filter(pk=row.pk).values().get()
    return found


@pytest.mark.parametrize("label", sorted(MODELS))
def test_pages_of_a_model_are_open_as_declared(clients: Mapping[str, Client], label: str) -> None:
    """T24, R-049: list, add, change, history, delete × GET and POST × every role; refused means unchanged."""
    row = samples.made()[label]
    name = row._meta.label_lower.replace(".", "_")
    before, wrong = stored(row), []
    for role, client in clients.items():
        held = set(MODELS[label].get(role, "").split())
        for page, wanted in STANDARD.items():
            args = [row.pk] if page in ("change", "history", "delete") else []
            url = reverse(f"admin:{name}_{page}", args=args)
            for method in ("GET", "POST"):
                may = held & ({"change"} if (page, method) == ("change", "POST") else set(wanted))
                expected = "log-in" if role == "anonymous" else "open" if may else "refused"
                found = ask(client, method, url, {"post": "yes"} if method == "POST" else None)
                if found != expected:
                    wrong.append(f"{role}: {method} {page} is {found}, declared {expected}")
    assert wrong == []
    assert stored(row) == before


@pytest.mark.parametrize("label", sorted(MODELS))
def test_an_unknown_record_is_not_there(clients: Mapping[str, Client], label: str) -> None:
    """R-037: also for a superuser; no page of it opens."""
    model = apps.get_model(label)
    name = label.lower().replace(".", "_")
    for value in ("999999999", "00000000-0000-0000-0000-000000000000", "no such thing", "0" * 64):
        for page in ("change", "history", "delete"):
            answer = clients["superuser"].get(reverse(f"admin:{name}_{page}", args=[value]))
            assert answer.status_code in (302, 403, 404), (label, page, value)
            if answer.status_code == 302:
                assert answer["Location"] == reverse("admin:index"), (label, page, model)


@pytest.mark.parametrize("label", sorted(MODELS))
def test_actions_of_a_list_are_offered_and_carried_out_as_declared(
    staff: Mapping[str, User], clients: Mapping[str, Client], label: str
) -> None:
    """T24, R-049: the others' actions sent all the same change nothing."""
    row = samples.made()[label]
    model_admin = admin.site._registry[type(row)]
    offered: dict[str, set[str]] = {}
    for role, user in staff.items():
        request = RequestFactory().get("/")
        request.user = User.objects.get(pk=user.pk)
        offered[role] = (
            set(model_admin.get_actions(request)) if model_admin.has_view_permission(request) else set()
        )
    declared = {role: set(MODELS[label].get("actions", {}).get(role, ())) for role in ROLES}
    assert offered == declared
    url = reverse(f"admin:{row._meta.label_lower.replace('.', '_')}_changelist")
    every = set().union(*offered.values()) - RUNS_FOR_REAL
    before = stored(row)
    for role, client in clients.items():
        for action in sorted(every):
            data = {"action": action, "_selected_action": [str(row.pk)], "post": "yes", "note": "why"}
            if action in offered.get(role, ()):
                assert ask(client, "POST", url, data) == "open", (role, action)
                continue
            client.post(url, data)  # Not undone: it must have done nothing.
            assert stored(row) == before, (role, action)


@pytest.mark.parametrize("route", sorted(PAGES))
def test_other_pages_are_open_as_declared(clients: Mapping[str, Client], route: str) -> None:
    """T24, R-049: every method × every role; what is not declared is refused."""
    cells, rows = PAGES[route], samples.made()
    url = cells["example"]
    for label, row in rows.items():
        url = url.replace(f"{{{label}}}", str(row.pk))
    wrong = []
    for role in ("anonymous", *ROLES):
        for method in ("GET", "POST"):
            may = role in cells.get(method, ())
            client = clients[role]
            if route == "admin/logout/" and role != "anonymous":  # Being logged out must not last.
                client = Client()
                client.force_login(User.objects.get(username=role))
            found = ask(client, method, url, {} if method == "POST" else None)
            if found == "open" and may:
                continue
            if not may and found in ("refused", "log-in") and (found == "log-in") <= (role == "anonymous"):
                continue
            wrong.append(f"{role}: {method} is {found}, declared {'open' if may else 'refused'}")
    assert wrong == []
    if "unknown" in cells:
        for method in cells.keys() & {"GET", "POST"}:
            answer = clients["superuser"].generic(method, cells["unknown"])
            assert answer.status_code == 404, cells["unknown"]


@pytest.mark.parametrize("model", samples.registered(), ids=lambda model: model._meta.label)
def test_the_old_address_of_a_record_only_leads_to_its_page(
    clients: Mapping[str, Client], model: type[models.Model]
) -> None:
    """T24: it opens nothing by itself."""
    url = f"/admin/{model._meta.app_label}/{model._meta.model_name}/5/"
    assert ask(clients["anonymous"], "GET", url) == "log-in"
    answer = clients["analyst"].get(url)
    assert (answer.status_code, answer["Location"]) == (302, f"{url}change/")


# --- Everything else


class Door:
    """Ways to ask the API: without a key, and with keys of all kinds."""

    def __init__(self) -> None:
        now = datetime.now(UTC)
        self.tokens: dict[str, str] = {"nothing": "", "wrong": f"bk_live_00000000_{'x' * 43}"}
        for scope in SCOPES:
            self.tokens[scope] = self._key([scope])
        self.tokens["none at all"] = self._key([])
        self.tokens["revoked"] = self._key(["admin"], is_active=False)
        self.tokens["expired"] = self._key(["admin"], expires_at=now - timedelta(seconds=1))
        own, foreign = (self._event(source) for source in ("shop", "other"))
        profile = Profile.objects.values_list("pk", flat=True).first()
        assert profile is not None
        self.places = {
            "own": own,
            "foreign": foreign,
            "token": self.tokens["events:write"],
            "link": links.token(links.Subscription(profile, "marketing", "email")),
            "delivery": samples.made()["automation.Delivery"].pk,
        }

    @staticmethod
    def _key(scopes: list[str], **fields: Any) -> str:
        key = WriteKey(name="Matrix", source="shop", scopes=scopes, **fields)
        token = key.issue()
        key.save()
        return token

    @staticmethod
    def _event(source: str) -> str:
        return str(send(incoming(customer_id="ada"), source=source)[0].event_id)

    def address(self, template: str) -> str:
        """An example with its places filled in."""
        for name, value in self.places.items():
            template = template.replace(f"{{{name}}}", str(value))
        return template

    def status(self, method: str, url: str, credential: str, *, body: str = "{}", **headers: str) -> int:
        """The status of a request, undone afterwards."""
        token = self.tokens[credential]
        with transaction.atomic():
            answer = Client().generic(
                method,
                self.address(url),
                body.encode() if method in ("POST", "PUT", "PATCH") else b"",
                content_type="application/json",
                **({"HTTP_AUTHORIZATION": f"Bearer {token}"} if token else {}),
                **headers,
            )
            transaction.set_rollback(True)
        assert answer.status_code < 500, (method, url, credential)
        return answer.status_code


@pytest.fixture
def door() -> Door:
    for forget in (keys.forget, throttle.FAILURES.forget):
        forget()
    return Door()


def allowed(credential: str, scope: str) -> bool:
    return credential in (scope, WriteKey.Scope.ADMIN.value)


@pytest.mark.parametrize("route", sorted(ADDRESSES))
def test_addresses_answer_as_declared(door: Door, route: str) -> None:
    """T24, R-037: every method × no key, wrong, revoked, expired, each scope alone, admin."""
    cells = ADDRESSES[route]
    needs = {cells[method] for method in METHODS if method in cells} & set(SCOPES)
    guard = needs.pop() if needs else None
    assert not needs, "one address, one scope"
    wrong = []
    for method in METHODS:
        level = cells.get(method)
        for credential in door.tokens:
            status = door.status(method, cells["example"], credential, body=cells.get("body", "{}"))
            if level in SCOPES or (level is None and guard):
                if credential in ("nothing", "wrong", "revoked", "expired"):
                    # Where a key may stand in the body, a request without a body cannot even be read.
                    expected = status == 401 or (level is None and credential == "nothing" and status == 400)
                elif not allowed(credential, str(guard)):
                    expected = status == 403
                elif level is None:
                    expected = status == 405
                else:
                    expected = status not in (401, 403, 404, 405)
            elif level is None:
                expected = status == (404 if route == "^(?:api|v1)/" else 405)
            else:
                expected = status in (200, 204, 503)
            if not expected:
                wrong.append(f"{method} with {credential}: {status}, declared {level}")
    assert wrong == []


@pytest.mark.parametrize("route", sorted(route for route, cells in ADDRESSES.items() if "unknown" in cells))
def test_unknown_and_foreign_ids_are_404(door: Door, route: str) -> None:
    """R-037: with the right key; nothing tells one from the other."""
    cells = ADDRESSES[route]
    for method in cells.keys() & {"GET", "POST"}:
        scope = cells[method] if cells[method] in SCOPES else "nothing"
        for url in [*cells["unknown"], *([cells["foreign"]] if "foreign" in cells else [])]:
            body = cells.get("body", "{}")
            assert door.status(method, url, scope, body=body) == 404, (method, url)


def test_what_is_foreign_to_a_shop_is_there_for_an_admin_key(door: Door) -> None:
    """R-037: the id of that test does exist."""
    url = ADDRESSES["^api/v1/events/(?P<event_id>[0-9]{1,19})/?$"]["foreign"]
    assert door.status("GET", url, "admin") == 200


def test_counters_are_for_this_machine(door: Door) -> None:
    """T24: level `machine` elsewhere."""
    assert door.status("GET", "/metrics", "nothing", REMOTE_ADDR="192.0.2.1") == 401
