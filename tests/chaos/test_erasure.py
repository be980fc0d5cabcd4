"""T23: people are erased while their events are decided and their mails go out; nothing of them stays."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.binaries import find_binaries
from config.servers import Servers
from tests.chaos.harness.judge import broken_invariants
from tests.chaos.harness.report import Report
from tests.chaos.harness.scene import Scene
from tests.chaos.harness.shop import Shop
from tests.chaos.harness.sinks import http_sink
from tests.chaos.harness.size import full_only
from tests.chaos.harness.stream import Stream

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

PEOPLE = 100
RATE = 60
AT_ONCE = 4  # Erasures.
LATE_SECONDS = 3.0  # So long events go on coming after the last person was erased.
# Every value that tells one of them from others holds the mark; phone numbers, which hold no letters, the digits.
MARK = re.compile(rb"zqx\d+|49155500\d{5}", re.IGNORECASE)


def _triggers(hook: str) -> str:
    return f"""
from tests.factories import EMAIL, make_trigger
make_trigger("mail", actions=[EMAIL])
make_trigger("hook", on="page_viewed", actions=[{{"type": "webhook", "url": "{hook}"}}])
make_trigger("wait", on="product_viewed", actions=[EMAIL], timing={{"kind": "delay", "minutes": 60}})
make_trigger("held", on="add_to_cart", actions=[EMAIL])
"""


def _echo(handler: BaseHTTPRequestHandler) -> None:
    """A receiver whose answer repeats who it was about."""
    body = b'{"welcome": "zqx1", "mail": "zqx1@example.net"}'
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def _introduce(shop: Shop) -> None:
    events = []
    for n in range(PEOPLE):
        who = f"zqx{n}"
        traits = {
            "email": f"{who}@example.net",
            "phone": f"+49155500{n:05}",
            "first_name": f"Zqx{n}",
            "last_name": f"von Zqx{n}",
            "city": f"Zqx{n}town",
        }
        consent = {"topic": "marketing", "channel": "email", "is_granted": True}
        events.append(shop.event(who, "identify", data={"traits": traits}, message_id=f"{who}-i"))
        events.append(shop.event(who, "consent_changed", data=consent, message_id=f"{who}-c"))
    shop.send(events)


def _event(shop: Shop, number: int) -> dict[str, Any]:
    """One after the other, all that Beckon does with an event."""
    who = f"zqx{number % PEOPLE}"
    name = ("cart_abandonment", "page_viewed", "product_viewed", "add_to_cart")[number // PEOPLE % 4]
    data = {"total_value": 80, "note": f"for {who}", "email": f"{who}@example.net"}
    if number % 7 == 0:
        return shop.event(
            who, "identify", data={"traits": {"nickname": f"{who}-{number}"}}, message_id=f"{who}-{number}"
        )
    return shop.event(who, name, data=data, message_id=f"{who}-{number}")


def _erase(officer: httpx.Client, number: int) -> tuple[str, float]:
    """Ask until it is done; the outcome and the seconds it took."""
    asked = time.monotonic()
    while True:
        answer = officer.post("/api/v1/privacy/erase/", json={"customer_id": f"zqx{number}"})
        if answer.status_code != 503:
            break
        time.sleep(0.1)
    assert answer.status_code == 200, answer.text
    return answer.json()["outcome"], time.monotonic() - asked


def _residue(scene: Scene, servers: Servers) -> dict[str, int]:
    """Where anything of the people still is, and how often."""
    found: Counter[str] = Counter()
    program = find_binaries(servers.paths.state, must_be_open=False).postgres.with_name("pg_dump")
    dump = subprocess.run([program, "--dbname", scene.database_url], capture_output=True, check=True).stdout
    assert b"COPY public.profiles_profile" in dump
    table = ""
    for line in dump.splitlines():
        if line.startswith(b"COPY "):
            table = line.split()[1].decode()
        found[table] += len(MARK.findall(line))
    for key in scene.redis.scan_iter(count=1000):
        with contextlib.suppress(TypeError):  # It ended in between.
            found[f"redis {key[:40]!r}"] += len(MARK.findall(key + _value(scene, key)))
    for log in [*scene.supervisor.paths.logs.glob("*.log"), *Path(servers.paths.logs).glob("*.log")]:
        if log.stem != "mailbox":  # The world outside.
            found[log.name] += len(MARK.findall(log.read_bytes()))
    return {where: n for where, n in found.items() if n}


def _value(scene: Scene, key: bytes) -> bytes:
    client: Any = scene.redis
    kind = client.type(key).decode()
    read: dict[str, Callable[[], Any]] = {
        "string": lambda: client.get(key),
        "list": lambda: client.lrange(key, 0, -1),
        "set": lambda: client.smembers(key),
        "hash": lambda: client.hgetall(key),
        "zset": lambda: client.zrange(key, 0, -1),
        "stream": lambda: client.xrange(key),
    }
    return repr(read[kind]()).encode() if kind in read else b""


@full_only
@pytest.mark.matrix("T23", "100 people erased under 60 events/s of theirs; more events later")
def test_nothing_of_an_erased_person_stays_or_comes_back(
    make_scene: Callable[..., Scene], chaos_servers: Servers, report: Report, tmp_path: Path
) -> None:
    """T23, R-052: no address, number, name, customer id or message id is in the database, in Redis or in a log."""
    with http_sink(tmp_path, _echo) as hook:
        scene = make_scene(prepare=_triggers(hook.url), env={"BECKON_WEBHOOK_PORTS": f"80,443,{hook.port}"})
        shop = scene.shop()
        _introduce(shop)
        scene.wait_until(lambda: scene.is_settled(0), 60, "introduced")
        assert (
            _residue(scene, chaos_servers).get("public.profiles_profile", 0) > PEOPLE
        )  # It finds what is there.
        key = json.loads(scene.manage("create_key", "officer", "--scopes", "admin", "--json"))["key"]
        outcomes: Counter[str] = Counter()
        slowest = 0.0
        with (
            Stream(shop, _event, RATE) as stream,
            httpx.Client(
                base_url=scene.supervisor.url,
                headers={"Authorization": f"Bearer {key}"},
                timeout=30,
                trust_env=False,
            ) as officer,
        ):
            scene.wait_until(lambda: len(hook.received()) > 0, 30, "the stream is delivered")
            with ThreadPoolExecutor(AT_ONCE) as pool:
                for outcome, took in pool.map(lambda n: _erase(officer, n), range(PEOPLE)):
                    outcomes[outcome] += 1
                    slowest = max(slowest, took)
                    report.faults += 1
            over = time.monotonic() + LATE_SECONDS
            scene.wait_until(lambda: time.monotonic() > over, LATE_SECONDS + 5)
        scene.wait_until(lambda: scene.is_settled(0), 60, "settled")
        residue = _residue(scene, chaos_servers)
        report.figures = {
            "residue": sum(residue.values()),
            "erased": outcomes["erased"],
            "slowest_erasure_s": round(slowest, 2),
            "events": sum(stream.statuses.values()),
            "mails_before": len(scene.received()),
            "calls_before": len(hook.received()),
        }
        report.uncertain = scene.value("SELECT count(*) FROM automation_delivery WHERE status = 'uncertain'")
        assert outcomes["erased"] == PEOPLE
        assert residue == {}
        assert not {status for status in stream.statuses if status not in (202, 503)}
        waiting = "SELECT count(*) FROM automation_execution WHERE status = 'pending'"
        assert scene.value(waiting) == 0
        assert broken_invariants(scene) == []
