"""The fields of an event as a table, to say everything that is wrong with one that was not accepted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from automation.api import names
from automation.api.faults import Fault, RejectedError, nearest, pointer
from automation.api.limits import NUMBER, breaches, loaded, too_long

LONGEST_MESSAGE_ID = 128
LONGEST_ID = 200
LONGEST_SESSION = 100
LONGEST_SOURCE = 50


class Field(NamedTuple):
    """What one field may hold."""

    kinds: tuple[type, ...]
    longest: int = 0  # Characters of a text.
    hint: str = ""


_TEXT, _ID, _OBJECT = (str,), (str, int), (dict,)
_OBJECT_HINT: Final = 'Send an object: {"key": "value"}.'
ARTICLE: Final[Mapping[str, Field]] = {
    "customer_id": Field(_ID, LONGEST_ID, "The customer's id in your system, as text or a whole number."),
    "anonymous_id": Field(_ID, LONGEST_ID, "The visitor's id before they are known."),
    "event_type": Field(_TEXT, names.LONGEST_ORIGINAL, 'What happened, for example "cart_abandonment".'),
    "event_data": Field(_OBJECT, 0, _OBJECT_HINT),
    "timestamp": Field(_TEXT, 64, 'Send RFC 3339 with a zone, for example "2026-11-24T20:47:00Z".'),
    "sent_at": Field(_TEXT, 64, 'Send RFC 3339 with a zone, for example "2026-11-24T20:47:00Z".'),
    "session_id": Field(_ID, LONGEST_SESSION),
    "source": Field(_TEXT, LONGEST_SOURCE, 'Where it came from: "web", "app", "server" …'),
    "device_info": Field(_OBJECT, 0, _OBJECT_HINT),
    "location_data": Field(_OBJECT, 0, _OBJECT_HINT),
    "metadata": Field(_OBJECT, 0, _OBJECT_HINT),
    "message_id": Field(
        _ID, LONGEST_MESSAGE_ID, "Your own unique id of this event, the same on every retry."
    ),
}
SEGMENT: Final[Mapping[str, Field]] = {
    "type": Field(_TEXT, 20, "track, identify, page, screen, group or alias."),
    "userId": Field(_ID, LONGEST_ID),
    "anonymousId": Field(_ID, LONGEST_ID),
    "previousId": Field(_ID, LONGEST_ID),
    "groupId": Field(_ID, LONGEST_ID),
    "messageId": Field(_ID, LONGEST_MESSAGE_ID),
    "event": Field(
        _TEXT, names.LONGEST_ORIGINAL, 'The name of what happened, for example "Order Completed".'
    ),
    "name": Field(_TEXT, names.LONGEST_ORIGINAL),
    "category": Field(_TEXT, names.LONGEST_ORIGINAL),
    "properties": Field(_OBJECT, 0, _OBJECT_HINT),
    "traits": Field(_OBJECT, 0, _OBJECT_HINT),
    "context": Field(_OBJECT, 0, _OBJECT_HINT),
    "timestamp": Field(_TEXT, 64, "Send ISO 8601 with a zone."),
    "originalTimestamp": Field(_TEXT, 64, "Send ISO 8601 with a zone."),
    "sentAt": Field(_TEXT, 64, "Send ISO 8601 with a zone."),
}
_SYNONYMS: Final = {
    "event_id": "message_id", "idempotency_key": "message_id",
    "user_id": "customer_id", "userid": "customer_id", "distinct_id": "customer_id",
    "event": "event_type", "event_name": "event_type", "name": "event_type", "type": "event_type",
    "properties": "event_data", "data": "event_data", "payload": "event_data",
    "time": "timestamp", "occurred_at": "timestamp", "created_at": "timestamp",
    "context": "metadata", "device": "device_info", "location": "location_data",
}  # fmt: skip
_WORDS: Final = {str: "text", int: "a whole number", dict: "an object"}


def explain(raw: bytes, fields: Mapping[str, Field], *, is_strict: bool) -> None:
    """Raise RejectedError with every fault of the event `raw`; return when a walk finds none.

    `is_strict` refuses fields that are not in the table.
    """
    if fault := too_long(raw):
        raise RejectedError([fault])  # Before anything is built from it.
    value = loaded(raw)
    faults = breaches(value)
    if not isinstance(value, dict):
        faults = [Fault("", "An event is an object.", 'Send {"customer_id": …, "event_type": …}.')]
    else:
        seen = {fault.pointer for fault in faults}
        faults += [fault for fault in _field_faults(value, fields, is_strict) if fault.pointer not in seen]
    if faults:
        raise RejectedError(faults)


def _field_faults(value: dict[str, Any], fields: Mapping[str, Field], is_strict: bool) -> Iterator[Fault]:
    for key, held in value.items():
        field = fields.get(key)
        if field is None:
            if is_strict:
                meant = _SYNONYMS.get(key.lower()) or nearest(key, fields)
                hint = (
                    f"Did you mean {meant}?" if meant else "Put your own fields into event_data or metadata."
                )
                yield Fault(pointer(key), "There is no field of this name.", hint)
        elif held is None:
            continue
        elif isinstance(held, bool) or not isinstance(held, field.kinds):
            wanted = " or ".join(_WORDS[kind] for kind in field.kinds)
            yield Fault(pointer(key), f"This must be {wanted}.", field.hint)
        elif isinstance(held, str) and len(held) > field.longest:
            yield Fault(
                pointer(key), f"At most {field.longest} characters; this has {len(held)}.", field.hint
            )
        elif isinstance(held, int) and abs(held) > NUMBER:
            yield Fault(pointer(key), "Numbers go from -1e15 to 1e15.", "Send this id as text.")
