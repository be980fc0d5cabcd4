"""Who asks: write keys, their scopes, and how often they may ask (R-036, R-037, R-038)."""

from __future__ import annotations

import base64
import hmac
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from django.db.models import Q
from django.db.models.functions import Now
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from automation.api.throttle import spend_failure
from automation.models.keys import PREFIX, WriteKey, digest_of

if TYPE_CHECKING:  # DRF's views import this module while they are being imported.
    from rest_framework.views import APIView

KNOWN_SECONDS = 4.0  # A revoked key works this long at most; R-036 allows 5.
USED_SECONDS = 60.0
_KNOWN_LIMIT = 10_000
_TOKEN = re.compile(rf"{PREFIX}([0-9a-f]{{8}})_[\w-]{{43}}", re.ASCII)
_NOT_VALID = "This key is not known, was revoked, or has expired."


@dataclass(frozen=True, slots=True)
class Key:
    """A write key as requests see it."""

    id: int
    name: str
    source: str  # Message ids are unique within it.
    digest: str
    public_id: str  # The part of the key that may be shown.
    scopes: frozenset[str]
    expires_at: datetime | None

    def may(self, scope: str) -> bool:
        """Whether this key has `scope`; `admin` includes every scope."""
        return self.is_admin or scope in self.scopes

    @property
    def is_admin(self) -> bool:
        """Whether this key sees what every source sent."""
        return WriteKey.Scope.ADMIN.value in self.scopes


_known: dict[str, tuple[float, Key]] = {}
_used: dict[int, float] = {}


def forget() -> None:
    """Drop what this process knows of keys."""
    _known.clear()
    _used.clear()


def key_of(token: str) -> Key | None:
    """The active key that `token` is the secret of."""
    found = _TOKEN.fullmatch(token)
    if found is None:
        return None
    key = _loaded(found[1])
    # The row is looked up by its public part; only the digest says whether the secret is right.
    if key is None or not hmac.compare_digest(key.digest, digest_of(token)):
        return None
    if key.expires_at is not None and key.expires_at <= datetime.now(UTC):
        return None
    _note_use(key.id)
    return key


def _loaded(public_id: str) -> Key | None:
    now = time.monotonic()
    cached = _known.get(public_id)
    if cached is not None and now - cached[0] < KNOWN_SECONDS:
        return cached[1]
    _known.pop(public_id, None)
    row = (
        WriteKey.objects.filter(public_id=public_id, is_active=True)
        .values_list("id", "name", "source", "digest", "public_id", "scopes", "expires_at")
        .first()
    )
    if row is None:
        return None
    key = Key(*row[:5], frozenset(row[5]), row[6])
    if len(_known) >= _KNOWN_LIMIT:
        _known.clear()
    _known[public_id] = (now, key)
    return key


def _note_use(key_id: int) -> None:
    now = time.monotonic()
    if now - _used.get(key_id, -USED_SECONDS) < USED_SECONDS:
        return
    _used[key_id] = now
    # Of several processes one a minute writes.
    before = Now() - timedelta(seconds=USED_SECONDS)
    WriteKey.objects.filter(Q(last_used_at=None) | Q(last_used_at__lt=before), id=key_id).update(
        last_used_at=Now()
    )


def token_in_headers(request: Request) -> str:
    """The key in `Authorization` (Bearer, or user name of Basic) or `X-Api-Key`; empty when there is none."""
    kind, _, value = request.META.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
    if kind.lower() == "bearer":
        return str(value.strip())
    if kind.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).decode().partition(":")[0]
        except ValueError:  # Not Base64, or not UTF-8 inside.
            raise AuthenticationFailed("The Basic credentials cannot be read.") from None
    if kind:
        raise AuthenticationFailed("Send the key as Bearer, as Basic user name, or as X-Api-Key.")
    return str(request.META.get("HTTP_X_API_KEY", "").strip())


@runtime_checkable
class TakesKeyInBody(Protocol):
    """A view whose clients may put the key into the body."""

    def token_in_body(self, request: Request) -> str:
        """The key in the body; empty when there is none."""


class KeyAuthentication(BaseAuthentication):
    """Puts the `Key` into `request.auth`; there are no users behind keys."""

    def authenticate(self, request: Request) -> tuple[None, Key] | None:
        """The key, or None without one; AuthenticationFailed for a wrong one, 429 for many wrong ones."""
        token = token_in_headers(request)
        if not token:
            view = (request.parser_context or {}).get("view")
            if not isinstance(view, TakesKeyInBody):
                return None
            token = view.token_in_body(request)
            if not token:
                return None
        key = key_of(token)
        if key is None:
            spend_failure(request)
            raise AuthenticationFailed(_NOT_VALID)
        return None, key

    def authenticate_header(self, request: Request) -> str:
        """For WWW-Authenticate."""
        return 'Bearer realm="beckon"'


class HasScope(BasePermission):
    """Lets a key pass that has the view's `required_scope`; a view that declares none lets nobody pass."""

    message = "This key lacks the scope that is needed here."

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Raises NotAuthenticated without a key, so views without authentication classes are safe."""
        scope = getattr(view, "required_scope", None)
        key = request.auth
        if not isinstance(key, Key):
            found = KeyAuthentication().authenticate(request)
            if found is None:
                raise NotAuthenticated("Send a write key.")
            key = request.auth = found[1]
        if scope is None or not key.may(scope):
            self.message = f"This key lacks the scope {scope}." if scope else HasScope.message
            return False
        return True
