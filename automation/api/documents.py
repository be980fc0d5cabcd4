"""What the OpenAPI document says of each address; the field tables and limits are those of the code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from automation.api import examples, fields, segment
from automation.api.limits import BATCH_EVENTS, NUMBER
from automation.api.problems import KINDS

Schema = dict[str, Any]
_STRING: Final[Schema] = {"type": "string"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}


def _object(properties: Schema, *required: str, closed: bool = False) -> Schema:
    schema: Schema = {"type": "object", "properties": properties}
    if required:
        schema["required"] = list(required)
    return {**schema, "additionalProperties": False} if closed else schema


def _field(name: str, field: fields.Field) -> Schema:
    if dict in field.kinds:
        return {"type": ["object", "null"], "additionalProperties": True}
    text: Schema = {"type": "string", "maxLength": field.longest, "description": field.hint}
    if name in ("timestamp", "sent_at", "originalTimestamp", "sentAt"):
        text["format"] = "date-time"
    number = {"type": "integer", "minimum": -NUMBER, "maximum": NUMBER}
    return {"anyOf": [text, *([number] if int in field.kinds else []), {"type": "null"}]}


def _event(table: Mapping[str, fields.Field], *, closed: bool) -> Schema:
    return _object({name: _field(name, field) for name, field in table.items()}, closed=closed)


_FAULTS: Final[Schema] = {
    "type": "array",
    "items": _object({"pointer": _STRING, "message": _STRING, "hint": _STRING}, "pointer", "message"),
}
PROBLEM: Final = _object(
    {
        "type": {"type": "string", "format": "uri"},
        "title": _STRING,
        "status": {"type": "integer"},
        "detail": _STRING,
        "instance": _STRING,
        "request_id": _STRING,
        "code": _STRING,
        "message": _STRING,
        "errors": _FAULTS,
    },
    "type",
    "title",
    "status",
    "detail",
    "request_id",
    "code",
    "message",
)
EVENT: Final[Schema] = {**_event(fields.ARTICLE, closed=True), "required": ["event_type"]}
BATCH: Final = _object(
    {
        "events": {"type": "array", "minItems": 1, "maxItems": BATCH_EVENTS, "items": EVENT},
        "sent_at": {"type": ["string", "null"], "format": "date-time"},
    },
    "events",
    closed=True,
)
RESULT: Final = _object(
    {
        "status": {"type": "string", "enum": ["accepted", "duplicate", "conflict", "rejected", "busy"]},
        "event_id": {"type": "integer"},
        "message_id": _STRING,
        "duplicate": {"type": "boolean"},
        "decision_url": {"type": "string", "format": "uri"},
        "live_url": {"type": "string", "format": "uri"},
        "warnings": {"type": "array", "items": {"type": "string", "enum": ["late_event", "clock_skew"]}},
        "errors": _FAULTS,
        "retry_after": {
            "type": "integer",
            "description": "Of a busy item: send it again after so many seconds.",
        },
    },
    "status",
)
RESULTS: Final = _object(
    {
        "accepted": _COUNT,
        "duplicates": _COUNT,
        "conflicts": _COUNT,
        "rejected": _COUNT,
        "busy": _COUNT,
        "results": {"type": "array", "items": RESULT},
    },
    "accepted",
    "duplicates",
    "conflicts",
    "rejected",
    "busy",
    "results",
)
_TIME: Final[Schema] = {"type": ["string", "null"], "format": "date-time"}
DECISION: Final = _object(
    {
        "event_id": {"type": "integer"},
        "message_id": _STRING,
        "name": _STRING,
        "state": {"type": "string", "enum": ["received", "processed", "quarantined"]},
        "occurred_at": _TIME,
        "received_at": _TIME,
        "is_late": {"type": "boolean"},
        "is_import": {"type": "boolean"},
        "live_url": {"type": "string", "format": "uri"},
        "executions": {
            "type": "array",
            "items": _object(
                {
                    "id": {"type": "integer"},
                    "trigger": _STRING,
                    "trigger_name": _STRING,
                    "status": _STRING,
                    "reason": _STRING,
                    "waiting": _STRING,
                    "decided_at": _TIME,
                    "due_at": _TIME,
                    "actions": {
                        "type": "array",
                        "items": _object(
                            {
                                "type": _STRING,
                                "channel": _STRING,
                                "status": _STRING,
                                "reason": _STRING,
                                "due_at": _TIME,
                            }
                        ),
                    },
                }
            ),
        },
    },
    "event_id",
    "message_id",
    "name",
    "state",
    "executions",
)
_CALL: Final = _event({k: f for k, f in fields.SEGMENT.items() if k != "type"}, closed=False)
_CALLS: Final = _object(
    {
        "batch": {
            "type": "array",
            "minItems": 1,
            "maxItems": BATCH_EVENTS,
            "items": {**_event(fields.SEGMENT, closed=False), "required": ["type"]},
        },
        "sentAt": {"type": ["string", "null"], "format": "date-time"},
        "context": {"type": ["object", "null"], "additionalProperties": True},
    },
    "batch",
)
_SUCCESS: Final = _object(
    {"success": {"type": "boolean"}, "rejected": {"type": "array", "items": RESULT}}, "success"
)


def _problems(*statuses: int) -> dict[Any, Any]:
    return {
        (kind.status, "application/problem+json"): OpenApiResponse(PROBLEM, description=kind.title)
        for kind in KINDS.values()
        if kind.status in statuses
    }


_WRITING: Final = (400, 401, 403, 411, 413, 415, 429, 500, 503)
EVENTS_POST: Final = extend_schema(
    operation_id="send_events",
    summary="Send what customers did",
    description=(
        "One event, or up to 500 in `events`. Answered after the events are committed. Sending one again with"
        " the same `message_id` is safe for ever: it is a duplicate, never a second event. In a batch a bad"
        " event does not stop the good ones. While too much waits, the least urgent events are `busy`: nothing"
        " of them is stored, send them again after `retry_after` seconds; when all are, the answer is 503."
    ),
    request={"application/json": {"oneOf": [EVENT, BATCH]}},
    responses={
        202: OpenApiResponse(RESULT, description="The event is stored."),
        200: OpenApiResponse(RESULTS, description="What became of each event, in the order sent."),
        **_problems(409, *_WRITING),
    },
    examples=[
        OpenApiExample("An abandoned cart", value=examples.CART_ABANDONMENT, request_only=True),
        OpenApiExample("A batch", value=examples.BATCH, request_only=True),
    ],
    tags=["events"],
)
EVENT_GET: Final = extend_schema(
    operation_id="see_decision",
    summary="See what was decided for an event",
    description="A key sees the events of its own source; an admin key sees all.",
    parameters=[OpenApiParameter("event_id", OpenApiTypes.INT64, OpenApiParameter.PATH)],
    responses={
        200: OpenApiResponse(DECISION, description="The event and its executions."),
        **_problems(401, 403, 404, 500, 503),
    },
    tags=["events"],
)


def segment_post(name: str) -> Any:
    """For one address of Segment's shape."""
    is_batch = name in ("batch", "import")
    summary = {
        "batch": "Several calls of Segment's shape",
        "import": "History of Segment's shape; fires no trigger",
    }.get(name, f"Segment's {name} call")
    return extend_schema(
        operation_id=f"segment_{name}",
        summary=summary,
        description="The key may also stand in the body as `writeKey`; the content type may be text/plain.",
        request={"application/json": _CALLS if is_batch else _CALL},
        responses={
            200: OpenApiResponse(_SUCCESS, description="Stored."),
            **_problems(*(_WRITING if is_batch else (409, *_WRITING))),
        },
        examples=[OpenApiExample(name, value=examples.SEGMENT[name], request_only=True)],
        tags=["segment"],
    )


