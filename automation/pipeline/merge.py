"""Join an anonymous profile to the known customer it turned out to be.

Rules: an anonymous profile joins a known one when an event names both; a known customer joins another known
customer only by an explicit alias. Joining twice is a no-op. The emptied row stays and points to the other,
so that work that was already on its way finds it.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from django.db import connection, transaction

from automation.models.events import SHARDS
from profiles import services
from profiles.behavior.merge import merge

# What simply changes hands. Of the queue only waiting state events move, so that nothing of the joined
# customer overtakes them. The rest stays: a worker may hold a row while it waits for the profile lock, so
# waiting for rows here would be a deadlock; the worker follows `merged_into` afterwards.
_MOVES = (
    f"UPDATE automation_queuedevent SET profile_id = %(to)s, shard = %(to)s %% {SHARDS}"
    " WHERE event_id = ANY(ARRAY(SELECT event_id FROM automation_queuedevent"
    "  WHERE profile_id = %(from)s AND is_state FOR UPDATE SKIP LOCKED))",
    "UPDATE automation_event SET profile_id = %(to)s WHERE profile_id = %(from)s",
    "UPDATE automation_execution SET profile_id = %(to)s WHERE profile_id = %(from)s",
    "UPDATE automation_delivery SET profile_id = %(to)s WHERE profile_id = %(from)s",
    "UPDATE automation_sendreservation SET profile_id = %(to)s WHERE profile_id = %(from)s",
    "UPDATE automation_task SET profile_id = %(to)s WHERE profile_id = %(from)s",
    "UPDATE profiles_identity SET profile_id = %(to)s WHERE profile_id = %(from)s",
    "WITH gone AS (DELETE FROM automation_executionkey WHERE profile_id = %(from)s RETURNING *)"
    " INSERT INTO automation_executionkey (profile_id, trigger_id, dedupe_key, execution_id, decided_at)"
    " SELECT %(to)s, trigger_id, dedupe_key, execution_id, decided_at FROM gone ON CONFLICT DO NOTHING",
    "WITH gone AS (DELETE FROM automation_triggerstate WHERE profile_id = %(from)s RETURNING *)"
    " INSERT INTO automation_triggerstate AS t (profile_id, trigger_id, last_at, count, recent, by_key)"
    " SELECT %(to)s, trigger_id, last_at, count, recent, by_key FROM gone"
    " ON CONFLICT (profile_id, trigger_id) DO UPDATE SET last_at = greatest(t.last_at, excluded.last_at),"
    " count = t.count + excluded.count,"
    # Of one key the later time counts: a cooldown that runs must not end because of the join.
    " by_key = (SELECT coalesce(jsonb_object_agg(key, at), '{}') FROM (SELECT DISTINCT ON (key) key, value AS at"
    "  FROM (SELECT * FROM jsonb_each_text(t.by_key) UNION ALL SELECT * FROM jsonb_each_text(excluded.by_key)) k"
    "  ORDER BY key, value::timestamptz DESC) latest),"
    " recent = (SELECT coalesce(jsonb_agg(at ORDER BY at::timestamptz DESC), '[]')"
    "  FROM jsonb_array_elements_text(t.recent || excluded.recent) AS r(at))",
    "WITH gone AS (DELETE FROM profiles_membership WHERE profile_id = %(from)s RETURNING *)"
    " INSERT INTO profiles_membership (segment_id, profile_id, since, source)"
    " SELECT segment_id, %(to)s, since, source FROM gone ON CONFLICT DO NOTHING",
    "WITH gone AS (DELETE FROM profiles_consent WHERE profile_id = %(from)s RETURNING *)"
    " INSERT INTO profiles_consent AS c (profile_id, topic, channel, is_granted, source, proof, recorded_at)"
    " SELECT %(to)s, topic, channel, is_granted, source, proof, recorded_at FROM gone"
    " ON CONFLICT ON CONSTRAINT consent_unique DO UPDATE SET is_granted = excluded.is_granted,"
    " source = excluded.source, proof = excluded.proof, recorded_at = excluded.recorded_at"
    " WHERE (excluded.recorded_at, NOT excluded.is_granted) > (c.recorded_at, NOT c.is_granted)",
)


def join(anonymous: int, known: int) -> int:
    """Join profile `anonymous` to `known`; returns the profile that the anonymous id leads to now.

    A profile with a customer id of its own is left alone.
    """
    return _join(anonymous, known, even_known=False)


def alias(previous_id: str, customer_id: str) -> None:
    """Say explicitly that customer `previous_id` is the customer `customer_id`, both known or not."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT value, profile_id FROM profiles_identity WHERE kind = 'customer' AND value IN (%s, %s)",
            [previous_id, customer_id],
        )
        found = dict(cursor.fetchall())
    if previous_id in found and customer_id in found:
        _join(found[previous_id], found[customer_id], even_known=True)


def _join(from_id: int, to_id: int, *, even_known: bool) -> int:
    if from_id == to_id:
        return to_id
    with transaction.atomic():
        profiles = services.lock([from_id, to_id])
        gone, kept = profiles[from_id], profiles[to_id]
        if gone.is_erased or kept.is_erased:
            return from_id  # What is gone must not come back under another name.
        if gone.merged_into:
            _forward(from_id, gone.merged_into)
            return gone.merged_into
        if kept.merged_into or (gone.customer_id and not even_known):
            return from_id
        state = merge(kept.state, gone.state)
        services.store({to_id: state})
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE profiles_profile SET preferences = %s::jsonb WHERE id = %s",
                [msgspec.json.encode(state["preferences"]).decode(), to_id],
            )
            for statement in _MOVES:
                cursor.execute(statement, {"from": from_id, "to": to_id})
            cursor.execute(
                "UPDATE profiles_profile SET merged_into_id = %s, customer_id = NULL, email = '', phone = '',"
                " first_name = '', last_name = '', traits = '{}', trait_stamps = '{}', behavioral_patterns = '{}',"
                " preferences = '{}', lifetime_value = 0, orders_count = 0, updated_at = %s WHERE id = %s",
                [to_id, datetime.now(UTC), from_id],
            )
    return to_id


def _forward(from_id: int, to_id: int) -> None:
    """Names that were given to a profile while it was being joined lead to the other from now on."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE profiles_identity SET profile_id = %s WHERE profile_id = %s", [to_id, from_id])
