"""Bury the names of an erased person, and dig them up when the person comes back of their own will."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import connection, transaction

from automation import audit
from automation.ids import uuid7
from automation.privacy.person import Who
from profiles import tombstones
from profiles.models import Erasure
from profiles.services import Name

if TYPE_CHECKING:
    from django.http import HttpRequest


def bury(erasure_id: UUID, names: Iterable[Name]) -> int:
    """Put a tombstone on each name that has none; returns how many were new. Needs a transaction."""
    hashes = sorted(tombstones.digest(kind, value) for kind, value in names)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO profiles_tombstone (digest, erasure_id)"
            " SELECT d, %s FROM unnest(%s::text[]) AS d ORDER BY d ON CONFLICT DO NOTHING",
            [erasure_id, hashes],
        )
        return cursor.rowcount


def is_buried(names: Iterable[Name]) -> bool:
    """Whether any of the names was erased before."""
    hashes = [found for kind, value in names for found in tombstones.digests(kind, value)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM profiles_tombstone WHERE digest = ANY(%s))", [hashes])
        return bool(cursor.fetchone()[0])


@transaction.atomic
def lift(
    who: Who, *, by: str, now: datetime, actor_id: int | None = None, request: HttpRequest | None = None
) -> int:
    """Let a person who was erased come back, as somebody new: their next event makes a new profile.

    All names that were buried together are freed. Returns how many; 0 when the name has no tombstone. Nothing
    that was erased returns. It is recorded as an act of its own.
    """
    hashes = [found for kind, value in who.names for found in tombstones.digests(kind, value)]
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM profiles_tombstone WHERE digest = ANY(%s) OR erasure_id IN ("
            " SELECT erasure_id FROM profiles_tombstone WHERE digest = ANY(%s))",
            [hashes, hashes],
        )
        freed = cursor.rowcount
    if freed:
        receipt = Erasure.objects.create(
            id=uuid7(), act=Erasure.Act.LIFT, outcome=Erasure.Outcome.LIFTED, at=now, by=by[:150], names=freed
        )
        audit.record(
            "customer.erasure_lifted",
            actor=by,
            actor_id=actor_id,
            target=f"profiles.erasure {receipt.pk}",
            details={"names": freed},
            request=request,
        )
    return freed