assert {*segment.KINDS, "batch", "import"} == set(examples.SEGMENT)
SETTINGS_GET: Final = extend_schema(
    operation_id="segment_settings",
    summary="What Segment's browser library asks for when it starts",
    parameters=[OpenApiParameter("key", OpenApiTypes.STR, OpenApiParameter.PATH)],
    responses={
        200: OpenApiResponse(
            _object({"integrations": {"type": "object"}}, "integrations"), description="Settings."
        ),
        **_problems(404, 429, 500, 503),
    },
    auth=[],
    tags=["segment"],
)


class KeyScheme(OpenApiAuthenticationExtension):
    """Three ways to carry the same key."""

    target_class = "automation.api.keys.KeyAuthentication"
    match_subclasses = True
    name = ["bearer", "apiKey", "basic"]

    def get_security_definition(self, auto_schema: Any) -> list[Schema]:
        return [
            {"type": "http", "scheme": "bearer", "bearerFormat": "bk_live_…"},
            {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
            {
                "type": "http",
                "scheme": "basic",
                "description": "The key is the user name; the password is empty.",
            },
        ]

    def get_security_requirement(self, auto_schema: Any) -> list[Schema]:  # type: ignore[override]
        """Any one of them will do."""
        return [{name: []} for name in self.name]
