"""A web server that is asked to end under load: what it has taken it answers, and what it answered is stored."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings
from django.db import connection

from automation.models import Event, WriteKey
from config import programs
from config.embedded import PROJECT

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]


def test_a_web_server_that_ends_under_load_answers_what_it_took() -> None:
    """R-001, R-032: SIGTERM, exit 0 within 20 s; each 202 is in the database, and no client saw a 5xx."""
    key = WriteKey(name="load", source="shop", scopes=["events:write"])
    token = key.issue()
    key.save()
    url = urlsplit(settings.DATABASE_URL or settings.EMBEDDED.database_url)
    env = {
        **os.environ,
        "DATABASE_URL": urlunsplit(url._replace(path=f"/{connection.settings_dict['NAME']}")),
        "REDIS_URL": settings.REDIS_CLIENT_URL,
        "REDIS_PREFIX": settings.REDIS_PREFIX,
        "SECRET_KEY": settings.SECRET_KEY,
        "PUBLIC_URL": "http://127.0.0.1",
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        port = listener.getsockname()[1]
        program = programs.web(listener, 2, 4)
        process = subprocess.Popen(
            program.command(os.getpid()), cwd=PROJECT, env=env, pass_fds=program.inherited
        )
        try:
            deadline = time.monotonic() + 40
            while not program.answers():
                assert time.monotonic() < deadline, "the web server does not start"
                time.sleep(0.1)
            accepted: list[int] = []
            wrong: list[int] = []
            ending = threading.Event()
            clients = [
                threading.Thread(target=_send, args=(port, token, accepted, wrong, ending)) for _ in range(4)
            ]
            for client in clients:
                client.start()
            while len(accepted) < 40:
                assert time.monotonic() < deadline, "no event is accepted"
                time.sleep(0.02)
            asked = time.monotonic()
            process.terminate()
            code = process.wait(25)
            took = time.monotonic() - asked
            ending.set()
        finally:
            process.kill()
            process.wait()
    for client in clients:
        client.join(10)
    assert (code, wrong) == (0, [])
    assert took < 20
    assert Event.objects.filter(pk__in=accepted).count() == len(accepted) == len(set(accepted))


def _send(port: int, token: str, accepted: list[int], wrong: list[int], ending: threading.Event) -> None:
    body = json.dumps({"event_type": "page_view", "customer_id": "alice"}).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    while not ending.is_set():
        request = urllib.request.Request(f"http://127.0.0.1:{port}/api/v1/events/", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                accepted.append(json.loads(answer.read())["event_id"])
        except urllib.error.HTTPError as error:
            error.close()
            wrong.append(error.code)
        except OSError:  # Not taken: nobody listens any more, or the connection was refused.
            time.sleep(0.05)
