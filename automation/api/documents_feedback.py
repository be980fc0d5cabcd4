"""What the OpenAPI document says of feedback."""

from __future__ import annotations

from typing import Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from automation.api.documents import _WRITING, _object, _problems

_FEEDBACK: Final = _object(
    {
        "outcome": {"type": "string", "enum": ["arrived", "not_arrived"]},
        "detail": {"type": ["string", "null"], "maxLength": 300},
    },
    "outcome",
    closed=True,
)
_SETTLED: Final = _object(
    {
        "id": {"type": "string", "format": "uuid"},
        "status": {"type": "string"},
        "changed": {"type": "boolean", "description": "False when the same was known before."},
    },
    "id",
    "status",
    "changed",
)
FEEDBACK_POST: Final = extend_schema(
    operation_id="settle_delivery",
    summary="Say what became of an uncertain delivery",
    description=(
        "For receivers of webhooks and adapters of mail providers. A delivery is uncertain when its sending was"
        " interrupted; it is never sent again by itself. `not_arrived` frees its place under the frequency caps."
        " Saying the same again is safe. Needs the scope profiles:write, which no key in a browser should have, and"
        " is recorded in the audit log."
    ),
    parameters=[OpenApiParameter("delivery_id", OpenApiTypes.UUID, OpenApiParameter.PATH)],
    request={"application/json": _FEEDBACK},
    responses={
        200: OpenApiResponse(_SETTLED, description="What it is now."),
        **_problems(404, 409, *_WRITING),
    },
    examples=[OpenApiExample("It arrived", value={"outcome": "arrived"}, request_only=True)],
    tags=["deliveries"],
)
