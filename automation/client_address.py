"""The network address a person's request came from, behind as many proxies as the settings declare."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final

from django.conf import settings
from django.http import HttpRequest

_IPV6_NETWORK: Final = 64  # One household or server has a whole /64: single addresses of it mean nothing.


def client_address(request: HttpRequest) -> str | None:
    """The address of the peer, or what the outermost declared proxy saw; None when it is no IP address.

    Each proxy appends the address it was called from, so that of `n` own proxies the n-th entry from the
    right is the first that nobody outside could write. Entries further left are the caller's own words.
    """
    peer = str(request.META.get("REMOTE_ADDR", ""))
    count = settings.TRUSTED_PROXIES
    if count > 0:
        entries = str(request.META.get("HTTP_X_FORWARDED_FOR", "")).split(",")
        if len(entries) >= count:
            return _valid(entries[-count]) or _valid(peer)
    return _valid(peer)


def _valid(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text.strip().partition("%")[0]))
    except ValueError:
        return None


@lru_cache(maxsize=20_000)
def network_of(address: str) -> str:
    """What is counted together: an IPv4 address, or the /64 of an IPv6 address."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), _IPV6_NETWORK), strict=False))
