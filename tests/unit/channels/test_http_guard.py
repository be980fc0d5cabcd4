"""No webhook reaches anything but the public internet (SSRF), whatever the URL or the resolver say."""

from __future__ import annotations

import ipaddress
import socket
import threading
from typing import Any

import httpcore
import httpx
import pytest

from automation.channels import http_guard
from automation.channels.http_guard import (
    ForbiddenUrlError,
    UnresolvableError,
    check_url,
    is_allowed,
    pinned,
    post,
)

PORTS = [80, 443]
NAMES: dict[str, list[str]] = {
    "public.test": ["93.184.216.34"],
    "public.test.": ["93.184.216.34"],
    "public6.test": ["2606:2800:220:1:248:1893:25c8:1946"],
    "both.test": ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"],
    "private.test": ["10.0.0.5"],
    "mixed.test": ["93.184.216.34", "127.0.0.1"],
    "mixed6.test": ["93.184.216.34", "fd00::1"],
    "metadata.test": ["169.254.169.254"],
    "mapped.test": ["::ffff:10.0.0.1"],
    "nothing.test": [],
}


@pytest.fixture(autouse=True)
def resolver(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A stub resolver that knows NAMES, and reads numbers as the C library does. Gives what was asked."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        asked.append(host)
        if host in NAMES:
            addresses = NAMES[host]
        else:
            try:
                addresses = [socket.inet_ntoa(socket.inet_aton(host))]
            except OSError:
                addresses = []
        if not addresses:
            raise socket.gaierror(-2, "unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.fixture(autouse=True)
def connections(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What the connector would connect to; nothing is."""
    made: list[tuple[str, int]] = []

    def connect(self: Any, host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        made.append((host, port))
        raise httpcore.ConnectError("not in a test")

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect)
    return made


HOSTILE = [
    # Loopback and the unspecified address, in every spelling.
    "http://127.0.0.1/",
    "http://127.1/",
    "http://127.0.1/",
    "http://127.255.255.254/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0x7F.1/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://127.0.0.1./",
    "http://0/",
    "http://0.0.0.0/",
    "http://[::1]/",
    "http://[::]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://①②⑦.⓪.⓪.①/",
    "http://127。0。0。1/",
    # Private, link-local, shared, reserved, multicast.
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://100.64.0.1/",
    "http://192.0.0.192/",
    "http://198.18.0.1/",
    "http://192.0.2.1/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://192.88.99.1/",
    # IPv6: mapped, compatible, NAT64, 6to4, Teredo, local, documentation.
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b::169.254.169.254]/",
    "http://[64:ff9b:1::1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "http://[fc00::1]/",
    "http://[fd12:3456::1]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[2001:db8::1]/",
    "http://[100::1]/",
    "http://[5f00::1]/",
    # Names that lead there, also beside a good address.
    "http://private.test/",
    "http://metadata.test/",
    "http://mapped.test/",
    "http://mixed.test/",
    "http://mixed6.test/",
    # Forms.
    "ftp://public.test/",
    "file:///etc/passwd",
    "gopher://public.test/",
    "javascript:alert(1)",
    "//public.test/",
    "public.test",
    "http://",
    "http:///path",
    "http://user@public.test/",
    "http://user:pass@public.test/",
    "http://public.test@127.0.0.1/",
    "http://127.0.0.1:80@public.test/",
    "http://public.test:22/",
    "http://public.test:6379/",
    "http://public.test:8080/",
    "http://public.test:99999/",
    "http://public.test:0/",
    "http://pub lic.test/",
    "http://public.test\r\nHost: evil/",
    "http://1.2.3.4.5/",
    "http://999.1.1.1/",
    "http://0x7f.1/",
    "http://0300.0250.1.1/",
    "http://127.0.0.1%2f@public.test:22/",
    "http://[::ffff:0:127.0.0.1]/",
    "http://[2002:a9fe:a9fe::]/",
    "http://[2001:0:0:0:0:0:0:1]/",
    "http://mixed.test:443/",
    "https://metadata.test/computeMetadata/v1/",
    "dict://public.test:6379/",
    "ldap://public.test/",
    "http://public.test:-1/",
    "http://[::1/",
    "",
]
GOOD = [
    "http://public.test/",
    "https://public.test/hooks?x=1&y=%20",
    "https://public.test:443/",
    "http://public.test:80/a/b",
    "https://public6.test/",
    "https://both.test/#x",
    "http://93.184.216.34/",
    "https://[2606:2800:220:1:248:1893:25c8:1946]/",
    "HTTPS://PUBLIC.TEST/",
    "https://8.8.8.8/dns",
    "http://[::ffff:93.184.216.34]/",
    "https://public.test/http://127.0.0.1/",
    "https://public.test",
    "https://public.test?next=http://10.0.0.1/",
    "https://both.test:443/a?b=c",
    "http://public.test/%7Euser/ü",
    "http://1.1.1.1:80/",
    "https://public.test/a//b/../c",
    "http://public.test./",
    "https://[2606:2800:220:1:248:1893:25c8:1946]:443/x",
]


def call(url: str) -> None:
    post(check_url(url, ports=PORTS), b"{}", {}, allow_loopback=False)


@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_url_connects_to_nothing(url: str, connections: list[tuple[str, int]]) -> None:
    """T12, R-040, H-061, S-151: refused, before a single connection."""
    with pytest.raises((ForbiddenUrlError, UnresolvableError)):
        call(url)
    assert connections == []


@pytest.mark.parametrize("url", GOOD)
def test_a_good_url_is_connected_to(url: str, connections: list[tuple[str, int]]) -> None:
    """T12, R-040: no false blocks; the connection goes to a checked address, not to a name."""
    with pytest.raises(httpx.ConnectError, match="not in a test"):
        call(url)
    assert connections
    for host, _ in connections:
        assert ipaddress.ip_address(host)


def test_a_name_that_changes_its_mind_gains_nothing(
    monkeypatch: pytest.MonkeyPatch, resolver: list[str], connections: list[tuple[str, int]]
) -> None:
    """T12, R-040: DNS rebinding; the name is resolved once, and that answer is both checked and connected to."""
    answers = iter([["93.184.216.34"], ["127.0.0.1"], ["127.0.0.1"]])

    def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        resolver.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in next(answers)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(httpx.ConnectError, match="not in a test"):
        call("http://rebinding.test/")
    assert resolver == ["rebinding.test"]
    assert connections == [("93.184.216.34", 80)]


def test_a_resolver_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """R-031: the C library's resolver has no time limit of its own."""
    hold = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: [] * hold.wait(10))
    with pytest.raises(UnresolvableError, match="in time"):
        http_guard.resolve("slow.test", 80, timeout=0.05)
    hold.set()


@pytest.mark.parametrize(
    ("address", "is_public", "is_loopback"),
    [
        ("127.0.0.1", False, True),
        ("::1", False, True),
        ("::ffff:127.0.0.1", False, True),
        ("10.0.0.1", False, False),
        ("0.0.0.0", False, False),
        ("169.254.169.254", False, False),
        ("93.184.216.34", True, False),
    ],
)
def test_loopback_is_for_development_only(address: str, is_public: bool, is_loopback: bool) -> None:
    """R-040: the setting opens this machine and nothing else."""
    parsed = ipaddress.ip_address(address)
    assert is_allowed(parsed, allow_loopback=False) is is_public
    assert is_allowed(parsed, allow_loopback=True) is (is_public or is_loopback)


def test_an_unknown_name_may_be_known_later() -> None:
    """R-040: not forbidden, only not there now."""
    with pytest.raises(UnresolvableError):
        pinned("nothing.test", 80, allow_loopback=False)


def test_proxies_of_the_environment_are_not_used(
    monkeypatch: pytest.MonkeyPatch, connections: list[tuple[str, int]]
) -> None:
    """R-040: a proxy would do the resolving."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:3128")
    with pytest.raises(httpx.ConnectError, match="not in a test"):
        call("http://public.test/")
    assert connections == [("93.184.216.34", 80)]
