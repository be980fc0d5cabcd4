"""The limits of R-005: what an event may look like before anything uses it.

Two ways with one answer. `is_plain` looks at the bytes, and decoding into the type `Plain` checks the rest
in C; together they pass nearly every event there is, but know only whether all is well. Whatever they do not
pass goes to `breaches`, which walks the loaded value in Python, knows the exact limits and names the place.
So a deep or large event that is allowed costs a little more, and an ordinary one next to nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec

from automation.api.faults import Fault, RejectedError, pointer

BODY_BYTES = 1_048_576
BATCH_EVENTS = 500
EVENT_BYTES = 32_768
DEPTH = 20  # Levels of objects and arrays, the event itself being the first.
KEYS = 200  # In one object.
KEY_LENGTH = 128
STRING_BYTES = 8_192
NUMBER = 10**15
FAULTS_SHOWN = 20

_PLAIN_DEPTH = 5  # Each further level doubles the decoder; few events are deeper.
_NUL = b"\\u0000"  # jsonb has no place for it. A raw NUL is not JSON.
# A string as a whole, or one of the words that JSON has not but many senders write.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|-?Infinity|NaN', re.DOTALL)
_SURROGATE = re.compile(
    rb"\\\\|(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


def _plain() -> Any:
    scalar = (
        str
        | Annotated[int, msgspec.Meta(ge=-NUMBER, le=NUMBER)]
        | Annotated[float, msgspec.Meta(ge=-NUMBER, le=NUMBER)]
        | bool
        | None
    )
    kind: Any = scalar
    key = Annotated[str, msgspec.Meta(max_length=KEY_LENGTH)]
    for _ in range(_PLAIN_DEPTH):
        kind = scalar | list[kind] | Annotated[dict[key, kind], msgspec.Meta(max_length=KEYS)]
    return Annotated[dict[key, kind], msgspec.Meta(max_length=KEYS)]


Plain: Any = _plain()  # Type of an object inside all limits and not deep, for msgspec's decoders.
Loose = dict[str, Any]  # Type of an object that `breaches` has walked.
Number = Annotated[int, msgspec.Meta(ge=-NUMBER, le=NUMBER)]
UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError)
"""What msgspec raises for bytes that are not the JSON asked for."""


def is_plain(raw: bytes) -> bool:
    """Whether the limits that no decoder sees are kept for sure; False means only: walk it."""
    return len(raw) <= STRING_BYTES and _NUL not in raw


def loaded(raw: bytes) -> Any:
    """The value in `raw`, also with NaN and half surrogate pairs; RejectedError if it is not even that."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise RejectedError(
            [Fault("", f"The text is not UTF-8 (byte {error.start}).", "Send UTF-8.")]
        ) from None
    try:
        return json.loads(text, parse_int=_integer)
    except RecursionError:
        raise RejectedError([too_deep("")]) from None
    except json.JSONDecodeError as error:
        raise RejectedError([Fault("", f"This is not JSON: {error.msg} (character {error.pos}).")]) from None


def _integer(digits: str) -> int | float:
    # Python refuses to convert thousands of digits; such a number is over the limit anyway.
    return int(digits) if len(digits) < 40 else float("inf")


def too_deep(where: str) -> Fault:
    return Fault(where, f"Objects and arrays may be nested {DEPTH} levels deep.", "Send a flatter event.")


def too_long(raw: bytes) -> Fault | None:
    """What is wrong with the length of an event, if anything is."""
    if len(raw) <= EVENT_BYTES:
        return None
    message = f"An event may have {EVENT_BYTES} bytes; this one has {len(raw)}."
    return Fault("", message, "Send less with it.")


def breaches(value: Any) -> list[Fault]:
    """Every limit inside the event `value` that is broken; at most FAULTS_SHOWN of them."""
    found = []
    for fault in _walk(value, "", 1):
        found.append(fault)
        if len(found) == FAULTS_SHOWN:
            break
    return found


def _walk(value: Any, where: str, depth: int) -> Iterator[Fault]:
    if isinstance(value, str):
        yield from _string(value, where)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        if not -NUMBER <= value <= NUMBER:  # Also true of NaN, which equals nothing.
            yield Fault(where, "Numbers go from -1e15 to 1e15.", 'Send it as text: "12345678901234567890".')
    elif isinstance(value, (dict, list)):
        if depth > DEPTH:
            yield too_deep(where)
            return
        if isinstance(value, dict):
            if len(value) > KEYS:
                yield Fault(where, f"An object may have {KEYS} keys; this one has {len(value)}.")
            for key, part in value.items():
                inside = where + pointer(key)
                if len(key) > KEY_LENGTH:
                    yield Fault(inside, f"A key may have {KEY_LENGTH} characters; this one has {len(key)}.")
                yield from _characters(key, inside, "key")
                yield from _walk(part, inside, depth + 1)
        else:
            for index, part in enumerate(value):
                yield from _walk(part, f"{where}/{index}", depth + 1)


def _string(value: str, where: str) -> Iterator[Fault]:
    size = len(value.encode("utf-8", "surrogatepass"))
    if size > STRING_BYTES:
        yield Fault(where, f"A text may have {STRING_BYTES} bytes; this one has {size}.")
    yield from _characters(value, where, "text")


def _characters(value: str, where: str, what: str) -> Iterator[Fault]:
    if value.isascii():
        if "\x00" in value:
            yield Fault(where, f"A {what} may not contain the NUL character.", "Leave \\u0000 out.")
        return
    if "\x00" in value:
        yield Fault(where, f"A {what} may not contain the NUL character.", "Leave \\u0000 out.")
    if any("\ud800" <= c <= "\udfff" for c in value):
        yield Fault(where, f"A {what} may not contain half of a surrogate pair.", "Send whole characters.")


def splittable(body: bytes) -> bytes:
    """`body` with the things that JSON forbids overwritten by others of the same length.

    One event with NaN or half a surrogate pair must not spoil its whole batch: the copy can be split, and the
    places of its parts are those of the original.
    """

    def mended(token: re.Match[bytes]) -> bytes:
        text = token[0]
        if not text.startswith(b'"'):
            return b"0".ljust(len(text))
        return _SURROGATE.sub(lambda m: rb"\ufffd" if m[2] else m[0], text) if b"\\u" in text else text

    return _TOKEN.sub(mended, body)
