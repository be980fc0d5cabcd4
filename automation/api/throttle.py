"""What one key and one address may ask for, decided before a body is read (R-038)."""

from __future__ import annotations

import math

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request

from automation.api.leases import SharedBuckets
from automation.api.problems import ProblemError
from automation.buckets import Buckets
from automation.client_address import client_address, network_of

# These stop loops, not shops: many shops may stand behind one proxy.
KEYS = SharedBuckets("key", settings.KEY_RATE, settings.KEY_BURST)
ADDRESSES = SharedBuckets("ip", settings.IP_RATE, settings.IP_BURST)
# Wrong keys: each has cost a look into the database already, and guessing 256 bits is hopeless anyway.
FAILURES = Buckets(rate=5, burst=50)


def spend(buckets: Buckets | SharedBuckets, name: str, detail: str) -> None:
    """Take one token, or raise 429 with Retry-After."""
    if wait := buckets.take(name):
        raise ProblemError("too-many-requests", detail, headers={"Retry-After": str(math.ceil(wait))})


def spend_address(request: Request | HttpRequest) -> None:
    """Count the request against its address."""
    spend(ADDRESSES, _network(request), "Too many requests from this address.")


def spend_failure(request: Request | HttpRequest) -> None:
    """Count a wrong key against its address."""
    spend(FAILURES, _network(request), "Too many wrong keys from this address.")


def _network(request: Request | HttpRequest) -> str:
    """Which requests are counted together; all that came through a UNIX socket without a proxy are."""
    address = client_address(request._request if isinstance(request, Request) else request)
    return network_of(address) if address else ""
