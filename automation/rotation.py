"""Replace a write key without a gap: both work until the old one ends (R-036)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from automation import audit
from automation.models.keys import WriteKey

KEEP_DAYS: Final = 7  # Time to move a shop to its new key.
LONGEST_KEEP_DAYS: Final = 90


class NotReplaceableError(ValueError):
    """The key does not work any more: there is nothing to replace."""


class Replaced(NamedTuple):
    """A new key, its secret (never to be had again), and when the old one ends."""

    key: WriteKey
    token: str
    old_ends_at: datetime


def replace(
    key: WriteKey,
    *,
    keep_days: int,
    now: datetime,
    actor: str,
    actor_id: int | None = None,
    request: HttpRequest | None = None,
) -> Replaced:
    """Make a second key with the same name, source and scopes; let the old one end `keep_days` from now.

    The new one ends when the old one was to end anyway, if that is later. A key that was to end sooner keeps
    its end. Leaves an audit entry. Raises NotReplaceableError for a key that was switched off or has expired.
    """
    with transaction.atomic():
        old = WriteKey.objects.select_for_update().get(pk=key.pk)
        if not works(old, now):
            raise NotReplaceableError(f"{old} was switched off or has expired; make a new key instead.")
        planned_end = old.expires_at
        ends_at = now + timedelta(days=keep_days)
        if planned_end is not None and planned_end < ends_at:
            ends_at = planned_end
        new = WriteKey(
            name=old.name,
            source=old.source,
            scopes=old.scopes,
            expires_at=planned_end if planned_end is not None and planned_end > ends_at else None,
        )
        token = new.issue()
        new.save()
        old.expires_at = ends_at
        old.save(update_fields=["expires_at"])
        audit.record(
            "writekey.replaced",
            actor=actor,
            actor_id=actor_id,
            target=f"automation.writekey {old.pk}",
            details={"name": str(old), "by": str(new), "by_id": new.pk, "ends_at": ends_at.isoformat()},
            request=request,
        )
    return Replaced(new, token, ends_at)


def works(key: WriteKey, now: datetime) -> bool:
    """Whether requests with this key are let pass."""
    return key.is_active and (key.expires_at is None or key.expires_at > now)


def siblings(key: WriteKey, now: datetime) -> QuerySet[WriteKey]:
    """The other keys that work for the same name and source: more than one is a rotation nobody finished."""
    unended = Q(expires_at=None) | Q(expires_at__gt=now)
    same = WriteKey.objects.filter(unended, name=key.name, source=key.source, is_active=True)
    return same.exclude(pk=key.pk).order_by("-created_at", "-pk")
