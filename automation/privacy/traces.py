"""By what a person's rows are found: the parameters of automation.privacy.holdings."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from django.db import connection

from automation.privacy.person import Person
from profiles import tombstones

LONG: Final = 6  # A shorter name is not looked for inside of other texts: "12" is in many.

# Where messages went and may have gone, in the profile, in the outbox and in what the customer's events said.
_ADDRESSES = """
SELECT email, true FROM profiles_profile WHERE id = ANY(%(ids)s) AND email <> ''
UNION SELECT phone, true FROM profiles_profile WHERE id = ANY(%(ids)s) AND phone <> ''
UNION SELECT address, true FROM automation_delivery WHERE profile_id = ANY(%(ids)s) AND address <> ''
UNION SELECT s.address, false FROM automation_event e
  CROSS JOIN LATERAL regexp_matches(e.data::text, '[^\\s<>"''(),;:\\\\]+@[^\\s<>"''(),;:\\\\]+', 'g') AS m
  JOIN profiles_addresssuppression s ON s.address = lower(m[1])
  WHERE e.profile_id = ANY(%(ids)s) AND strpos(e.data::text, '@') > 0
"""


def traces(person: Person, now: datetime) -> Mapping[str, Any]:
    """Everything that names the person, once."""
    with connection.cursor() as cursor:
        cursor.execute(_ADDRESSES, {"ids": list(person.profile_ids)})
        found = cursor.fetchall()
    addresses = sorted({address.lower() for address, _ in found})
    own = {address for address, is_own in found if is_own}
    needles = sorted({value for _, value in person.names} | own | {address.lower() for address in own})
    return {
        "now": now,
        "profiles": list(person.profile_ids),
        "kinds": [kind for kind, _ in person.names],
        "names": [value for _, value in person.names],
        "needles": needles,
        "long_needles": [needle for needle in needles if len(needle) >= LONG],
        "addresses": addresses,
        "hashes": [
            tombstones.HASHED + tombstones.digest(tombstones.ADDRESS, address) for address in addresses
        ],
    }
