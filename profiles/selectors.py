"""Read what the judge and the conditions need to know about many customers at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from typing import Any

import msgspec
from django.db import connection

from profiles import tombstones

_decode = msgspec.json.Decoder().decode


def consents(profile_ids: Collection[int]) -> dict[int, dict[tuple[str, str], tuple[bool, datetime]]]:
    """For each profile: (topic, channel) -> the customer's word and when they gave it."""
    found: dict[int, dict[tuple[str, str], tuple[bool, datetime]]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT profile_id, topic, channel, is_granted, recorded_at FROM profiles_consent"
            " WHERE profile_id = ANY(%s)",
            [list(profile_ids)],
        )
        for profile_id, topic, channel, is_granted, at in cursor.fetchall():
            found[profile_id][topic, channel] = (is_granted, at)
    return found


def dead_addresses(channel: str, addresses: Collection[str]) -> dict[str, str]:
    """Those of `addresses`, in lower case, that must not be served on `channel` -> why.

    Of an address whose owner was erased only a keyed hash is known; it is as dead as before.
    """
    return {address: why for address, (why, _) in dead_since(channel, addresses).items()}


def dead_since(channel: str, addresses: Collection[str]) -> dict[str, tuple[str, datetime]]:
    """The same -> why, and since when."""
    stored = {address.lower(): address.lower() for address in addresses}
    for address in list(stored):
        for found in tombstones.digests(tombstones.ADDRESS, address):
            stored[tombstones.HASHED + found] = address
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT address, why, created_at FROM profiles_addresssuppression"
            " WHERE channel = %s AND address = ANY(%s)",
            [channel, list(stored)],
        )
        return {stored[found]: (why, at) for found, why, at in cursor.fetchall()}


def standing(profile_ids: Collection[int]) -> dict[int, tuple[dict[str, Any], bool]]:
    """For each profile what no event says: its preferences, and whether it was erased."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, preferences::text, erased_at IS NOT NULL FROM profiles_profile WHERE id = ANY(%s)",
            [list(profile_ids)],
        )
        return {row[0]: (_decode(row[1]), row[2]) for row in cursor.fetchall()}


def memberships(profile_ids: Collection[int]) -> dict[int, dict[str, datetime]]:
    """For each profile: segment key -> member since."""
    found: dict[int, dict[str, datetime]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT m.profile_id, s.key, m.since FROM profiles_membership m"
            " JOIN profiles_segment s ON s.id = m.segment_id WHERE m.profile_id = ANY(%s)",
            [list(profile_ids)],
        )
        for profile_id, key, since in cursor.fetchall():
            found[profile_id][key] = since
    return found
