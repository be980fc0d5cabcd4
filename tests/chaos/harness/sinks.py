"""Receivers that write into a ledger before they answer, and misbehave by script."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler], None]


def ok(handler: BaseHTTPRequestHandler) -> None:
    """200 with a small body."""
    handler.send_response(200)
    handler.send_header("Content-Length", "2")
    handler.end_headers()
    handler.wfile.write(b"{}")


class HttpSink:
    """An HTTP server whose ledger has a line per call: the time, the path and the idempotency key."""

    def __init__(self, ledger: Path, answer: Answer = ok) -> None:
        self.answer = answer
        self._ledger = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._path = ledger
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                sink.note(self, body)
                with contextlib.suppress(OSError):
                    sink.answer(self)
                self.close_connection = True

            def do_GET(self) -> None:
                sink.note(self, b"")
                ok(self)

            def log_message(self, format: str, *args: object) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def note(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        """Write first, then answer."""
        line = {
            "at": time.time(),
            "path": handler.path,
            "key": handler.headers.get("webhook-id", ""),
            "idempotency_key": handler.headers.get("Idempotency-Key", ""),
            "size": len(body),
        }
        os.write(self._ledger, json.dumps(line).encode() + b"\n")

    def received(self) -> list[dict[str, Any]]:
        """The ledger's lines."""
        return [json.loads(line) for line in self._path.read_text().splitlines()]

    def keys(self) -> Counter[str]:
        """How often each key was received."""
        return Counter(line["key"] for line in self.received())

    def __enter__(self) -> HttpSink:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
        os.close(self._ledger)


@contextlib.contextmanager
def http_sink(folder: Path, answer: Answer = ok) -> Iterator[HttpSink]:
    """A running sink with its ledger in `folder`."""
    with HttpSink(folder / f"http-{time.time_ns()}.jsonl", answer) as sink:
        yield sink
