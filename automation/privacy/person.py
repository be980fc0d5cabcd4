"""Who is meant: every profile that was ever joined to one person, every name and every address of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from profiles.services import ANONYMOUS, CUSTOMER, Name

LONGEST = 254  # Of anything a person may be asked for by.


class AmbiguousError(ValueError):
    """Several persons have this address; nothing was done."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            f"{len(names)} customers have this address ({', '.join(names[:5])}): name one by customer id."
        )


@dataclass(frozen=True, slots=True)
class Who:
    """A person as somebody asks for them: by exactly one of these."""

    customer_id: str | None = None
    anonymous_id: str | None = None
    email: str | None = None
    profile_id: int | None = None

    def __post_init__(self) -> None:
        given = [value for value in (self.customer_id, self.anonymous_id, self.email) if value is not None]
        if len(given) + (self.profile_id is not None) != 1:
            raise ValueError("Name a person by one of customer id, anonymous id and e-mail address.")
        if any(not value or "\0" in value or len(value) > LONGEST for value in given):
            raise ValueError(f"Such an id has 1 to {LONGEST} characters.")

    @property
    def names(self) -> list[Name]:
        """The names given, whether they are known or not. An address is no name: events are not told by it."""
        if self.customer_id is not None:
            return [(CUSTOMER, self.customer_id)]
        return [(ANONYMOUS, self.anonymous_id)] if self.anonymous_id is not None else []


@dataclass(frozen=True, slots=True)
class Person:
    """What the database knows of them at this moment."""

    profile_ids: tuple[int, ...]  # In order, those that were joined into others too.
    names: tuple[Name, ...]  # With the ones they were asked for by.
    is_erased: bool  # They have profiles, all of them erased.


def find(who: Who) -> Person:
    """The person, perhaps without any profile. Raises AmbiguousError when an address has several owners."""
    found = _family(_first(who))
    if who.email is not None and len(roots := _roots(found)) > 1:
        raise AmbiguousError(roots)
    if not found:
        return Person((), tuple(who.names), False)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT kind, value FROM profiles_identity WHERE profile_id = ANY(%(ids)s)"
            " UNION SELECT 'customer', customer_id FROM profiles_profile"
            "  WHERE id = ANY(%(ids)s) AND customer_id IS NOT NULL",
            {"ids": found},
        )
        names = {*cursor.fetchall(), *who.names}
        cursor.execute(
            "SELECT NOT EXISTS (SELECT FROM profiles_profile WHERE id = ANY(%s) AND erased_at IS NULL)",
            [found],
        )
        return Person(tuple(found), tuple(sorted(names)), cursor.fetchone()[0])


def _first(who: Who) -> list[int]:
    """The profiles that the given id leads to directly."""
    if who.customer_id is not None:
        query = (
            "SELECT id FROM profiles_profile WHERE customer_id = %(value)s"
            " UNION SELECT profile_id FROM profiles_identity WHERE kind = 'customer' AND value = %(value)s"
        )
        return _ids(query, {"value": who.customer_id})
    if who.anonymous_id is not None:
        query = "SELECT profile_id FROM profiles_identity WHERE kind = 'anonymous' AND value = %(value)s"
        return _ids(query, {"value": who.anonymous_id})
    if who.email is not None:
        # Profiles keep an address as it was written, and nobody writes theirs the same way each time. This looks at
        # every profile: it is asked for seldom, and finding nobody would be taken for an answer.
        query = "SELECT id FROM profiles_profile WHERE lower(email) = lower(%(value)s)"
        return _ids(query, {"value": who.email.strip()})
    return _ids("SELECT id FROM profiles_profile WHERE id = %(value)s", {"value": who.profile_id})


def _family(ids: Sequence[int]) -> list[int]:
    """These profiles, those they were joined into, and all that were joined into them."""
    return _ids(
        "WITH RECURSIVE family(id) AS ("
        " SELECT unnest(%(ids)s::bigint[])"
        " UNION SELECT near.id FROM family f CROSS JOIN LATERAL ("
        "  SELECT id FROM profiles_profile WHERE merged_into_id = f.id"
        "  UNION ALL SELECT merged_into_id FROM profiles_profile WHERE id = f.id AND merged_into_id IS NOT NULL"
        " ) near) SELECT id FROM family ORDER BY id",
        {"ids": list(ids)},
    )


def _roots(ids: Sequence[int]) -> list[str]:
    """How the profiles that were joined into no other are called."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(customer_id, 'anonymous ' || id) FROM profiles_profile"
            " WHERE id = ANY(%s) AND merged_into_id IS NULL ORDER BY id",
            [list(ids)],
        )
        return [row[0] for row in cursor.fetchall()]


def _ids(query: str, values: dict[str, Any]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return [row[0] for row in cursor.fetchall()]
