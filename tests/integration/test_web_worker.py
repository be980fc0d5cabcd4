"""gunicorn with our worker, a tiny application and clients that do not read."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
THREADS = 2
APPLICATION = """
from config.web_worker import PatientWorker


class Quick(PatientWorker):
    write_seconds = 1


def application(environ, start_response):
    size = 30_000_000 if environ["PATH_INFO"] == "/large" else 2
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(size))])
    return [b"x" * size]
"""


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """One process with THREADS threads."""
    (tmp_path / "tiny.py").write_text(APPLICATION)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.set_inheritable(True)
        arguments = ["tiny", f"--bind=fd://{listener.fileno()}", "--worker-class=tiny.Quick"]
        more = ["--workers=1", f"--threads={THREADS}", "--log-level=critical", "--no-control-socket"]
        server = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *arguments, *more],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
            pass_fds=[listener.fileno()],
        )
        try:
            yield listener.getsockname()[1]
        finally:
            server.terminate()
            server.wait(20)


def asked(port: int, path: str) -> socket.socket:
    """A connection with a tiny buffer on which `path` was asked for."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(30)
    client.connect(("127.0.0.1", port))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return client


def test_clients_that_do_not_read_hold_no_thread(port: int) -> None:
    """R-005: as many as there are threads ask for a large answer and take none of it; others are served."""
    with asked(port, "/") as first:
        assert first.recv(15) == b"HTTP/1.1 200 OK"  # It has started.
    idle = [asked(port, "/large") for _ in range(THREADS)]
    time.sleep(0.5)
    with asked(port, "/") as other:
        assert other.recv(15) == b"HTTP/1.1 200 OK"
    for client in idle:
        client.close()


def test_a_slow_reader_gets_the_whole_answer(port: int) -> None:
    """It takes a piece now and then, longer than the limit in all."""
    taken, began = 0, time.monotonic()
    with asked(port, "/large") as client:
        while time.monotonic() - began < 3:
            taken += len(client.recv(200_000))
            time.sleep(0.01)
        while piece := client.recv(1_000_000):
            taken += len(piece)
            if taken >= 30_000_000:
                break
    assert taken > 30_000_000  # And its head.
