"""After a restore: forget again whom the backup brought back, by the tombstones that were kept beside it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction

from automation import audit
from automation.ids import uuid7
from automation.privacy.erase import erase
from automation.privacy.person import Who
from profiles import tombstones
from profiles.models import Erasure, Tombstone
from profiles.services import CUSTOMER, Name

DIGEST = re.compile(r"[0-9a-f]{64}")
_AT_ONCE = 10_000


class Again(NamedTuple):
    """What was done."""

    erased: int  # People who were there again.
    buried: int  # Tombstones that were missing and are there again.


def listed() -> Iterator[str]:
    """Every tombstone: keyed hashes, which say nothing without SECRET_KEY."""
    return Tombstone.objects.order_by("digest").values_list("digest", flat=True).iterator()


def forget_again(digests: Collection[str], *, by: str, now: datetime) -> Again:
    """Erase everybody one of whose names has one of these tombstones, and put back the tombstones that are missing.

    May be repeated: what is done already is left alone.
    """
    wanted = frozenset(digests)
    erased = 0
    for kind, value in _names_of(wanted):
        who = Who(customer_id=value) if kind == CUSTOMER else Who(anonymous_id=value)
        erased += erase(who, by=by, now=now).outcome == Erasure.Outcome.ERASED
    with transaction.atomic():
        missing = wanted - set(Tombstone.objects.filter(pk__in=wanted).values_list("pk", flat=True))
        if missing:
            receipt = Erasure.objects.create(
                id=uuid7(),
                act=Erasure.Act.ERASE,
                outcome=Erasure.Outcome.UNKNOWN,
                at=now,
                by=by[:150],
                names=len(missing),
            )
            Tombstone.objects.bulk_create(
                [Tombstone(digest=digest, erasure=receipt) for digest in sorted(missing)],
                ignore_conflicts=True,
            )
        audit.record(
            "customers.erased_again", actor=by, details={"people": erased, "tombstones": len(missing)}
        )
    return Again(erased, len(missing))


def _names_of(wanted: frozenset[str]) -> list[Name]:
    """The names in use that have one of these tombstones."""
    found: list[Name] = []
    last = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id, kind, value FROM profiles_identity WHERE id > %s ORDER BY id LIMIT %s",
                [last, _AT_ONCE],
            )
            rows = cursor.fetchall()
        if not rows:
            return found
        last = rows[-1][0]
        found += [(k, v) for _, k, v in rows if not wanted.isdisjoint(tombstones.digests(k, v))]
