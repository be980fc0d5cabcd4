"""Commands and code to copy that send one event: with the real address, and the key where it is known."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

PLACEHOLDER: Final = "bk_live_YOUR_KEY"  # The secret of a key is shown once, when it is made, and not stored.
PATH: Final = "/api/v1/events/"
EXAMPLE: Final[Mapping[str, Any]] = {
    "customer_id": "customer_12345",
    "event_type": "cart_abandonment",
    "event_data": {"total_value": 124.98},
}


class Snippet(NamedTuple):
    """One way to send the event."""

    key: str  # Part of ids in pages: curl, python or javascript.
    label: str
    text: str


def snippets(base_url: str, key: str = PLACEHOLDER, event: Mapping[str, Any] | None = None) -> list[Snippet]:
    """curl, Python (standard library) and JavaScript that send `event` to this installation.

    `base_url` has no slash at its end: settings.PUBLIC_URL. Each text runs as it stands once `key` is a key.
    """
    event = EXAMPLE if event is None else event
    url = base_url + PATH
    return [
        Snippet("curl", "curl", _curl(url, key, event)),
        Snippet("python", "Python", _python(url, key, event)),
        Snippet("javascript", "JavaScript", _javascript(url, key, event)),
    ]


def _curl(url: str, key: str, event: Mapping[str, Any]) -> str:
    return (
        f"curl {shlex.quote(url)} \\\n"
        f"  -H {shlex.quote(f'Authorization: Bearer {key}')} -H 'Content-Type: application/json' \\\n"
        f"  -d {shlex.quote(json.dumps(event, ensure_ascii=False))}\n"
    )


def _python(url: str, key: str, event: Mapping[str, Any]) -> str:
    # The body as a text, so that the same JSON is sent whatever it holds: null and true are not Python.
    body = json.dumps(event)
    return (
        "from urllib.request import Request, urlopen\n\n"
        f"body = {body!r}\n"
        f'headers = {{"Authorization": {f"Bearer {key}"!r}, "Content-Type": "application/json"}}\n'
        f"with urlopen(Request({url!r}, body.encode(), headers)) as answer:\n"
        "    print(answer.read().decode())\n"
    )


def _javascript(url: str, key: str, event: Mapping[str, Any]) -> str:
    return (
        f"const answer = await fetch({json.dumps(url)}, {{\n"
        '  method: "POST",\n'
        f'  headers: {{ Authorization: {json.dumps(f"Bearer {key}")}, "Content-Type": "application/json" }},\n'
        f"  body: JSON.stringify({json.dumps(event, indent=2, ensure_ascii=False)}),\n"
        "});\n"
        "console.log(await answer.json());\n"
    )
