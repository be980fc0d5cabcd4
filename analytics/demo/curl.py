"""A command to copy into another terminal."""

from __future__ import annotations

import json
import shlex

from analytics.demo.replay import PATH


def command(url: str, token: str) -> str:
    """Sends one event; the answer says where to see what became of it."""
    body = {"customer_id": "c00001", "event_type": "cart_abandonment", "event_data": {"total_value": 74.9}}
    return (
        f"curl -s {shlex.quote(url + PATH)} -H 'Authorization: Bearer {token}'"
        f" -H 'Content-Type: application/json' -d '{json.dumps(body)}'"
    )
