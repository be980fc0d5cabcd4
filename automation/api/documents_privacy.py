"""What the OpenAPI document says of privacy."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema

from automation.api.documents import _WRITING, _object, _problems
from automation.api.fields import LONGEST_ID
from automation.privacy.export import FORMAT
from automation.privacy.person import LONGEST

_ID: Final[dict[str, Any]] = {
    "anyOf": [{"type": "string", "minLength": 1, "maxLength": LONGEST}, {"type": "integer"}, {"type": "null"}]
}
_WHO: Final = {
    **_object(
        {
            "customer_id": _ID,
            "anonymous_id": _ID,
            "email": {"type": ["string", "null"], "minLength": 1, "maxLength": LONGEST},
        },
        closed=True,
    ),
    "description": f"Exactly one of the fields. Ids are those of events, up to {LONGEST_ID} characters.",
}
_TIME: Final = {"type": "string", "format": "date-time"}
_COUNTS: Final = {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}}
RECEIPT: Final = _object(
    {
        "id": {"type": "string", "format": "uuid"},
        "outcome": {"type": "string", "enum": ["erased", "already_erased", "unknown"]},
        "at": _TIME,
        "by": {"type": "string"},
        "counts": _COUNTS,
        "names": {"type": "integer", "minimum": 0},
    },
    "id",
    "outcome",
    "at",
    "by",
    "counts",
    "names",
)
DOCUMENT: Final = _object(
    {
        "format": {"type": "string", "enum": [FORMAT]},
        "exported_at": _TIME,
        "outcome": {"type": "string", "enum": ["found", "erased", "unknown"]},
        "tables": {
            "type": "object",
            "additionalProperties": {
                "type": "array",
                "items": {"type": "object", "additionalProperties": True},
            },
        },
    },
    "format",
    "exported_at",
    "outcome",
    "tables",
)
_EXAMPLE: Final = [
    OpenApiExample("By customer id", value={"customer_id": "customer_12345"}, request_only=True)
]

EXPORT_POST: Final = extend_schema(
    operation_id="export_person",
    summary="Everything that is stored about one person",
    description="Needs a key with the scope admin, and is recorded in the audit log.",
    request={"application/json": _WHO},
    responses={200: OpenApiResponse(DOCUMENT, description="Rows by table."), **_problems(*_WRITING)},
    examples=_EXAMPLE,
    tags=["privacy"],
)
ERASE_POST: Final = extend_schema(
    operation_id="erase_person",
    summary="Forget one person for ever",
    description=(
        "Deletes or redacts everything, cancels what was not sent yet, and leaves a keyed hash of each name so that"
        " late events do not bring the person back. Repeating it is safe. Needs a key with the scope admin, and is"
        " recorded in the audit log."
    ),
    request={"application/json": _WHO},
    responses={200: OpenApiResponse(RECEIPT, description="The receipt."), **_problems(*_WRITING)},
    examples=_EXAMPLE,
    tags=["privacy"],
)
