"""The zone in which staff see and type times: the installation's (BECKON_TIME_ZONE), on pages of the admin only."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone


class ViewerZoneMiddleware:
    """Addresses of the API keep UTC; pages are drawn before their answer leaves this."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(reverse("admin:index")):
            return self.get_response(request)
        with timezone.override(settings.DEFAULT_TIME_ZONE):
            return self.get_response(request)
