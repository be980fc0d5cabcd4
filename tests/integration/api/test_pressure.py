"""Back-pressure: the least urgent is refused first, each event is told, and nothing accepted is dropped."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest

from automation.api import pressure
from automation.api.documents import RESULTS
from automation.api.pressure import open_lanes
from automation.engine.types import Priority
from automation.models import Event, QueuedEvent
from config.servers import Servers
from config.supervisor import Supervisor
from tests.factories import make_trigger
from tests.integration.api.shops import EVENTS, Shop
from tests.integration.api.test_problems import check, queue

LANES = {
    "page_view": Priority.LOW,
    "browse": Priority.MEDIUM,
    "order": Priority.HIGH,
    "alarm": Priority.CRITICAL,
}


@pytest.fixture
def lanes(db: None) -> None:
    """A trigger for each lane but the lowest, which needs none."""
    for name, priority in LANES.items():
        if priority is not Priority.LOW:
            make_trigger(on=name, priority=priority)


def refuse_below(monkeypatch: pytest.MonkeyPatch, lane: int) -> None:
    """Lanes after `lane` are refused; 0: all."""
    monkeypatch.setattr(pressure, "_look", lambda: (lane, "Too many events wait to be decided."))


@pytest.mark.parametrize(
    ("pending", "seconds", "last"),
    [
        (0, 0, Priority.LOW),
        (1_000, 30, Priority.LOW),
        (1_001, 0, Priority.MEDIUM),
        (1_100, 40, Priority.MEDIUM),
        (1_101, 0, Priority.HIGH),
        (1_200, 50, Priority.HIGH),
        (1_201, 0, Priority.CRITICAL),
        (1_300, 60, Priority.CRITICAL),
        (1_301, 0, 0),
        (0, 30.1, Priority.MEDIUM),
        (0, 40.1, Priority.HIGH),
        (0, 50.1, Priority.CRITICAL),
        (0, 60.1, 0),
        (1_001, 40.1, Priority.HIGH),
        (1_101, 30.1, Priority.HIGH),
    ],
)
def test_lanes_close_from_the_lowest_up(pending: int, seconds: float, last: int) -> None:
    """R-009: `last` is the last one taken; shares of the limit and the wait of critical events both count."""
    taken, reason = open_lanes(pending, 1_000, seconds)
    assert taken == last
    assert bool(reason) is (taken < Priority.LOW)


@pytest.mark.usefixtures("lanes")
@pytest.mark.parametrize("last", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("name", LANES)
def test_a_single_event_is_refused_by_its_lane(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, name: str, last: int
) -> None:
    """R-009: 503 with Retry-After, and nothing is stored; both shapes alike."""
    refuse_below(monkeypatch, last)
    is_taken = LANES[name] <= last
    for path, body in (
        (EVENTS, {"customer_id": "ada", "event_type": name}),
        ("/v1/track", {"userId": "ada", "event": name}),
    ):
        answer = shop.post(body, path)
        if is_taken:
            assert answer.status_code in (200, 202)
        else:
            check(answer, "unavailable")
            assert int(answer["Retry-After"]) > 0
    assert Event.objects.count() == QueuedEvent.objects.count() == (2 if is_taken else 0)


@pytest.mark.usefixtures("lanes")
def test_a_batch_names_what_is_busy_and_takes_the_rest(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """R-009, R-004: in the order sent; a busy event is not stored, and is accepted when it comes again."""
    from jsonschema import Draft202012Validator

    refuse_below(monkeypatch, Priority.HIGH)
    names = ["alarm", "page_view", "order", "browse"]
    batch = {"events": [*({"customer_id": "a", "event_type": name, "message_id": name} for name in names), 7]}
    answer = shop.post(batch)
    assert answer.status_code == 200
    body = answer.json()
    Draft202012Validator(RESULTS).validate(body)
    statuses = [result["status"] for result in body["results"]]
    assert statuses == ["accepted", "busy", "accepted", "busy", "rejected"]
    assert body["results"][1] == {"status": "busy", "retry_after": 5}
    assert (body["accepted"], body["busy"], body["rejected"]) == (2, 2, 1)
    assert sorted(Event.objects.values_list("name", flat=True)) == ["alarm", "order"]

    refuse_below(monkeypatch, Priority.LOW)
    pressure.forget()
    again = shop.post(batch).json()
    assert [result["status"] for result in again["results"]] == [
        "duplicate", "accepted", "duplicate", "accepted", "rejected"
    ]  # fmt: skip


@pytest.mark.usefixtures("lanes")
def test_a_batch_of_busy_events_only_is_503(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """R-009."""
    refuse_below(monkeypatch, Priority.CRITICAL)
    batch = {"events": [{"customer_id": "a", "event_type": "order"}, {"customer_id": "a"}]}
    check(shop.post(batch), "unavailable")
    assert Event.objects.count() == 0


@pytest.mark.usefixtures("lanes")
def test_segments_clients_repeat_a_batch_and_lose_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-009: they look at the status alone; urgent calls with an id are stored at once, and once."""
    refuse_below(monkeypatch, Priority.HIGH)
    calls = [
        {"type": "track", "userId": "a", "event": "alarm", "messageId": "1"},
        {"type": "track", "userId": "a", "event": "alarm"},
        {"type": "track", "userId": "a", "event": "page_view", "messageId": "3"},
    ]
    check(shop.post({"batch": calls}, "/v1/batch"), "unavailable")
    assert list(Event.objects.values_list("message_id", flat=True)) == ["1"]
    refuse_below(monkeypatch, Priority.LOW)
    pressure.forget()
    assert shop.post({"batch": calls}, "/v1/batch").status_code == 200
    assert Event.objects.count() == 3


