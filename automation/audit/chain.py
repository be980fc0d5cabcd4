"""The hash chain: what an entry's hash covers, and whether one entry truly follows another. Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

GENESIS = "0" * 64  # What the first entry follows.
_SCHEME = "beckon-audit-1"  # Another encoding gets another name, so that old entries still verify.


class Link(NamedTuple):
    """One entry as the chain sees it, in the order in which it is hashed."""

    id: int
    at: datetime
    action: str
    actor: str
    actor_id: int | None
    target: str
    details: Mapping[str, Any]
    ip: str
    request_id: str
    personal_digest: str
    previous_hash: str


class Personal(NamedTuple):
    """The side values of one entry."""

    profile_id: int | None
    salt: bytes
    values: Mapping[str, str]


def entry_hash(link: Link) -> str:
    """SHA-256 in hex over every field and the hash before."""
    moment = link.at.astimezone(UTC).isoformat(timespec="microseconds")
    return hashlib.sha256(_canonical([_SCHEME, *link._replace(at=moment)])).hexdigest()  # type: ignore[arg-type]


def personal_digest(personal: Personal) -> str:
    """What of personal values enters the chain: without the salt it says nothing about them."""
    message = _canonical([_SCHEME, personal.profile_id, personal.values])
    return hmac.new(personal.salt, message, hashlib.sha256).hexdigest()


def problem(link: Link, stored_hash: str, personal: Personal | None, *, after: int, after_hash: str) -> str:
    """Why this entry does not truly follow entry `after`; empty when it does.

    Personal values that are gone are no problem: that is what erasure does.
    """
    if link.id != after + 1:
        missing = f"entry {after + 1} is missing" if link.id > after + 1 else f"entry {link.id} appears twice"
        return f"{missing}: it was removed, or an entry was given another id"
    if link.previous_hash != after_hash:
        return f"entry {link.id} does not follow entry {after}: one of them was removed, put in or swapped"
    if entry_hash(link) != stored_hash:
        return f"entry {link.id} was altered: its content does not give its hash"
    if personal is not None and not hmac.compare_digest(personal_digest(personal), link.personal_digest):
        return f"the personal values of entry {link.id} were altered"
    return ""


def plain(value: Any) -> Any:
    """`value` as JSON that comes back from the database exactly as it went in.

    Only strings, whole numbers, booleans, None, lists and objects remain; PostgreSQL would write a float another
    way, and refuses NUL and lone surrogates.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Mapping):
        return {_text(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, set | frozenset):
        return sorted(_text(one) for one in value)
    if isinstance(value, datetime):
        return value.isoformat()
    return _text(value)


def _text(value: Any) -> str:
    return str(value).replace("\x00", "␀").encode("utf-8", "replace").decode()


def _canonical(parts: list[Any]) -> bytes:
    """The one way to write these parts: JSON in ASCII, keys sorted, no spaces."""
    return json.dumps(
        parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False
    ).encode()
