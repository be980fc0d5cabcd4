"""Outgoing HTTP that cannot be turned against the network it runs in (SSRF, R-040).

The name is resolved once, every address it has is checked, and the connection goes to a checked address, so
a name that changes its mind meanwhile (rebinding) gains nothing. No redirects, no proxies, bounded in time
and size. The check runs inside the connector: what is checked is what is connected to.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from functools import lru_cache
from threading import Thread
from typing import Any

import httpcore
import httpx

CONNECT_SECONDS = 3.0
READ_SECONDS = 10.0
TOTAL_SECONDS = 15.0
MAX_READ = 64 * 1024

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# What `is_global` of Python's ipaddress lets through, or learnt to refuse only in later versions.
_FORBIDDEN = tuple(
    ipaddress.ip_network(net)
    for net in (
        "0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4",
        "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16",
        "3fff::/20", "5f00::/16", "fc00::/7", "fec0::/10",
    )
)  # fmt: skip
_NUMBER = re.compile(r"^(0[xX][0-9a-fA-F]*|[0-9]+)$")


class ForbiddenUrlError(ValueError):
    """The URL leads, or could lead, where no webhook may go."""


class UnresolvableError(OSError):
    """The host name has no address, or the resolver did not answer in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the status, and at most MAX_READ bytes of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


def check_url(text: str, *, ports: Sequence[int]) -> httpx.URL:
    """The parsed URL when its form is allowed; its addresses are checked when it is connected to."""
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError, UnicodeError) as error:
        raise ForbiddenUrlError("This is not a URL.") from error
    if url.scheme not in ("http", "https"):
        raise ForbiddenUrlError("Only http and https URLs are called.")
    if url.userinfo:
        raise ForbiddenUrlError("A URL must not contain a user name or password.")
    host = url.raw_host.decode("ascii", "replace")
    if not host:
        raise ForbiddenUrlError("The URL names no host.")
    port = {"http": 80, "https": 443}[url.scheme] if url.port is None else url.port
    if port not in ports:
        raise ForbiddenUrlError(f"Only the ports {', '.join(map(str, ports))} may be called.")
    if _NUMBER.match(host.rstrip(".").rpartition(".")[2]) and _address(host) is None:
        raise ForbiddenUrlError("The host is a number in disguise.")
    return url


def is_allowed(address: IPAddress, *, allow_loopback: bool) -> bool:
    """True for addresses of the public internet (and, for development, of this machine)."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id:
            return False
        if address.ipv4_mapped is not None:
            return is_allowed(address.ipv4_mapped, allow_loopback=allow_loopback)
    if address.is_loopback:
        return allow_loopback
    if not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified:
        return False
    return not any(address.version == net.version and address in net for net in _FORBIDDEN)


def resolve(host: str, port: int, timeout: float = CONNECT_SECONDS) -> list[str]:
    """Every address of a host name. The system's resolver has no time limit of its own: it gets one."""
    done: Future[list[str]] = Future()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            done.set_result(list(dict.fromkeys(str(entry[4][0]) for entry in found)))
        except (OSError, UnicodeError) as error:
            done.set_exception(error)

    Thread(target=look_up, name="resolve", daemon=True).start()
    try:
        return done.result(timeout)
    except FutureTimeoutError:
        raise UnresolvableError("The resolver did not answer in time.") from None
    except (OSError, UnicodeError) as error:
        raise UnresolvableError("The host name has no address.") from error


def pinned(host: str, port: int, *, allow_loopback: bool) -> list[str]:
    """The addresses of a host to connect to; refused when any single one of them is forbidden."""
    literal = _address(host)
    texts = [str(literal)] if literal is not None else resolve(host, port)
    for text in texts:
        address = _address(text)
        if address is None or not is_allowed(address, allow_loopback=allow_loopback):
            raise ForbiddenUrlError("The host leads to an address that is not on the public internet.")
    if not texts:
        raise UnresolvableError("The host name has no address.")
    return texts


def post(url: httpx.URL, body: bytes, headers: Mapping[str, str], *, allow_loopback: bool) -> Answer:
    """POST and read the answer. Raises ForbiddenUrlError, UnresolvableError or httpx.TransportError."""
    started = time.monotonic()
    transport = _GuardedTransport(started + TOTAL_SECONDS, allow_loopback)
    timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
    with httpx.Client(
        transport=transport, trust_env=False, follow_redirects=False, timeout=timeout
    ) as client:
        wanted = {"Accept-Encoding": "identity", **headers}  # What is read is what was sent: no bombs.
        with client.stream("POST", url, content=body, headers=wanted) as response:
            kept = bytearray()
            for chunk in response.iter_raw():
                kept += chunk
                if len(kept) >= MAX_READ:
                    break
            return Answer(
                response.status_code,
                dict(response.headers),
                bytes(kept[:MAX_READ]),
                time.monotonic() - started,
            )


def _address(host: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


@lru_cache(maxsize=1)
def _ssl_context() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


class _GuardedTransport(httpx.HTTPTransport):
    """httpx's transport with a pool whose connections are made by the guarded connector."""

    def __init__(self, deadline: float, allow_loopback: bool) -> None:
        super().__init__(verify=_ssl_context(), trust_env=False)
        self._pool.close()
        self._pool = httpcore.ConnectionPool(
            ssl_context=_ssl_context(), network_backend=_Connector(deadline, allow_loopback), retries=0
        )


class _Connector(httpcore.NetworkBackend):
    """Connects to checked addresses only; Host header and SNI stay those of the URL."""

    def __init__(self, deadline: float, allow_loopback: bool) -> None:
        self._deadline = deadline
        self._allow_loopback = allow_loopback
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        last: Exception = httpcore.ConnectError("no address")
        for address in pinned(host, port, allow_loopback=self._allow_loopback):
            try:
                stream = self._backend.connect_tcp(
                    address, port, _left(self._deadline, timeout), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
            else:
                return _TimedStream(stream, self._deadline)
        raise last


class _TimedStream(httpcore.NetworkStream):
    """A stream whose waits end at the deadline, however slowly the other side drips."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._deadline, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._deadline, timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, _left(self._deadline, timeout))
        return _TimedStream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(deadline: float, timeout: float | None) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("The whole call took too long.")
    return left if timeout is None else min(left, timeout)
