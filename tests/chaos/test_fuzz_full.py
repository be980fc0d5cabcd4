"""T16: twenty thousand requests nobody meant, against a real web server: no 5xx, flat memory, answers as promised."""

from __future__ import annotations

import http.client
import json
import random
import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import local
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from jsonschema import Draft202012Validator

from tests.chaos.conftest import SceneMaker
from tests.chaos.harness.report import Report
from tests.chaos.harness.scene import Scene
from tests.chaos.harness.size import SEED, pick
from tests.chaos.test_bombs import Memory, web_pids

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

PARALLEL = 4
SECONDS = 1.0
RSS_MB = 50
JSON = "application/json"
# Answers that every address may give, beside those in the document: a mutated path or method, a wrong key.
ALWAYS = (400, 401, 403, 404, 405, 411, 413, 415, 429)


@dataclass(frozen=True)
class Case:
    """One request; `template` is its address in the OpenAPI document, empty when it is meant to miss."""

    method: str
    path: str
    template: str
    body: bytes
    kind: str = JSON
    encoding: str = ""
    authorization: str | None = None  # None: the key of the run.


def nasties() -> list[Case]:
    """Two hundred by hand: each value in each place where a value may stand, limits of R-005 at and past."""
    values = [
        "null", "true", "-0", "1e15", "1000000000000001", "1e400", "-1e-400", "NaN", "Infinity", '""', '"\\u0000"',
        '"\\ud800"', '"\\udc00\\ud800"', '"\\ufeff"', '"' + "x" * 8192 + '"', '"' + "x" * 8193 + '"', "[]", "{}",
        "[" * 20 + "]" * 20, "[" * 5_000, '{"a":' * 30 + "1" + "}" * 30, '{"' + "k" * 129 + '":1}',
        "{" + ",".join(f'"{n}":1' for n in range(201)) + "}", '"9999-12-31T23:59:59-23:59"', '"0000-00-00T00:00:00Z"',
    ]  # fmt: skip
    places = [
        ("/api/v1/events/", '{"customer_id":@,"event_type":"x"}'),
        ("/api/v1/events/", '{"customer_id":"a","event_type":@}'),
        ("/api/v1/events/", '{"customer_id":"a","event_type":"x","event_data":@}'),
        ("/api/v1/events/", '{"customer_id":"a","event_type":"x","event_data":{"v":@},"timestamp":@}'),
        ("/api/v1/events/", '{"events":@}'),
        ("/api/v1/events/", '{"events":[@,{"customer_id":"a","event_type":"x","message_id":@}]}'),
        ("/v1/track", '{"userId":@,"event":"X","properties":@,"context":@}'),
        ("/v1/batch", '{"batch":[{"type":"track","userId":"a","event":@,"timestamp":@}],"sentAt":@}'),
    ]
    return [
        Case("POST", path, path, body.replace("@", value).encode())
        for path, body in places
        for value in values
    ]


