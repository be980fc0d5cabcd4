"""What a person sees after too many wrong passwords: when to try again, and who can help (R-050)."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from axes.handlers.proxy import AxesProxyHandler
from axes.helpers import get_client_username
from axes.models import AccessAttempt
from django.conf import settings
from django.db.models import Max
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import add_never_cache_headers

from automation.client_address import client_address, network_of


def counted_address(request: HttpRequest) -> str | None:
    """What wrong passwords are counted against: an IPv4 address, or the first address of the /64 of an IPv6 one.

    A single machine may use every address of its /64, and would have five tries with each.
    """
    address = client_address(request)
    return network_of(address).partition("/")[0] if address else None


def respond(request: HttpRequest, original: Any, credentials: dict[str, Any] | None) -> HttpResponse:
    """The lock-out page: 429 with the seconds to wait in Retry-After."""
    now = timezone.now()
    ends_at = _ends_at(request, credentials, now)
    seconds = max(1, math.ceil((ends_at - now).total_seconds()))
    context = {
        "minutes": math.ceil(seconds / 60),
        "ends_at": ends_at,
        "limit": settings.AXES_FAILURE_LIMIT,
        "window": int(settings.AXES_COOLOFF_TIME.total_seconds() // 60),
    }
    response = render(request, "automation/locked_out.html", context, status=429)
    response["Retry-After"] = str(seconds)
    add_never_cache_headers(response)
    return response


def _ends_at(request: HttpRequest, credentials: dict[str, Any] | None, now: datetime) -> datetime:
    AxesProxyHandler.update_request(request)
    last = AccessAttempt.objects.filter(
        username=get_client_username(request, credentials),
        ip_address=request.axes_ip_address,  # type: ignore[attr-defined]  # Set by axes.
    ).aggregate(last=Max("attempt_time"))["last"]
    wait: timedelta = settings.AXES_COOLOFF_TIME
    return (last or now) + wait  # type: ignore[no-any-return]
