"""What a receiver answered: an excerpt for those who may see it, the numbers for all others (R-041)."""

from __future__ import annotations

import re
from typing import Any

from django.http import HttpRequest
from django.utils.safestring import SafeString

from automation.models import Delivery
from profiles.admin.parts import pretty
from profiles.masking import may_see, without_personal

RESPONSE_SHOWN = 1024  # Characters of each text of an answer.
_OUTCOME = frozenset({"status", "milliseconds"})
_SECRET_KEY = re.compile(
    r"(?:.*[_-])?(?:authorization|token|secret|password|api_?-?key|signature|cookie)", re.IGNORECASE
)
_SECRET = re.compile(
    r"(?i)\b(bearer\s+|(?:access_token|token|secret|password|api_?key|signature)[\"']?\s*[=:]\s*[\"']?)"
    r"[^\s\"'&,}]{4,}"
)
_KEYS = re.compile(r"\b(?:bk_live_|sk_live_|whsec_|xox[bp]-)[\w-]{6,}")
_HIDDEN = "…"


def answer_of(row: Delivery, request: HttpRequest) -> SafeString:
    """The stored answer, as this member of staff may see it."""
    if not request.user.has_perm("automation.view_response"):  # type: ignore[union-attr]
        return numbers(row)
    return excerpt(row) if may_see(request.user) else pretty(without_personal(_clipped(row.result)))


def excerpt(row: Delivery) -> SafeString:
    """The answer shortened, without secrets."""
    return pretty(_clipped(row.result))


def numbers(row: Delivery) -> SafeString:
    """Status and timing only: what a receiver answers may hold anything."""
    return pretty(_outcome(row.result))


def _clipped(value: Any) -> Any:
    """Texts shortened, and what looks like a secret masked: receivers quote what they were sent."""
    if isinstance(value, str):
        text = _KEYS.sub(_HIDDEN, _SECRET.sub(rf"\1{_HIDDEN}", value))
        return text[:RESPONSE_SHOWN]
    if isinstance(value, dict):
        return {
            key: _HIDDEN if _SECRET_KEY.fullmatch(str(key)) and item else _clipped(item)
            for key, item in value.items()
        }
    return [_clipped(item) for item in value] if isinstance(value, list) else value


def _outcome(value: Any) -> Any:
    """The numbers under the keys of `_OUTCOME`, however deep they stand."""
    if not isinstance(value, dict):
        return {}
    found: dict[str, Any] = {}
    for key, item in value.items():
        if key in _OUTCOME and isinstance(item, int | float):
            found[key] = item
        elif inside := _outcome(item):
            found[key] = inside
    return found
