"""gunicorn's thread worker with a limit on how long a request may take to arrive, and a log without keys.

A thread that reads from a client waits without an end: sixteen clients that send one byte now and then would
hold a server of sixteen threads. Here a request that has not arrived after READ_SECONDS arrives no further: the
reading half of its connection is shut, whoever reads sees the end of the body, and the answer still goes out.

A thread that writes to a client waits in the same way when nobody reads the answer and it is larger than the
system's buffers. Here a client that takes nothing for WRITE_SECONDS loses its connection; a slow one does not.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from typing import Any, Final

from gunicorn.glogging import Logger
from gunicorn.workers.gthread import ThreadWorker

from config.logging import JsonFormatter

READ_SECONDS: Final = 15.0
WRITE_SECONDS: Final = (
    10  # Twice as long at most: the first limit ends a send that took a part of the answer.
)
_STEP = 1.0


class Patience:
    """Shuts the reading half of connections whose time is over. One thread per process, started when needed."""

    def __init__(self, seconds: float = READ_SECONDS, step: float = _STEP) -> None:
        self._seconds = seconds
        self._step = step
        self._waiting: dict[int, tuple[float, socket.socket]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def begin(self, sock: socket.socket) -> None:
        """From now on the clock runs for this connection."""
        with self._lock:
            self._waiting[id(sock)] = (time.monotonic() + self._seconds, sock)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="patience", daemon=True)
                self._thread.start()

    def end(self, sock: socket.socket) -> None:
        """The request was answered."""
        with self._lock:
            self._waiting.pop(id(sock), None)

    def _watch(self) -> None:
        while True:
            time.sleep(self._step)
            now = time.monotonic()
            with self._lock:  # Held, so that the socket cannot be taken by another request meanwhile.
                for key, (deadline, sock) in list(self._waiting.items()):
                    if now > deadline:
                        del self._waiting[key]
                        with contextlib.suppress(OSError):  # It was closed by the other side.
                            sock.shutdown(socket.SHUT_RD)


class PatientWorker(ThreadWorker):  # type: ignore[misc]
    """Each request has READ_SECONDS to arrive, and each piece of an answer WRITE_SECONDS to be taken."""

    write_seconds: int = WRITE_SECONDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._patience = Patience()

    def handle(self, conn: Any) -> Any:
        sock = conn.sock
        # The system's own limit of one blocking send; Python's time-out would make reading non-blocking, too.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", self.write_seconds, 0))
        self._patience.begin(sock)
        try:
            return super().handle(conn)
        finally:
            self._patience.end(sock)


class RedactedLogger(Logger):  # type: ignore[misc]
    """gunicorn's own lines in our form: addresses it could not serve may hold a key (R-054)."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(JsonFormatter())
        self.access_log.disabled = True  # Addresses may hold keys, and requests have ids of their own.
