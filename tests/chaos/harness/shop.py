"""A client that keeps what was acknowledged: the list the judge believes."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import httpx

BATCH = 250
_numbers = itertools.count(1)


class Shop:
    """Sends events over HTTP until each is acknowledged; a repeat carries the same message id."""

    def __init__(self, url: str, key: str, *, patience: float = 60.0) -> None:
        self.url = url
        self.key = key
        self.patience = patience  # Seconds for which one request is repeated.
        self.accepted: list[str] = []  # Message ids that were answered 202, or `accepted` in a batch.
        self.statuses: Counter[int | str] = Counter()  # Of every answer; connection errors by name.
        self.seconds: list[float] = []  # How long each acknowledgement of a single event took.
        self._client = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30, trust_env=False
        )

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def event(self, customer_id: str, name: str = "cart_abandonment", **fields: Any) -> dict[str, Any]:
        """An event with a message id of its own."""
        return {
            "customer_id": customer_id,
            "event_type": name,
            "event_data": fields.pop("data", {"total_value": 80}),
            "message_id": fields.pop("message_id", f"m-{next(_numbers)}-{time.time_ns()}"),
            **fields,
        }

    def introduce(self, customers: Sequence[str]) -> None:
        """Traits, and a consent to marketing by e-mail; not on the list of what the judge asks for."""
        events: list[dict[str, Any]] = []
        for who in customers:
            traits = {"traits": {"email": f"{who}@example.com", "first_name": who}}
            consent = {"topic": "marketing", "channel": "email", "is_granted": True}
            events.append(self.event(who, "identify", data=traits))
            events.append(self.event(who, "consent_changed", data=consent))
        self.send(events)
        self.accepted.clear()

    def send(self, events: Iterable[dict[str, Any]]) -> None:
        """In batches; every event is acknowledged when this returns."""
        waiting = list(events)
        while waiting:
            batch, waiting = waiting[:BATCH], waiting[BATCH:]
            answer = self._post({"events": batch}, want=200)
            for event, result in zip(batch, answer.json()["results"], strict=True):
                if result["status"] not in ("accepted", "duplicate"):
                    raise AssertionError(f"{event} was answered {result}")
                self.accepted.append(result["message_id"])

    def send_one(self, event: dict[str, Any]) -> float:
        """A single event; the seconds its acknowledgement took, repeats included."""
        started = time.monotonic()
        self._post(event, want=202)
        self.accepted.append(event["message_id"])
        self.seconds.append(time.monotonic() - started)
        return self.seconds[-1]

    def try_once(self, event: dict[str, Any]) -> int | str:
        """A single event without a repeat; the answer's status, or the name of the error."""
        started = time.monotonic()
        status = self._once(event)
        if status == 202:
            self.accepted.append(event["message_id"])
            self.seconds.append(time.monotonic() - started)
        return status

    def _once(self, document: Any) -> int | str:
        try:
            status: int | str = self._client.post("/api/v1/events/", json=document).status_code
        except httpx.TransportError as error:
            status = type(error).__name__
        self.statuses[status] += 1
        return status

    def _post(self, document: Any, *, want: int) -> httpx.Response:
        deadline = time.monotonic() + self.patience
        while True:
            try:
                answer = self._client.post("/api/v1/events/", json=document)
                self.statuses[answer.status_code] += 1
                if answer.status_code == want:
                    return answer
                if answer.status_code not in (429, 503):
                    raise AssertionError(f"{answer.status_code}: {answer.text[:500]}")
            except httpx.TransportError as error:
                self.statuses[type(error).__name__] += 1
            if time.monotonic() > deadline:
                raise AssertionError(f"not acknowledged within {self.patience} s: {dict(self.statuses)}")
            time.sleep(0.05)
