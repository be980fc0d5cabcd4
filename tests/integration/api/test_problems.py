"""Errors: one document for all of them, and 503 while work cannot be taken."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.http import Http404
from django.test import Client, RequestFactory

from automation.api import events, pressure, problems
from automation.api.problems import KINDS
from automation.models import Event, QueuedEvent
from tests.integration.api.shops import EVENTS, Shop

pytestmark = pytest.mark.django_db
EVENT = {"customer_id": "ada", "event_type": "page_view"}


def check(answer: Any, kind: str) -> dict[str, Any]:
    """The problem document of `answer`, which must be one of `kind` and complete."""
    document: dict[str, Any] = answer.json()
    assert answer.status_code == document["status"] == KINDS[kind].status
    assert answer["Content-Type"] == "application/problem+json"
    assert document["type"] == f"http://127.0.0.1:8000/api/docs/#{kind}"
    assert document["title"] == KINDS[kind].title
    assert document["code"] == kind.replace("-", "_")
    assert document["message"]
    return document


def test_an_unforeseen_error_says_its_request_id_and_nothing_else(
    shop: Shop, monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """R-056: 500 without a stack; the id finds the traceback in the log."""

    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(events, "ingest", broken)
    answer = shop.post(EVENT)
    document = check(answer, "internal")
    assert document["request_id"] == answer["X-Request-Id"]
    assert len(document["request_id"]) == 32
    assert "secret" not in answer.content.decode()
    assert "Traceback" not in answer.content.decode()
    assert any("secret detail" in str(record.exc_info) for record in caplog.records)


@pytest.mark.parametrize(
    "error", [OperationalError("server closed"), InterfaceError("connection already closed")]
)
def test_an_unreachable_database_is_503_with_retry_after(
    shop: Shop, monkeypatch: Any, error: Exception
) -> None:
    """R-009: retry later, nothing was stored."""

    def down(*args: Any, **kwargs: Any) -> None:
        raise error

    monkeypatch.setattr(events, "ingest", down)
    answer = shop.post(EVENT)
    check(answer, "unavailable")
    assert int(answer["Retry-After"]) > 0


def test_a_database_that_does_not_answer_is_503_within_seconds(shop: Shop, monkeypatch: Any) -> None:
    """R-009: a listening socket that says nothing is given up after connect_timeout (3 s)."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()

        def elsewhere(*args: Any, **kwargs: Any) -> None:
            options = {**connection.get_connection_params(), "host": host, "port": port}
            connection.Database.connect(
                **{key: value for key, value in options.items() if key != "cursor_factory"}
            )

        def wrapped(*args: Any, **kwargs: Any) -> None:
            with connection.wrap_database_errors:
                elsewhere()

        monkeypatch.setattr(events, "ingest", wrapped)
        started = time.monotonic()
        answer = shop.post(EVENT)
        took = time.monotonic() - started
    check(answer, "unavailable")
    assert took < 4.5


@pytest.mark.parametrize(
    "path", ["/api/", "/api/v1/event/", "/api/v2/events/", "/v1/nothing", "/v1/", "/api/v1/events/x/"]
)
@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_an_unknown_address_is_a_problem_too(client: Client, path: str, method: str) -> None:
    """R-056: also where no view is."""
    answer = getattr(client, method)(path)
    document = check(answer, "not-found")
    assert document["instance"] == path


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/v1/nothing", EVENTS, "/v1/t"])
def test_programs_need_no_csrf_token(path: str) -> None:
    """Keys, not cookies, say who asks: there is nothing to forge."""
    answer = Client(enforce_csrf_checks=True).post(path, EVENT, content_type="application/json")
    check(answer, "not-found" if path.endswith("nothing") else "unauthenticated")


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_a_wrong_method_names_the_right_ones(shop: Shop, method: str) -> None:
    answer = getattr(shop.client, method)(EVENTS, HTTP_AUTHORIZATION=f"Bearer {shop.token}")
    check(answer, "method-not-allowed")
    assert "POST" in answer["Allow"]


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "nonsense", "*/*;q=0"])
def test_there_is_one_form_of_answer_whatever_is_asked(shop: Shop, accept: str) -> None:
    assert shop.post(EVENT, HTTP_ACCEPT=accept).status_code == 202
    assert shop.post(EVENT, f"{EVENTS}?format=xml").status_code == 202


