"""What the views of the API share."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from django.conf import settings
from django.http import HttpResponse
from django.urls import reverse
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from automation.api.keys import HasScope, Key, KeyAuthentication
from automation.api.throttle import KEYS, spend, spend_address


class AlwaysJson(BaseContentNegotiation):
    """There is one form of answer, whatever the Accept header or a `format` parameter says."""

    def select_parser(self, request: Request, parsers: Any) -> BaseParser:
        return parsers[0]  # type: ignore[no-any-return]

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type


class ApiView(APIView):
    """A view for programs with keys: JSON only, closed unless it declares `required_scope`."""

    authentication_classes = [KeyAuthentication]
    permission_classes = [HasScope]
    content_negotiation_class = AlwaysJson
    metadata_class = None
    required_scope: str | None = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """The address is counted first: for some clients the key is in the body (R-038)."""
        spend_address(request)
        super().initial(request, *args, **kwargs)

    def check_throttles(self, request: Request) -> None:
        """One bucket per key, taken from before the body is read (R-038)."""
        if isinstance(request.auth, Key):
            spend(KEYS, str(request.auth.id), "This key sends too many requests.")


def key_of_request(request: Request) -> Key:
    """The key that HasScope let pass."""
    assert isinstance(request.auth, Key)
    return request.auth


def json(document: Any, status: int = 200) -> HttpResponse:
    """`document` as the answer."""
    return HttpResponse(msgspec.json.encode(document), status=status, content_type="application/json")


def decision_url(event_id: int) -> str:
    """Where programs see what became of an event."""
    return f"{settings.PUBLIC_URL}/api/v1/events/{event_id}/"


def live_url(event_id: int) -> str:
    """Where people see it."""
    return f"{_admin_url()}{event_id}/change/"


@cache
def _admin_url() -> str:
    return settings.PUBLIC_URL + reverse("admin:automation_event_changelist")
