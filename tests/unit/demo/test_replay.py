"""Sending over HTTP: in order, repeated until answered, each event counted once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from analytics.demo.replay import Replay, ReplayError

Handler = Callable[[httpx.Request], httpx.Response]


def bodies(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [
        {"customer_id": "c", "event_type": "page_view", "message_id": f"m{n}"}
        for n in range(first, first + count)
    ]


class Server:
    """Answers like the API, after the answers that it is told to give first."""

    def __init__(self, *first: httpx.Response | Exception) -> None:
        self.first = list(first)
        self.requests: list[list[str]] = []
        self.known: set[str] = set()
        self.keys: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        document = msgspec.json.decode(request.content)
        events = document.get("events", [document])
        with self._lock:
            self.keys.add(request.headers["Authorization"])
            self.requests.append([event["message_id"] for event in events])
            if self.first:
                answer = self.first.pop(0)
                if isinstance(answer, Exception):
                    raise answer
                return answer
            results = [self._take(event["message_id"]) for event in events]
        if "events" in document:
            return httpx.Response(200, json={"results": results})
        return httpx.Response(202, json=results[0])

    def _take(self, message_id: str) -> dict[str, Any]:
        if message_id.startswith("bad"):
            return {"status": "rejected", "errors": [{"pointer": "/x", "message": "No."}]}
        status = "duplicate" if message_id in self.known else "accepted"
        self.known.add(message_id)
        return {"status": status, "event_id": 1, "message_id": message_id, "duplicate": status == "duplicate"}


def replay(server: Handler, sleeps: list[float] | None = None) -> Replay:
    waits: list[float] = [] if sleeps is None else sleeps
    return Replay(
        "http://demo.test",
        "bk_live_x",
        ended=threading.Event(),
        transport=httpx.MockTransport(server),
        sleep=waits.append,
    )


def test_every_event_is_sent_once_and_counted() -> None:
    server, told = Server(), []
    with replay(server) as sender:
        sender.flood(bodies(1050), connections=3, batch=400, tell=told.append)
    assert sorted(len(ids) for ids in server.requests) == [250, 400, 400]
    assert sorted(told) == [250, 400, 400]
    assert sender.accepted == 1050
    assert sender.doubles == 0
    assert server.keys == {"Bearer bk_live_x"}


def test_one_connection_keeps_the_order() -> None:
    server = Server()
    with replay(server) as sender:
        sender.flood(bodies(10), connections=1, batch=3)
    assert [n for ids in server.requests for n in ids] == [f"m{n}" for n in range(10)]


def test_what_is_sent_twice_counts_once() -> None:
    server = Server()
    with replay(server) as sender:
        sender.flood(bodies(6) + bodies(2), connections=1, batch=8)
    assert (sender.accepted, sender.doubles) == (6, 2)


def test_a_refused_event_is_reported_and_does_not_count() -> None:
    server = Server()
    with replay(server) as sender:
        sender.send([*bodies(1), {"event_type": "page_view", "message_id": "bad1"}])
    assert sender.accepted == 1
    assert len(sender.refused) == 1
    assert "No." in sender.refused[0]


@pytest.mark.parametrize(
    ("answer", "waited"),
    [
        (httpx.Response(503, headers={"Retry-After": "3"}), 3.0),
        (httpx.Response(429, headers={"Retry-After": "1"}), 1.0),
        (httpx.Response(503), 0.25),
        (httpx.Response(502, headers={"Retry-After": "soon"}), 0.25),
        (httpx.ConnectError("refused"), 0.25),
        (httpx.ReadTimeout("late"), 0.25),
    ],
)
def test_a_request_without_an_answer_is_sent_again_unchanged(
    answer: httpx.Response | Exception, waited: float
) -> None:
    server, sleeps = Server(answer), []
    with replay(server, sleeps) as sender:
        sender.send(bodies(3))
    assert server.requests == [["m0", "m1", "m2"]] * 2
    assert sleeps == [waited]
    assert sender.accepted == 3


def test_a_batch_whose_answer_was_lost_counts_as_accepted_once() -> None:
    server = Server()
    server.known |= {"m0", "m1"}
    with replay(server) as sender:
        sender.send(bodies(2))
    assert sender.accepted == 2


@pytest.mark.parametrize("status", [400, 401, 403, 409, 500])
def test_an_answer_that_no_repeat_can_mend_ends_the_replay(status: int) -> None:
    server = Server(httpx.Response(status, text="no such key"))
    with replay(server) as sender, pytest.raises(ReplayError, match=f"{status}: no such key"):
        sender.flood(bodies(1), connections=1)
    assert len(server.requests) == 1


def test_a_server_that_never_answers_is_given_up() -> None:
    server = Server(*[httpx.Response(503, headers={"Retry-After": "61"})] * 2)
    with replay(server) as sender, pytest.raises(ReplayError, match="takes no events: 503"):
        sender.send(bodies(1))


def test_an_end_stops_the_flood() -> None:
    ended = threading.Event()
    server = Server()
    sender = Replay("http://demo.test", "k", ended=ended, transport=httpx.MockTransport(server))
    with sender:
        sender.flood(bodies(100), connections=1, batch=10, tell=lambda count: ended.set())
    assert len(server.requests) <= 2


def test_the_pace_is_asked_for_before_every_batch() -> None:
    server, asked = Server(), []
    with replay(server) as sender:
        sender.flood(bodies(9), connections=2, batch=3, pace=lambda: asked.append(len(server.requests)))
    assert len(asked) == 3
    assert asked[0] == 0


def test_drip_sends_one_at_a_time_at_an_even_pace() -> None:
    server, sleeps = Server(), []
    with replay(server, sleeps) as sender:
        sender.drip(bodies(4), per_second=10)
    assert server.requests == [["m0"], ["m1"], ["m2"], ["m3"]]
    assert len(sleeps) == 4
    assert sleeps[-1] == pytest.approx(0.3, abs=0.1)  # Nobody really sleeps here, so waits add up.
