"""Which network address a request came from, also behind proxies.

Whoever sends a request can write any X-Forwarded-For. Only the entries that our own proxies appended are to
be believed: BECKON_TRUSTED_PROXIES says how many those are.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest

_IPV6_NETWORK = 64  # One household or server has a whole /64: single addresses of it mean nothing.


def address_of(request: HttpRequest) -> str:
    """The client's address; that of the nearest proxy when the header has too few or unreadable entries."""
    peer = str(request.META.get("REMOTE_ADDR", ""))
    trusted: int = settings.TRUSTED_PROXIES
    if trusted < 1:
        return peer
    entries = str(request.META.get("HTTP_X_FORWARDED_FOR", "")).split(",")
    if len(entries) < trusted:
        return peer
    said = entries[-trusted].strip()
    try:
        return str(ipaddress.ip_address(said))
    except ValueError:
        return peer


@lru_cache(maxsize=20_000)
def network_of(address: str) -> str:
    """What is counted together: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), _IPV6_NETWORK), strict=False).network_address) + "/64"
