"""manage.py send_event: one event through the real HTTP API, as a shop would send it."""

from __future__ import annotations

import json
import logging
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from automation.api.examples import CART_ABANDONMENT
from automation.ids import uuid7

TIMEOUT = 10.0
POLL_SECONDS = 0.1


class Command(BaseCommand):
    help = "Send an event to a running server and print what it answers; without options an abandoned cart."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("event_type", nargs="?", help="For example page_view; needs --customer.")
        parser.add_argument("--key", required=True, help="A write key (manage.py create_key).")
        parser.add_argument("--customer", help="The customer's id.")
        parser.add_argument("--data", default="{}", help="event_data as JSON.")
        parser.add_argument(
            "--file", help="A file with the whole body, one event or a batch; - reads standard input."
        )
        parser.add_argument("--url", default=settings.PUBLIC_URL, help="Address of the server.")
        parser.add_argument(
            "--wait", type=float, default=0.0, help="Wait up to so many seconds for the decision."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit 1 when the server does not accept it."""
        logging.getLogger("httpx").setLevel(logging.WARNING)  # It logs every request.
        headers = {"Authorization": f"Bearer {options['key']}"}
        try:
            with httpx.Client(base_url=options["url"], headers=headers, timeout=TIMEOUT) as client:
                answer = client.post("/api/v1/events/", json=self._body(options))
                document = answer.json()
                self._print(document)
                if not answer.is_success:
                    raise CommandError(f"Not accepted: {document.get('detail') or answer.status_code}")
                if options["wait"] and "event_id" in document:
                    self._print(self._decision(client, document["event_id"], options["wait"]))
        except httpx.HTTPError as error:
            raise CommandError(f"No answer from {options['url']}: {error}") from None
        except json.JSONDecodeError:
            raise CommandError(f"{options['url']} answered something else than JSON: is it Beckon?") from None

    def _body(self, options: dict[str, Any]) -> Any:
        try:
            if options["file"]:
                text = sys.stdin.read() if options["file"] == "-" else Path(options["file"]).read_text()
                return json.loads(text)
            data = json.loads(options["data"])
        except (OSError, ValueError) as error:
            raise CommandError(f"The event cannot be read: {error}") from None
        fresh = {"message_id": str(uuid7()), "timestamp": timezone.now().isoformat()}
        if not options["event_type"]:
            known = {"customer_id": options["customer"]} if options["customer"] else {}
            return {**CART_ABANDONMENT, **known, **fresh}
        if not options["customer"]:
            raise CommandError("Say whose event it is: --customer ID")
        return {
            "customer_id": options["customer"],
            "event_type": options["event_type"],
            "event_data": data,
            **fresh,
        }

    def _decision(self, client: httpx.Client, event_id: int, seconds: float) -> Any:
        until = time.monotonic() + seconds
        while True:
            document = client.get(f"/api/v1/events/{event_id}/").json()
            if document.get("state") != "received" or time.monotonic() >= until:
                return document
            time.sleep(POLL_SECONDS)

    def _print(self, document: Any) -> None:
        self.stdout.write(json.dumps(document, indent=2, ensure_ascii=False))
