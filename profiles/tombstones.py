"""Keyed hashes of names and addresses: recognised when they come again, unreadable otherwise.

HMAC-SHA256 under a key that is derived from SECRET_KEY. What a former key of SECRET_KEY_FALLBACKS made is still
recognised; what an unlisted former key made is not, so a former key must stay listed.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from django.conf import settings

ADDRESS: Final = "address"  # Beside the kinds of identities.
HASHED: Final = "hmac:"  # Begins a suppressed address of which only the hash is kept.
_SALT: Final = b"profiles.tombstones"


def digest(kind: str, value: str) -> str:
    """The hash that is stored, in hex."""
    return _digest(_key(settings.SECRET_KEY), kind, value)


def digests(kind: str, value: str) -> list[str]:
    """Every hash under which the value may be stored: of the present key and of each former one."""
    return [_digest(key, kind, value) for key in _keys()]


def flattened(names: Iterable[tuple[str, str]]) -> tuple[list[str], list[str], list[str]]:
    """Three columns for unnest: kind, value, and one possible hash of them."""
    keys = _keys()
    rows = [(kind, value, _digest(key, kind, value)) for kind, value in names for key in keys]
    kinds, values, found = zip(*rows, strict=True) if rows else ((), (), ())
    return list(kinds), list(values), list(found)


def _digest(key: bytes, kind: str, value: str) -> str:
    # No value holds a NUL: PostgreSQL would refuse it.
    return hmac.digest(key, f"{kind}\0{value}".encode("utf-8", "surrogatepass"), "sha256").hex()


def _keys() -> list[bytes]:
    return [_key(secret) for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]


@lru_cache(maxsize=8)
def _key(secret: str) -> bytes:
    return hmac.digest(secret.encode(), _SALT, "sha256")
