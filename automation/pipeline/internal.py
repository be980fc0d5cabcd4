"""Events of our own about a known customer: what an action emits, what a link or a page made happen."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any

import msgspec
from django.db import connection

from automation.pipeline import ingest
from automation.pipeline.ingest import Incoming

SOURCE = "beckon"  # Of the event, and the scope of its message id.


def tell(
    profile_id: int,
    name: str,
    data: Mapping[str, Any],
    *,
    at: datetime,
    message_id: str = "",  # Empty: the server makes one, and repeats are the caller's affair.
    context: Mapping[str, Any] | None = None,
) -> bool:
    """Ingest one event in the caller's transaction. False when the profile has no name to ingest it by."""
    names = names_of([profile_id]).get(profile_id)
    if names is None:
        return False
    raw = msgspec.json.encode(data)
    incoming = Incoming(
        message_id=message_id,
        customer_id=names[0],
        anonymous_id=names[1],
        name=name,
        original_name=name,
        data=raw,
        context=context or {},
        session_id="",
        source=SOURCE,
        occurred_at=at,
        received_at=at,
        sent_at=None,
        client_ts="",
        is_late=False,
        is_import=False,
        is_skewed=False,
        body_hash=blake2b(raw, digest_size=16).digest(),
    )
    ingest.ingest([incoming], source=SOURCE)
    return True


def names_of(profile_ids: Collection[int]) -> dict[int, tuple[str | None, str | None]]:
    """(customer id, anonymous id) of each profile: one of them, the customer id when there is one."""
    if not profile_ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT profile_id, min(value) FILTER (WHERE kind = 'customer'),"
            " min(value) FILTER (WHERE kind = 'anonymous') FROM profiles_identity"
            " WHERE profile_id = ANY(%s) GROUP BY profile_id",
            [list(profile_ids)],
        )
        return {
            profile_id: (customer, None if customer else anonymous)
            for profile_id, customer, anonymous in cursor.fetchall()
        }
