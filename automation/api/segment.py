"""Segment's wire shape, which RudderStack and many others speak too."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Annotated, Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from automation.api import context as contexts
from automation.api import fields, names, times
from automation.api.article import text
from automation.api.faults import Fault, RejectedError
from automation.api.limits import UNDECODABLE, Loose, Number, Plain, is_plain
from automation.api.splitting import split
from automation.pipeline.ingest import Incoming

Object = TypeVar("Object")
_Id = Annotated[str, msgspec.Meta(max_length=fields.LONGEST_ID)] | Number | None
_Name = Annotated[str, msgspec.Meta(max_length=names.LONGEST_ORIGINAL)] | None
_encode = msgspec.json.Encoder().encode


class Item(msgspec.Struct, Generic[Object]):
    """One call as sent; fields without a meaning here are passed over."""

    type: str | None = None
    userId: _Id = None
    anonymousId: _Id = None
    previousId: _Id = None
    groupId: _Id = None
    messageId: Annotated[str, msgspec.Meta(max_length=fields.LONGEST_MESSAGE_ID)] | Number | None = None
    event: _Name = None
    name: _Name = None
    category: _Name = None
    properties: Object | None = None
    traits: Object | None = None
    context: Object | None = None
    timestamp: str | None = None
    originalTimestamp: str | None = None
    sentAt: str | None = None
    channel: Any = None


class Batch(msgspec.Struct):
    """Several calls, the sender's clock at sending, and context that all of them share."""

    batch: list[msgspec.Raw]
    sentAt: str | None = None
    context: Plain | None = None


class Sent(NamedTuple):
    """What the request says of every call in it."""

    received_at: datetime
    sent_at: datetime | None = None
    context: Mapping[str, Any] | None = None
    is_browser: bool = False
    is_import: bool = False


_PLAIN: msgspec.json.Decoder[Item[Any]] = msgspec.json.Decoder(Item[Plain])
_LOOSE: msgspec.json.Decoder[Item[Any]] = msgspec.json.Decoder(Item[Loose])
_BATCH = msgspec.json.Decoder(Batch)
_NAMES: Final = {
    "identify": "identify",
    "page": "page_view",
    "screen": "screen_view",
    "group": "group",
    "alias": "alias",
}
_CHANNELS: Final = {"browser": "web", "web": "web", "client": "web", "server": "server", "mobile": "app"}
_PAGE: Final = ("url", "path", "title", "referrer", "search")
KINDS: Final = ("track", *_NAMES)


def batch_of(body: bytes, sent: Sent) -> tuple[list[bytes], Sent]:
    """The calls of a batch, and what it says of all of them."""
    found = split(body, "batch", _BATCH, is_strict=False)
    if found is None:
        raise RejectedError(
            [Fault("/batch", "There is no list of calls.", 'Send {"batch": [{"type": "track", …}]}.')]
        )
    envelope, pieces = found
    sent_at = None if envelope.sentAt is None else times.time_of(envelope.sentAt, "/sentAt")
    return pieces, sent._replace(sent_at=sent_at, context=envelope.context)


