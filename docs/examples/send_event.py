"""Send events with nothing but Python's standard library.

    BECKON_KEY=bk_live_… python send_event.py

Copy `send` into your shop. The message id is made once, before the first try, so a retry can never become a
second event.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import time
import uuid
from urllib.parse import urlsplit

TRIES = 6
TIMEOUT = 10
RETRIED = {408, 425, 429, 500, 502, 503, 504}


class RefusedError(Exception):
    """The server will not take this event, however often it is sent; says why."""


def send(url: str, key: str, event: dict) -> dict:
    """Send one event and return the answer; waits and retries while the server asks for it."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    body = json.dumps({"message_id": str(uuid.uuid4()), "timestamp": now, **event}).encode()
    for attempt in range(TRIES):
        try:
            status, headers, answer = _post(f"{url}/api/v1/events/", key, body)
        except (
            OSError,
            http.client.HTTPException,
        ):  # No connection, or it broke: nobody knows whether the event arrived.
            status, headers, answer = 503, {}, b""
        if status < 300:
            return json.loads(answer)
        if status not in RETRIED:
            raise RefusedError(answer.decode("utf-8", "replace"))
        wait = float(headers.get("Retry-After") or random.uniform(0, min(30, 2**attempt)))
        time.sleep(wait)
    raise TimeoutError(f"not sent after {TRIES} tries; the last answer was {status}")


def _post(url: str, key: str, body: bytes) -> tuple:
    where = urlsplit(url)
    kind = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
    connection = kind(where.netloc, timeout=TIMEOUT)
    try:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        connection.request("POST", where.path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


if __name__ == "__main__":
    print(
        send(
            os.environ.get("BECKON_URL", "http://127.0.0.1:8000"),
            os.environ["BECKON_KEY"],
            {
                "customer_id": "customer_12345",
                "event_type": "cart_abandonment",
                "event_data": {
                    "cart_id": "cart_abc123",
                    "total_value": 124.98,
                    "cart_recovery_url": "https://example.com/cart/recover/abc123",
                },
            },
        )
    )
