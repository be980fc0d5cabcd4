"""What every answer tells browsers beside Django's own headers: content and permissions policy (R-050)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from csp.constants import HEADER
from csp.middleware import CSPMiddleware
from csp.utils import build_policy
from django.http import HttpRequest, HttpResponse

PERMISSIONS: Final = "Permissions-Policy"
REFUSED: Final = (
    "accelerometer",
    "camera",
    "display-capture",
    "geolocation",
    "gyroscope",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "usb",
)
PERMISSIONS_POLICY: Final = ", ".join(f"{feature}=()" for feature in REFUSED)
_OWN_POLICY: Final = ("_csp_exempt", "_csp_config", "_csp_update", "_csp_replace")  # Set by csp's decorators.


class ResponseHeadersMiddleware(CSPMiddleware):  # type: ignore[misc]
    """django-csp, which builds its header anew for each answer (30 µs), and builds it once here."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        super().__init__(get_response)
        self._policy: str = build_policy()

    def process_response(self, request: HttpRequest, response: Any) -> Any:
        response.headers.setdefault(PERMISSIONS, PERMISSIONS_POLICY)
        given = vars(response)
        if response.status_code >= 400 or any(name in given for name in _OWN_POLICY):
            return super().process_response(request, response)  # Also knows Django's pages for developers.
        response.headers.setdefault(HEADER, self._policy)
        return response
