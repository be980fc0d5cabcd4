"""Read a request's body, bounded at every step (R-005, R-006)."""

from __future__ import annotations

import zlib
from email.message import Message
from typing import Any

from rest_framework.request import Request

from automation.api.faults import Fault, RejectedError
from automation.api.limits import BODY_BYTES
from automation.api.problems import ProblemError

RATIO = 100
_STEP = 65_536
_GZIP = 16 + zlib.MAX_WBITS
_BROKEN_OFF = Fault("", "The body broke off.", "Send all of it, as long as its headers say.")
_TOO_LARGE = f"A body may have {BODY_BYTES} bytes."


def body_of(request: Request, *, is_text_allowed: bool = False) -> bytes:
    """The body of `request`, unpacked; read once and kept.

    ProblemError when it is too large, packed in an unknown way or by its own word not UTF-8.
    `is_text_allowed` takes text/plain for JSON: browsers may send that to another site without asking first.
    """
    known: bytes | None = getattr(request, "_beckon_body", None)
    if known is None:
        _check_type(request, is_text_allowed)
        is_packed = _is_packed(request)
        known = _raw(request)
        if is_packed:
            known = inflated(known)
        request._beckon_body = known  # type: ignore[attr-defined]
    return known


def _check_type(request: Request, is_text_allowed: bool) -> None:
    header = request.META.get("CONTENT_TYPE", "")
    if not header or header == "application/json":
        return
    message = Message()
    message["Content-Type"] = header
    kind = message.get_content_type()
    is_json = kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
    if not (is_json or (is_text_allowed and kind == "text/plain")):
        raise ProblemError(
            "unsupported-media-type",
            "Send JSON with `Content-Type: application/json`.",
            headers={"Accept-Post": "application/json"},
        )
    charset = message.get_param("charset")
    if charset is not None and str(charset).lower() not in ("utf-8", "utf8"):
        raise ProblemError("unsupported-media-type", "The charset must be UTF-8.")


def _is_packed(request: Request) -> bool:
    encoding = request.META.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if encoding in ("", "identity"):
        return False
    if encoding in ("gzip", "x-gzip"):
        return True
    raise ProblemError(
        "unsupported-media-type",
        "Of the content encodings only gzip is known.",
        headers={"Accept-Encoding": "gzip"},
    )


def _raw(request: Request) -> bytes:
    declared = request.META.get("CONTENT_LENGTH", "")
    if declared.isdigit():
        if int(declared) > BODY_BYTES:
            raise ProblemError("too-large", _TOO_LARGE)
        body = _read(request._request, int(declared))
        if len(body) < int(declared):
            raise RejectedError([_BROKEN_OFF])
        return body
    if "chunked" not in request.META.get("HTTP_TRANSFER_ENCODING", "").lower():
        return b""
    if not request.META.get("wsgi.input_terminated"):
        raise ProblemError("length-required", "This server needs Content-Length.")
    try:
        body = _read(request.META["wsgi.input"], BODY_BYTES + 1)
    except OSError:  # The server's own errors about chunks are of this kind.
        raise RejectedError([_BROKEN_OFF]) from None
    if len(body) > BODY_BYTES:
        raise ProblemError("too-large", _TOO_LARGE)
    return body


def _read(stream: Any, limit: int) -> bytes:
    """At most `limit` bytes, taken in steps: asked for all at once, servers keep several copies of a large body."""
    parts = []
    while limit > 0 and (part := bytes(stream.read(min(_STEP, limit)))):
        parts.append(part)
        limit -= len(part)
    return b"".join(parts)


def inflated(packed: bytes) -> bytes:
    """`packed` gzip data, unpacked step by step so that a bomb never grows past the limits."""
    unpacked = bytearray()
    limit = min(BODY_BYTES, RATIO * len(packed))
    rest = packed
    while rest:
        unpacker = zlib.decompressobj(_GZIP)
        while not unpacker.eof:
            try:
                part = unpacker.decompress(rest, min(_STEP, limit + 1 - len(unpacked)))
            except zlib.error:
                raise RejectedError([Fault("", "The body says gzip but is not.")]) from None
            unpacked += part
            rest = unpacker.unconsumed_tail
            if len(unpacked) > limit:
                raise ProblemError(
                    "too-large", f"{_TOO_LARGE[:-1]} after unpacking, and {RATIO} times its packed size."
                )
            if not part and not rest and not unpacker.eof:
                raise RejectedError([Fault("", "The gzip data break off.", "Send the whole body.")])
        rest = unpacker.unused_data.lstrip(b"\0")
    return bytes(unpacked)
