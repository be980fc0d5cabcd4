"""Cut a batch into its events without looking inside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from automation.api.faults import Fault, RejectedError, nearest, pointer
from automation.api.limits import BATCH_EVENTS, UNDECODABLE, loaded, splittable

Envelope = TypeVar("Envelope", bound=msgspec.Struct)
_NAMES = msgspec.json.Decoder(dict[str, msgspec.Raw])


def split(
    body: bytes, key: str, decoder: msgspec.json.Decoder[Envelope], *, is_strict: bool
) -> tuple[Envelope, list[bytes]] | None:
    """The envelope of a batch and the bytes of each event in its list `key`; None when there is no such list.

    RejectedError when the body as a whole is unusable. An event with NaN or half a surrogate pair is cut out
    as it came, to be refused by itself.
    """
    try:
        envelope = decoder.decode(body)
        return envelope, _pieces(getattr(envelope, key), key)
    except UNDECODABLE:
        if _is_without(body, key):
            return None
        value = loaded(body)
    if not isinstance(value, dict):
        hint = f'Send an object, or {{"{key}": […]}} with up to {BATCH_EVENTS} events.'
        raise RejectedError([Fault("", "The body must be an object.", hint)])
    if key not in value:
        return None
    return _hard_split(body, key, decoder, value, is_strict)


def _is_without(body: bytes, key: str) -> bool:
    """Whether `body` is an object without `key`, seen without building what is in it: that may be much."""
    try:
        return key not in _NAMES.decode(body)
    except UNDECODABLE:
        return False


def _pieces(raws: Sequence[msgspec.Raw], key: str) -> list[bytes]:
    if not raws:
        raise RejectedError([Fault(pointer(key), "The list is empty.", f"Send 1 to {BATCH_EVENTS} events.")])
    if len(raws) > BATCH_EVENTS:
        message = f"A batch may have {BATCH_EVENTS} events; this one has {len(raws)}."
        raise RejectedError([Fault(pointer(key), message, "Send several batches.")])
    return [bytes(raw) for raw in raws]


def _hard_split(
    body: bytes, key: str, decoder: msgspec.json.Decoder[Envelope], value: dict[str, Any], is_strict: bool
) -> tuple[Envelope, list[bytes]]:
    if not isinstance(value[key], list):
        raise RejectedError([Fault(pointer(key), "This must be a list of events.")])
    fields = [field.encode_name for field in msgspec.structs.fields(decoder.type)]
    if is_strict and (unknown := [name for name in value if name not in fields]):
        raise RejectedError(
            [
                Fault(
                    pointer(name),
                    "There is no field of this name beside the list.",
                    f"Did you mean {meant}?"
                    if (meant := nearest(name, fields))
                    else "Put it into each event.",
                )
                for name in unknown[:20]
            ]
        )
    copy = splittable(body)
    try:
        envelope = decoder.decode(copy)
    except UNDECODABLE as error:
        raise RejectedError([Fault("", f"The batch cannot be read: {error}.")]) from None
    pieces, at = [], max(copy.find(f'"{key}"'.encode()), 0)
    for piece in _pieces(getattr(envelope, key), key):
        at = copy.find(piece, at)
        pieces.append(body[at : at + len(piece)])
        at += len(piece)
    return envelope, pieces
