"""An HTTP server that keeps what it was sent and answers by script."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Seen(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes


class HookServer:
    """`answer(handler)` writes the response; by default 200 with a small JSON."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.answer: Callable[[BaseHTTPRequestHandler], None] = answer(200, b'{"coupon": "X1"}')
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.seen.append(Seen(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                with contextlib.suppress(OSError):
                    outer.answer(self)

            def do_GET(self) -> None:
                outer.seen.append(Seen(self.path, {}, b""))
                answer(200)(self)

            def log_message(self, format: str, *args: object) -> None:
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"


def answer(status: int, body: bytes = b"", **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """A complete response."""

    def write(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return write


def endless(handler: BaseHTTPRequestHandler) -> None:
    """A body without end."""
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b"x" * 8192)


def dripping(handler: BaseHTTPRequestHandler) -> None:
    """Headers that never end, a byte at a time."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.1)


def hanging_up(handler: BaseHTTPRequestHandler) -> None:
    """No answer."""
    handler.close_connection = True


@contextlib.contextmanager
def hook_server() -> Iterator[HookServer]:
    hook = HookServer()
    thread = threading.Thread(target=hook.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        hook.server.shutdown()
        hook.server.server_close()
        thread.join(5)