def from_document(document: dict[str, Any], per_operation: int) -> list[Case]:
    """What schemathesis makes of the document, right and wrong, for every address in it."""
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, seed, settings
    from schemathesis.core import NOT_SET

    cases: list[Case] = []
    schema = schemathesis.openapi.from_dict(document)
    for result in schema.get_all_operations():
        operation = result.ok()

        @seed(SEED)
        @settings(
            max_examples=per_operation,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def collect(case: Any) -> None:
            body = b"" if case.body is NOT_SET else case.body
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            path = re.sub(r"[^\x21-\x7e]", "", case.formatted_path)
            cases.append(Case(case.method.upper(), path, case.operation.path, raw))

        collect()
    return cases


def from_hypothesis(examples: int) -> list[Case]:
    """JSON of any shape in the places of an event and of a call."""
    from hypothesis import HealthCheck, Phase, given, seed, settings
    from hypothesis import strategies as st

    from tests.integration.api.test_fuzz import documents

    cases: list[Case] = []
    paths = ["/api/v1/events/"] * 3 + ["/v1/track", "/v1/identify", "/v1/batch", "/v1/import", "/v1/alias"]

    @seed(SEED)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(document=documents, path=st.sampled_from(paths))
    def collect(document: Any, path: str) -> None:
        cases.append(Case("POST", path, path, json.dumps(document).encode()))

    collect()
    return cases


def mutated(case: Case, draw: random.Random) -> Case:
    """`case` with bytes changed, cut, doubled or swapped, or with other headers, method or credentials."""
    raw = bytearray(case.body or b"{}")
    for _ in range(draw.choice((1, 1, 2, 5))):
        at, end = sorted(draw.randrange(len(raw) + 1) for _ in range(2))
        match draw.randrange(6):
            case 0 if raw:
                raw[min(at, len(raw) - 1)] = draw.randrange(256)
            case 1:
                del raw[at:end]
            case 2:
                raw[at:at] = raw[at:end][:2_000]
            case 3:
                raw[at:at] = draw.choice(
                    (b"\x00", b'"', b"{", b"[", b"\\ud800", b"1e999", b"NaN", b"\xff\xfe")
                )
            case 4:
                raw[at:end] = bytes(draw.randrange(256) for _ in range(min(end - at, 20)))
            case _:
                raw[:] = bytes(reversed(raw)) if draw.random() < 0.05 else raw
    changed = replace(case, body=bytes(raw))
    chance = draw.random()
    if chance < 0.03:
        return replace(changed, encoding=draw.choice(("gzip", "br", "gzip, gzip", "x")))
    if chance < 0.06:
        return replace(
            changed, kind=draw.choice(("text/plain", "", "application/json; charset=x", 'a/b;c="'))
        )
    if chance < 0.08:
        return replace(
            changed, method=draw.choice(("PUT", "DELETE", "PATCH", "OPTIONS", "GET", "TRACE")), template=""
        )
    if chance < 0.09:
        return replace(
            changed, authorization=draw.choice(("", "Basic !!!", "Bearer bk_live_x", "x\u00ff", "Basic /w=="))
        )
    return changed


class Sender:
    """Sends cases over connections that are kept, one per thread, and judges each answer."""

    def __init__(self, url: str, key: str, document: dict[str, Any]) -> None:
        self._host = urlsplit(url).netloc
        self._key = key
        self._here = local()
        self._opened: list[http.client.HTTPConnection] = []
        self._answers: dict[tuple[str, str], dict[str, dict[str, Draft202012Validator]]] = {
            (template, method.upper()): {
                status: {
                    kind: Draft202012Validator(content.get("schema", {}))
                    for kind, content in answer.get("content", {}).items()
                }
                for status, answer in operation["responses"].items()
            }
            for template, methods in document["paths"].items()
            for method, operation in methods.items()
            if method in ("get", "post", "put", "patch", "delete")
        }
        problems = {"application/problem+json": self._problem()}
        self._fallback = {str(status): problems for status in ALWAYS}

    def _problem(self) -> Draft202012Validator:
        from automation.api.documents import PROBLEM

        return Draft202012Validator(PROBLEM)

    def send(self, case: Case) -> tuple[int, float, str]:
        """The status, the seconds, and what is wrong with the answer ('' when nothing is)."""
        headers = {
            "Authorization": f"Bearer {self._key}" if case.authorization is None else case.authorization
        }
        headers |= {"Content-Type": case.kind} if case.kind else {}
        headers |= {"Content-Encoding": case.encoding} if case.encoding else {}
        for attempt in (1, 2):  # The server may close a kept connection at any time.
            connection = getattr(self._here, "connection", None)
            if connection is None:
                connection = self._here.connection = self._open()
            try:
                started = time.monotonic()
                connection.request(case.method, case.path, case.body, headers)
                answer = connection.getresponse()
                body = answer.read()
                return answer.status, time.monotonic() - started, self._wrong(case, answer, body)
            except (http.client.HTTPException, OSError):
                connection.close()
                self._here.connection = None
                if attempt == 2:
                    raise
        raise AssertionError

    def close(self) -> None:
        """Close every connection."""
        for connection in self._opened:
            connection.close()

    def _open(self) -> http.client.HTTPConnection:
        self._opened.append(http.client.HTTPConnection(self._host, timeout=30))
        return self._opened[-1]

    def _wrong(self, case: Case, answer: http.client.HTTPResponse, body: bytes) -> str:
        if answer.status >= 500:
            return f"{answer.status}: {body[:200]!r}"
        if not case.path.startswith(("/api/", "/v1/")) or case.method == "OPTIONS":
            return ""
        promised = self._answers.get((case.template, case.method), {})
        kinds = promised.get(str(answer.status)) or self._fallback.get(str(answer.status))
        if kinds is None and not case.template:
            return ""  # Another method at the same address, and one that there is.
        if kinds is None:
            return f"{answer.status} is not in the document"
        kind = (answer.getheader("Content-Type") or "").partition(";")[0]
        if not kinds:
            return ""
        if kind not in kinds:
            return f"{answer.status} as {kind}, promised: {sorted(kinds)}"
        try:
            found = next(kinds[kind].iter_errors(json.loads(body)), None)
        except ValueError:
            return f"{answer.status}: not JSON"
        return "" if found is None else f"{answer.status}: {found.message[:200]}"


def run_fuzz(scene: Scene, requests: int, *, per_operation: int, examples: int) -> dict[str, Any]:
    """Send `requests` requests; the figures."""
    key = json.loads(scene.manage("create_key", "fuzz", "--scopes", "admin", "--json"))["key"]
    document = _document(scene.supervisor.url)
    sender = Sender(scene.supervisor.url, key, document)
    started = time.monotonic()
    corpus = [*nasties(), *from_document(document, per_operation), *from_hypothesis(examples)]
    generated = time.monotonic() - started
    draw = random.Random(f"{SEED}:T16")
    cases = corpus + [mutated(draw.choice(corpus), draw) for _ in range(max(0, requests - len(corpus)))]
    statuses: Counter[int] = Counter()
    wrong: list[str] = []
    slow: list[Case] = []
    slowest = 0.0
    started = time.monotonic()
    with ThreadPoolExecutor(PARALLEL) as pool:
        list(
            pool.map(sender.send, cases[:400])
        )  # Connections, imports and caches, before memory is measured.
        with Memory(web_pids(scene)) as memory:
            for case, (status, took, fault) in zip(cases, pool.map(sender.send, cases), strict=True):
                statuses[status] += 1
                if fault:
                    wrong.append(f"{case.method} {case.path[:80]} {case.body[:200]!r}: {fault}")
                if took > SECONDS:
                    slow.append(case)
                else:
                    slowest = max(slowest, took)
        # This machine may have been busy with something else: what is slow by itself is slow again.
        for case in slow:
            slowest = max(slowest, min(sender.send(case)[1] for _ in range(3)))
    sender.close()
    return {
        "requests": len(cases) + 400,
        "corpus": len(corpus),
        "statuses": dict(sorted(statuses.items())),
        "wrong": wrong,
        "slowest_s": round(slowest, 3),
        "slow_once": len(slow),
        "rss_growth_mb": memory.grown,
        "seconds": round(time.monotonic() - started, 1),
        "seconds_generating": round(generated, 1),
    }


def _document(url: str) -> dict[str, Any]:
    """The OpenAPI document as the server itself serves it."""
    document: dict[str, Any] = httpx.get(f"{url}/api/v1/openapi.json", timeout=30).json()
    return document


@pytest.mark.matrix("T16", "requests from the OpenAPI document, Hypothesis, nasties and mutations")
def test_no_request_brings_the_server_down(make_scene: SceneMaker, report: Report) -> None:
    """T16, R-005, R-006, R-056: 0 answers of 5xx, all as the document says, memory and time bounded."""
    limits = dict.fromkeys(
        ("BECKON_KEY_RATE", "BECKON_KEY_BURST", "BECKON_IP_RATE", "BECKON_IP_BURST"), "1000000"
    )
    scene = make_scene(workers=(), beat=False, env=limits)
    figures = run_fuzz(
        scene,
        pick(quick=2_000, full=20_000),
        per_operation=pick(quick=10, full=60),
        examples=pick(quick=300, full=2_000),
    )
    report.faults = figures["requests"]
    report.figures = {
        name: figures[name] for name in ("statuses", "slowest_s", "slow_once", "rss_growth_mb", "seconds")
    }
    assert figures["wrong"][:20] == []
    assert figures["requests"] >= pick(quick=2_000, full=20_000)
    assert figures["rss_growth_mb"] <= RSS_MB
    assert figures["slowest_s"] <= SECONDS