def read(raw: bytes, sent: Sent, kind: str = "") -> Incoming:
    """The event that the call in `raw` is about; RejectedError with everything that is wrong with it.

    `kind` is said by the address; in a batch each call names its own in `type`.
    """
    item = _decoded(raw)
    kind = kind or item.type or ""
    customer_id, anonymous_id = text(item.userId), text(item.anonymousId)
    name = names.from_segment(item.event or "") if kind == "track" else _NAMES.get(kind, "")
    previous_id = text(item.previousId) or anonymous_id
    if faults := _missing(item, kind, name):
        raise RejectedError(faults)
    said_text = item.originalTimestamp or item.timestamp
    where = "/originalTimestamp" if item.originalTimestamp else "/timestamp"
    said = times.time_of(said_text, where) if said_text else None
    sent_at = times.time_of(item.sentAt, "/sentAt") if item.sentAt else sent.sent_at
    moment = times.settle(said, sent_at, sent.received_at)
    given = {**(sent.context or {}), **(item.context or {})}
    context = contexts.of_segment(given)
    if anonymous_id:
        context["anonymous_id"] = anonymous_id
    if kind == "alias" and previous_id:
        context["previous_id"] = previous_id
    if kind == "page" and "page" not in context and item.properties:
        if page := {key: item.properties[key] for key in _PAGE if key in item.properties}:
            context["page"] = page
    session_id = given.get("sessionId")
    return Incoming(
        message_id=text(item.messageId) or "",
        customer_id=customer_id,
        anonymous_id=anonymous_id,
        name=name,
        original_name=item.event or "" if kind == "track" else item.name or kind,
        data=_data(kind, item),
        context=context,
        session_id=str(session_id)[: fields.LONGEST_SESSION] if isinstance(session_id, (str, int)) else "",
        source=_source(item, given, sent),
        occurred_at=moment.occurred_at,
        received_at=sent.received_at,
        sent_at=sent_at,
        client_ts=said_text or "",
        is_late=moment.is_late,
        is_import=sent.is_import,
        is_skewed=moment.is_skewed,
        body_hash=_hash(kind, item, said_text),
    )


def _data(kind: str, item: Item[Any]) -> bytes:
    if kind == "identify":
        return _encode({"traits": item.traits or {}})
    if kind == "group":
        return _encode({"group_id": text(item.groupId), "traits": item.traits or {}})
    if kind == "alias":
        return b"{}"
    data = item.properties or {}
    if kind in ("page", "screen"):
        data = {
            key: value for key, value in (("name", item.name), ("category", item.category)) if value
        } | data
    return _encode(data)


def _hash(kind: str, item: Item[Any], said: str | None) -> bytes:
    """What makes two calls with one messageId the same. Browsers retry with a fresh `sentAt` and context."""
    parts = (
        kind,
        item.userId,
        item.anonymousId,
        item.previousId,
        item.groupId,
        item.event,
        item.name,
        item.category,
    )
    return blake2b(_encode((parts, item.properties, item.traits, said)), digest_size=16).digest()


def _source(item: Item[Any], context: Mapping[str, Any], sent: Sent) -> str:
    if sent.is_import:
        return "import"
    if isinstance(item.channel, str) and item.channel in _CHANNELS:
        return _CHANNELS[item.channel]
    if sent.is_browser or "page" in context or "userAgent" in context:
        return "web"
    return "app" if isinstance(context.get("app"), dict) else "server"


def _decoded(raw: bytes) -> Item[Any]:
    if is_plain(raw):
        try:
            return _PLAIN.decode(raw)
        except UNDECODABLE:
            pass  # Deep, or wrong in some way: the walk below says which.
    fields.explain(raw, fields.SEGMENT, is_strict=False)
    try:
        return _LOOSE.decode(raw)
    except UNDECODABLE as error:
        raise RejectedError([Fault("", f"The call cannot be read: {error}.")]) from None


def _missing(item: Item[Any], kind: str, name: str) -> list[Fault]:
    found = []
    if kind not in KINDS:
        return [Fault("/type", "This kind of call is not known.", fields.SEGMENT["type"].hint)]
    if kind == "alias":
        if not text(item.userId):
            found.append(Fault("/userId", "An alias needs the id that is meant from now on."))
        if not (text(item.previousId) or text(item.anonymousId)):
            found.append(Fault("/previousId", "An alias needs the id that was used before."))
    elif not (text(item.userId) or text(item.anonymousId)):
        found.append(Fault("/userId", "It is not said who this is about.", "Send userId or anonymousId."))
    if kind == "track" and not 0 < len(name) <= names.LONGEST:
        message = (
            f"A name has 1 to {names.LONGEST} letters and digits."
            if item.event
            else "It is not said what happened."
        )
        found.append(Fault("/event", message, fields.SEGMENT["event"].hint))
    if kind == "group" and not text(item.groupId):
        found.append(Fault("/groupId", "It is not said which group."))
    return found
