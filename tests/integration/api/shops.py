"""A shop that sends events over HTTP."""

from __future__ import annotations

import json as jsonlib
from dataclasses import dataclass
from typing import Any

from django.test import Client

from automation.models import Event

EVENTS = "/api/v1/events/"


@dataclass
class Shop:
    """A shop with a write key."""

    token: str
    source: str
    client: Client

    def post(self, body: Any, path: str = EVENTS, **headers: str) -> Any:
        """Post `body` (bytes as they are, anything else as JSON) with this shop's key."""
        raw = body if isinstance(body, bytes) else jsonlib.dumps(body).encode()
        kind = headers.pop("content_type", "application/json")
        headers.setdefault("HTTP_AUTHORIZATION", f"Bearer {self.token}")
        return self.client.generic("POST", path, raw, content_type=kind, **headers)  # type: ignore[arg-type]

    def get(self, path: str) -> Any:
        return self.client.get(path, HTTP_AUTHORIZATION=f"Bearer {self.token}")


def stored(**filters: Any) -> Event:
    """The one event in the database (with these values)."""
    return Event.objects.get(**filters)
