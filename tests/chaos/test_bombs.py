"""T17: bodies made to hurt: refused at once, whatever they say about themselves, and memory stays flat."""

from __future__ import annotations

import bz2
import gzip
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.chaos.conftest import SceneMaker
from tests.chaos.harness.report import Report
from tests.chaos.harness.scene import Scene
from tests.chaos.harness.size import full_only, pick

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

PARALLEL = 4
SECONDS = 0.1  # Of the fastest of its rounds: this machine may be busy with other things.
RSS_MB = 30
EVENT = b'{"customer_id":"a","event_type":"x"}'
JSON = "application/json"
_MB = 1024 * 1024


def _chunked(body: bytes) -> bytes:
    step = 65_536
    pieces = (body[at : at + step] for at in range(0, len(body), step))
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def _fixed(body: bytes, *headers: str, length: int | None = None) -> tuple[tuple[str, ...], bytes]:
    declared = len(body) if length is None else length
    return (f"Content-Type: {JSON}", *headers, f"Content-Length: {declared}"), body


def bombs() -> dict[str, tuple[tuple[str, ...], bytes]]:
    """Name -> (headers, body)."""
    blanks = gzip.compress(b" " * 200_000_000, mtime=0)
    packed = "Content-Encoding: gzip"
    bzipped = bz2.compress(b" " * 100_000_000)
    return {
        "200 MB in gzip": _fixed(blanks, packed),
        "gzip of gzip": _fixed(gzip.compress(blanks, mtime=0), packed),
        "gzip, gzip": _fixed(gzip.compress(blanks, mtime=0), "Content-Encoding: gzip, gzip"),
        "charset bz2_codec": ((f"Content-Type: {JSON}; charset=bz2_codec", f"Content-Length: {len(bzipped)}"), bzipped),
        "100,000 levels": _fixed(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
        "100,000 lists": _fixed(b"[" * 100_000 + b"]" * 100_000),
        "an array of 1,000,000": _fixed(b"[" + b"0," * 999_999 + b"0]"),
        "an array of 500,000 inside": _fixed(
            EVENT[:-1] + b',"event_data":{"l":[' + b"0," * 500_000 + b"0]}}"
        ),
        "100,000 items": _fixed(b'{"events":[' + b"{}," * 100_000 + b"{}]}"),
        "a text of 10 MB": _fixed(EVENT[:-1] + b',"event_data":{"t":"' + b"x" * 10_000_000 + b'"}}'),
        "10 MB in chunks": (
            (f"Content-Type: {JSON}", "Transfer-Encoding: chunked"),
            _chunked(EVENT[:-1] + b',"event_data":{"t":"' + b"x" * 10_000_000 + b'"}}'),
        ),
        "a length too long": _fixed(EVENT, length=5_000),
        "a length too short": _fixed(EVENT, length=10),
        "a length of 10 GB": _fixed(EVENT, length=10_000_000_000),
        "two lengths": ((f"Content-Type: {JSON}", "Content-Length: 36", "Content-Length: 10"), EVENT),
        "a length and chunks": (
            (f"Content-Type: {JSON}", "Content-Length: 36", "Transfer-Encoding: chunked"),
            _chunked(EVENT),
        ),
        "chunks that lie": ((f"Content-Type: {JSON}", "Transfer-Encoding: chunked"), b"ffffffffff\r\n" + EVENT),
    }  # fmt: skip


def throw(url: str, key: str, bomb: tuple[tuple[str, ...], bytes]) -> tuple[int, float]:
    """Send one, and half-close: the status, and the seconds from the last byte we could send to the answer."""
    headers, body = bomb
    where = urlsplit(url)
    head = [
        "POST /api/v1/events/ HTTP/1.1",
        f"Host: {where.netloc}",
        f"X-Api-Key: {key}",
        "Connection: close",
    ]
    with socket.create_connection((where.hostname or "", where.port or 80), timeout=30) as sock:
        started = time.monotonic()
        try:
            sock.sendall("\r\n".join([*head, *headers, "", ""]).encode() + body)
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # Refused before all of it was read, as it should be.
        answer = b""
        try:
            while part := sock.recv(65_536):
                answer += part
        except ConnectionResetError:
            pass
        took = time.monotonic() - started
    found = re.match(rb"HTTP/1\.1 (\d{3})", answer)
    return (int(found[1]) if found else 0), took


class Memory:
    """How much resident memory some processes have at most while it is open, against before; in MB."""

    def __init__(self, pids: list[int]) -> None:
        self.before = {pid: _resident(pid) for pid in pids}
        self.highest = dict(self.before)
        self._over = threading.Event()

    def __enter__(self) -> Memory:
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def grown(self) -> float:
        """Of the process that grew most."""
        return round(max(self.highest[pid] - self.before[pid] for pid in self.before), 1)

    def _watch(self) -> None:
        while not self._over.wait(0.005):
            for pid in self.before:
                self.highest[pid] = max(self.highest[pid], _resident(pid))


def _resident(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / _MB


def web_pids(scene: Scene) -> list[int]:
    """The worker processes of gunicorn."""
    master = scene.supervisor.processes["web"].pid
    return [int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()]


def run_bombs(scene: Scene, rounds: int) -> dict[str, Any]:
    """Throw every bomb `rounds` times, PARALLEL at once; the figures."""
    key = scene.shop().key
    url = scene.supervisor.url
    plain = _fixed(EVENT)
    with ThreadPoolExecutor(16) as pool:  # Every thread has its connection before memory is measured.
        list(pool.map(lambda _: throw(url, key, plain), range(320)))
    statuses: dict[str, list[int]] = {}
    fastest: dict[str, float] = {}
    slowest = 0.0
    grown: dict[str, float] = {}
    pids = web_pids(scene)
    with Memory(pids) as memory, ThreadPoolExecutor(PARALLEL) as pool:
        for name, bomb in bombs().items():
            with Memory(pids) as own:
                for _ in range(rounds):
                    for status, took in pool.map(lambda _, bomb=bomb: throw(url, key, bomb), range(PARALLEL)):
                        statuses.setdefault(name, []).append(status)
                        fastest[name] = min(fastest.get(name, 99.0), took)
                        slowest = max(slowest, took)
            grown[name] = own.grown
    return {
        "bombs": sum(map(len, statuses.values())),
        "statuses": {name: sorted(set(found)) for name, found in statuses.items()},
        "ms": {name: round(took * 1000, 1) for name, took in fastest.items()},
        "slowest_ms": round(slowest * 1000, 1),
        "rss_growth_mb": grown,
        "rss_growth_of_all_mb": memory.grown,
        "is_alive": throw(url, key, plain)[0] == 202,
    }


@full_only
@pytest.mark.matrix("T17", "bombs: gzip, depth, arrays, texts, lying lengths; 4 at once")
def test_bombs_are_refused_at_once_and_cost_no_memory(make_scene: SceneMaker, report: Report) -> None:
    """T17, R-005, R-006: on a real web server; 4xx within 100 ms each, 30 MB at most."""
    scene = make_scene(workers=(), beat=False)
    figures = run_bombs(scene, rounds=pick(quick=2, full=10))
    report.faults = figures["bombs"]
    report.figures = {
        "slowest of the fastest ms": max(figures["ms"].values()),
        "slowest ms": figures["slowest_ms"],
        "RSS MB of one bomb": max(figures["rss_growth_mb"].values()),
        "RSS MB of all": figures["rss_growth_of_all_mb"],
    }
    wrong = {
        name: found for name, found in figures["statuses"].items() if not all(400 <= s < 500 for s in found)
    }
    assert wrong == {}
    assert {name: ms for name, ms in figures["ms"].items() if ms > SECONDS * 1000} == {}
    assert {name: mb for name, mb in figures["rss_growth_mb"].items() if mb > RSS_MB} == {}
    assert figures["is_alive"]


@pytest.fixture
def drip() -> Iterator[Callable[[str, bytes], socket.socket]]:
    """Open a connection, send a little, and go on sending nothing but one byte a second."""
    opened: list[socket.socket] = []
    over = threading.Event()

    def feed() -> None:
        while not over.wait(1):
            for sock in opened:
                try:
                    sock.sendall(b"x")
                except OSError:
                    continue

    feeder = threading.Thread(target=feed)
    feeder.start()

    def start(url: str, first: bytes) -> socket.socket:
        where = urlsplit(url)
        sock = socket.create_connection((where.hostname or "", where.port or 80), timeout=60)
        sock.sendall(first)
        opened.append(sock)
        return sock

    yield start
    over.set()
    feeder.join()
    for sock in opened:
        sock.close()


@full_only
@pytest.mark.matrix("T17", "24 clients that send one byte a second, 16 threads")
@pytest.mark.parametrize("part", ["head", "body"])
def test_clients_that_drip_hold_no_thread_for_long(
    make_scene: SceneMaker, drip: Callable[[str, bytes], socket.socket], report: Report, part: str
) -> None:
    """T17, R-005: more of them than the server has threads; after 15 s everybody else is served again."""
    scene = make_scene(workers=(), beat=False)
    key = scene.shop().key
    head = f"POST /api/v1/events/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Api-Key: {key}\r\n"
    first = head + (
        "X-Slow: " if part == "head" else f"Content-Type: {JSON}\r\nContent-Length: 900000\r\n\r\n"
    )
    slow = [drip(scene.supervisor.url, first.encode()) for _ in range(24)]
    time.sleep(1)
    started = time.monotonic()
    answer = httpx.post(
        f"{scene.supervisor.url}/api/v1/events/",
        content=EVENT,
        headers={"X-Api-Key": key, "Content-Type": JSON},
        timeout=60,
    )
    assert answer.status_code == 202
    took = time.monotonic() - started
    report.faults, report.figures = len(slow), {f"{part}: others waited s": round(took, 1)}
    assert took < 40
    answers = []
    for sock in slow:
        try:
            answers.append(sock.recv(65_536))
        except ConnectionResetError:
            answers.append(b"")
    assert all(not text or text.startswith(b"HTTP/1.1 4") for text in answers)
    if part == "body":
        assert any(b"broke off" in text for text in answers)


def test_keys_in_addresses_reach_no_log(make_scene: SceneMaker) -> None:
    """R-054, R-036: Segment's browser library puts the key into the address; known, unknown and broken requests."""
    scene = make_scene(workers=(), beat=False)
    key = scene.shop().key
    unknown = "bk_live_0badc0de_" + "Z" * 43
    for token in (key, unknown):
        httpx.get(f"{scene.supervisor.url}/v1/projects/{token}/settings")
        httpx.post(f"{scene.supervisor.url}/v1/projects/{token}/settings", content=b"x")
        throw(scene.supervisor.url, token, (("Bad Header Of : " + token,), b""))
        httpx.get(f"{scene.supervisor.url}/v1/nothing?writeKey={token}")
    where = urlsplit(scene.supervisor.url)
    with socket.create_connection((where.hostname or "", where.port or 80), timeout=10) as sock:
        sock.sendall(f"GET /v1/{key} HTTP/9.9\r\n\r\n".encode())
        sock.recv(1000)
    time.sleep(0.5)
    logs = "".join(file.read_text(errors="replace") for file in scene.folder.rglob("web.log"))
    assert "bk_live_" in logs, "the requests left lines, or this proves nothing"
    for token in (key, unknown):
        assert token[17:] not in logs
