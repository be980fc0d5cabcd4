"""What one key and one address may ask for, decided before a body is read (R-038)."""

from __future__ import annotations

import math

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request

from automation import address
from automation.api.buckets import Buckets
from automation.api.leases import SharedBuckets
from automation.api.problems import ProblemError

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
    spend(ADDRESSES, network_of(request), "Too many requests from this address.")


def spend_failure(request: Request | HttpRequest) -> None:
    """Count a wrong key against its address."""
    spend(FAILURES, network_of(request), "Too many wrong keys from this address.")


def network_of(request: Request | HttpRequest) -> str:
    """Which requests are counted together."""
    plain = request._request if isinstance(request, Request) else request
    return address.network_of(address.address_of(plain))