@pytest.mark.usefixtures("lanes")
def test_imported_history_is_the_first_to_wait(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """R-009: whatever its events are called."""
    refuse_below(monkeypatch, Priority.MEDIUM)
    call = {"type": "track", "userId": "a", "event": "alarm", "messageId": "1"}
    check(shop.post({"batch": [call]}, "/v1/import"), "unavailable")


@pytest.mark.usefixtures("lanes")
def test_when_all_is_refused_no_body_is_read(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """R-009."""
    refuse_below(monkeypatch, 0)
    check(shop.post(b"not json"), "unavailable")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("age", "last"),
    [("29 seconds", 4), ("31 seconds", 3), ("41 seconds", 2), ("51 seconds", 1), ("61 seconds", 0)],
)
def test_the_wait_of_the_oldest_critical_event_is_measured(age: str, last: int) -> None:
    """R-009."""
    queue(1, 1, age)
    assert pressure._look()[0] == last


@pytest.mark.django_db
@pytest.mark.parametrize(("rows", "last"), [(10, 4), (11, 3), (12, 2), (13, 1), (14, 0)])
def test_the_waiting_rows_are_counted(
    settings: Any, monkeypatch: pytest.MonkeyPatch, rows: int, last: int
) -> None:
    """R-009."""
    settings.PENDING_LIMIT = 10
    monkeypatch.setattr(pressure, "_ESTIMATE", "SELECT 99")
    queue(rows, 4, "1 second")
    assert pressure._look()[0] == last


@pytest.mark.chaos
@pytest.mark.timeout(120)
def test_a_real_stop_of_postgresql_is_503_within_three_seconds(own_servers: Servers) -> None:
    """R-009, R-001: the same key and server before, while and after; nothing accepted is missing."""
    env = {
        "DATABASE_URL": own_servers.database_url,
        "REDIS_URL": own_servers.redis_url,
        "EMAIL_URL": "smtp://127.0.0.1:1",
        "SECRET_KEY": "only for this server",
    }
    with Supervisor(env, own_servers.paths.base, workers=(), beat=False, port=18_100) as beckon:
        key = json.loads(beckon.manage("create_key", "shop", "--json"))["key"]
        assert beckon.wait_ready(60)
        accepted = []
        with httpx.Client(base_url=beckon.url, headers={"X-Api-Key": key}, timeout=20) as client:

            def send(n: int) -> tuple[int, float, str]:
                body = {"customer_id": "a", "event_type": "page_view", "message_id": f"m{n}"}
                started = time.monotonic()
                answer = client.post(EVENTS, json=body)
                if answer.status_code == 202:
                    accepted.append(f"m{n}")
                elif answer.status_code == 503:
                    assert int(answer.headers["Retry-After"]) > 0
                return answer.status_code, time.monotonic() - started, answer.text

            assert {send(n)[0] for n in range(20)} == {202}
            own_servers.kill("postgres", stay_down=True)
            down = [send(n) for n in range(20, 60)]
            # Backends of a killed server finish what they are at, and are asked for nothing more.
            assert {status for status, _, _ in down} <= {202, 503}
            assert {status for status, _, _ in down[-20:]} == {503}
            assert max(took for _, took, _ in down) < 3
            own_servers.bring_up("postgres")
            deadline, n, in_a_row = time.monotonic() + 10, 60, 0
            while in_a_row < 10:  # A connection of another thread may be found broken later.
                assert time.monotonic() < deadline
                in_a_row = in_a_row + 1 if send(n)[0] == 202 else 0
                n += 1
                time.sleep(0.02)
        script = (
            "from automation.models import Event; print(*Event.objects.values_list('message_id', flat=True))"
        )
        assert sorted(beckon.manage("shell", "--verbosity=0", "-c", script).split()) == sorted(accepted)
