"""Beckon's own wire shape, which is the source article's: customer_id, event_type, event_data …"""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from automation.api import context, fields, names, times
from automation.api.faults import Fault, RejectedError
from automation.api.limits import UNDECODABLE, Loose, Number, Plain, is_plain
from automation.api.splitting import split
from automation.pipeline.ingest import Incoming

Object = TypeVar("Object")
_Id = Annotated[str, msgspec.Meta(max_length=fields.LONGEST_ID)] | Number | None
_encode = msgspec.json.Encoder().encode


class Item(msgspec.Struct, Generic[Object], forbid_unknown_fields=True):
    """One event as sent. Texts and numbers are inside their limits; nothing else is known yet."""

    customer_id: _Id = None
    anonymous_id: _Id = None
    event_type: Annotated[str, msgspec.Meta(max_length=names.LONGEST_ORIGINAL)] | None = None
    event_data: Object | None = None
    timestamp: str | None = None
    sent_at: str | None = None
    session_id: Annotated[str, msgspec.Meta(max_length=fields.LONGEST_SESSION)] | Number | None = None
    source: Annotated[str, msgspec.Meta(max_length=fields.LONGEST_SOURCE)] | None = None
    device_info: Object | None = None
    location_data: Object | None = None
    metadata: Object | None = None
    message_id: Annotated[str, msgspec.Meta(max_length=fields.LONGEST_MESSAGE_ID)] | Number | None = None


class Batch(msgspec.Struct, forbid_unknown_fields=True):
    """Several events, and for all of them the sender's clock at sending."""

    events: list[msgspec.Raw]
    sent_at: str | None = None


_PLAIN: msgspec.json.Decoder[Item[Any]] = msgspec.json.Decoder(Item[Plain])
_LOOSE: msgspec.json.Decoder[Item[Any]] = msgspec.json.Decoder(Item[Loose])
_BATCH = msgspec.json.Decoder(Batch)


def batch_of(body: bytes) -> tuple[list[bytes], datetime | None] | None:
    """The events of a batch and when it was sent; None when `body` is a single event."""
    found = split(body, "events", _BATCH, is_strict=True)
    if found is None:
        return None
    envelope, pieces = found
    return pieces, None if envelope.sent_at is None else times.time_of(envelope.sent_at, "/sent_at")


def read(raw: bytes, received_at: datetime, sent_at: datetime | None = None) -> Incoming:
    """The event in `raw`; RejectedError with everything that is wrong with it."""
    item = _decoded(raw)
    name = names.canonical(item.event_type) if item.event_type else ""
    customer_id, anonymous_id = text(item.customer_id), text(item.anonymous_id)
    if not (customer_id or anonymous_id) or not 0 < len(name) <= names.LONGEST:
        raise RejectedError(_missing(item, name))
    said = None if item.timestamp is None else times.time_of(item.timestamp, "/timestamp")
    if item.sent_at is not None:
        sent_at = times.time_of(item.sent_at, "/sent_at")
    moment = times.settle(said, sent_at, received_at)
    return Incoming(
        message_id=text(item.message_id) or "",
        customer_id=customer_id,
        anonymous_id=anonymous_id,
        name=name,
        original_name=item.event_type or "",
        data=_encode(item.event_data) if item.event_data else b"{}",
        context=context.of_article(item.device_info, item.location_data, item.metadata),
        session_id=text(item.session_id) or "",
        source=item.source or "",
        occurred_at=moment.occurred_at,
        received_at=received_at,
        sent_at=sent_at,
        client_ts=item.timestamp or "",
        is_late=moment.is_late,
        is_import=False,
        is_skewed=moment.is_skewed,
        body_hash=blake2b(raw, digest_size=16).digest(),
    )


def text(value: str | int | None) -> str | None:
    """An id as text; an empty one is none."""
    return str(value) if isinstance(value, int) else value or None


def _decoded(raw: bytes) -> Item[Any]:
    if is_plain(raw):
        try:
            return _PLAIN.decode(raw)
        except UNDECODABLE:
            pass  # Deep, or wrong in some way: the walk below says which.
    fields.explain(raw, fields.ARTICLE, is_strict=True)
    try:
        return _LOOSE.decode(raw)
    except UNDECODABLE as error:
        # Only what a walk cannot see, such as a broken value that a repeated key replaced.
        raise RejectedError([Fault("", f"The event cannot be read: {error}.")]) from None


def _missing(item: Item[Any], name: str) -> list[Fault]:
    found = []
    if not (text(item.customer_id) or text(item.anonymous_id)):
        hint = "Send customer_id, or anonymous_id for a visitor you do not know yet."
        found.append(Fault("/customer_id", "It is not said whose event this is.", hint))
    if not item.event_type:
        hint = fields.ARTICLE["event_type"].hint
        found.append(Fault("/event_type", "It is not said what happened.", hint))
    elif not name:
        found.append(
            Fault("/event_type", "A name needs at least one letter or digit.", 'For example "page_view".')
        )
    elif len(name) > names.LONGEST:
        found.append(Fault("/event_type", f"At most {names.LONGEST} characters; this has {len(name)}."))
    return found