def test_djangos_own_error_pages_are_problems_for_programs() -> None:
    """R-056: what never reaches a view of the API."""
    request = RequestFactory().get("/api/v1/x")
    for answer, kind in (
        (problems.not_found(request, Http404()), "not-found"),
        (problems.server_error(request), "internal"),
        (problems.bad_request(request, Exception("x")), "validation"),
    ):
        assert answer.status_code == KINDS[kind].status
        assert answer["Content-Type"] == "application/problem+json"


def test_people_keep_djangos_pages() -> None:
    request = RequestFactory().get("/somewhere")
    for answer in (
        problems.not_found(request),
        problems.server_error(request),
        problems.bad_request(request),
    ):
        assert answer["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_type_of_problem_has_a_section_in_the_docs(client: Client, kind: str) -> None:
    assert f'id="{kind}"' in client.get("/api/docs/").content.decode()


@pytest.mark.parametrize("name", ["\\ud800", "\\u0000", "x" * 5_000, "a/b~c"])
def test_a_name_that_cannot_be_written_is_shown_another_way(client: Client, new_key: Any, name: str) -> None:
    """R-056, R-005: half a surrogate pair in a field's name must not break the answer that complains of it."""
    admin = Shop(new_key(scopes=("admin",))[1], "shop", client)
    for path in ("/api/v1/privacy/export/", "/api/v1/privacy/erase/", EVENTS, "/v1/track"):
        answer = admin.post(f'{{"{name}":1,"customer_id":"a"}}'.encode(), path)
        assert answer.status_code == 400
        assert len(answer.content) < 2_000


# --- Back-pressure


def queue(count: int, lane: int, age: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO automation_queuedevent (event_id, profile_id, lane, shard, occurred_at, accepted_at, due_at)"
            " SELECT -n, 1, %s, 0, now(), now() - %s::interval, now() - %s::interval FROM generate_series(1, %s) n",
            [lane, age, age, count],
        )


@pytest.mark.parametrize(
    ("lane", "age", "status"),
    [(1, "31 seconds", 503), (1, "29 seconds", 202), (1, "-1 hour", 202), (4, "1 hour", 202)],
)
def test_urgent_events_that_wait_too_long_stop_new_ones(shop: Shop, lane: int, age: str, status: int) -> None:
    """R-009: the oldest critical event pending more than 30 s gives 503."""
    queue(1, lane, age)
    answer = shop.post(EVENT)
    assert answer.status_code == status
    assert Event.objects.count() == (status == 202)
    if status == 503:
        assert int(answer["Retry-After"]) > 0


@pytest.mark.parametrize(("estimate", "real", "refused"), [(0, 3, False), (9, 3, True), (9, 2, False)])
def test_too_many_waiting_events_stop_new_ones(
    shop: Shop, settings: Any, monkeypatch: Any, estimate: int, real: int, refused: bool
) -> None:
    """R-009: the estimate is free; before anyone is refused the rows are counted. 503, for both shapes."""
    settings.PENDING_LIMIT = 2
    monkeypatch.setattr(pressure, "_ESTIMATE", f"SELECT {estimate}")
    queue(real, 4, "1 second")
    for path, body in ((EVENTS, EVENT), ("/v1/track", {"userId": "a", "event": "X"})):
        answer = shop.post(body, path)
        if refused:
            check(answer, "unavailable")
        else:
            assert answer.status_code in (200, 202)
    assert Event.objects.count() == (0 if refused else 2)


def test_the_estimate_is_a_number_postgresql_knows() -> None:
    with connection.cursor() as cursor:
        cursor.execute(pressure._ESTIMATE)
        assert cursor.fetchone()[0] >= 0


def test_the_queue_is_looked_at_once_a_second(shop: Shop, monkeypatch: Any) -> None:
    looks = []
    monkeypatch.setattr(pressure, "_look", lambda: looks.append(1) or (4, ""))
    for _ in range(5):
        shop.post(EVENT)
    assert len(looks) == 1
    pressure.forget()
    shop.post(EVENT)
    assert len(looks) == 2
    assert QueuedEvent.objects.count() == 6
