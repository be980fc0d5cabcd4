"""Where personal data lie, and what an erasure does to them: the one list that export and erasure both walk.

Deleted is what only told of the person. Redacted is what others are counted by: decisions and deliveries keep their
trigger, time, status and reason, so that reports and the proofs of `verify_invariants` stay true, and lose every
value of the person. The profile stays as an empty row that says when it was erased: whoever was about to use it finds
that out. Of a suppressed address a keyed hash stays, because the owner of a mailbox that bounced or complained must
not be written to again when the address comes back under another name.

A table or column that is declared neither here nor in `NOT_PERSONAL` fails a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from automation.pipeline.forgotten import KEYS_OF

_WENT_OUT = "'sent', 'uncertain', 'delivered', 'opened', 'clicked', 'bounced', 'complained'"


class Treatment(StrEnum):
    """What an erasure does to a person's rows of a table."""

    DELETED = "deleted"
    REDACTED = "redacted"  # The row stays, its values go.
    HASHED = "hashed"  # A keyed hash stays in place of the address.
    KEPT = "kept"  # Numbers and times only.


@dataclass(frozen=True, slots=True)
class Holding:
    """One table that holds rows of a person.

    Conditions and values are SQL of this file; their parameters are those of automation.privacy.traces.
    """

    table: str
    whose: str  # The condition that finds the person's rows.
    treatment: Treatment
    why: str  # One sentence for the documentation.
    redacted: Mapping[str, str] = field(default_factory=dict)  # Column -> what it becomes.
    kept: frozenset[str] = frozenset()  # Columns of redacted and kept rows that hold nothing of a person.
    erase: str = ""  # The statement, where it is not made of the above.

    @property
    def statement(self) -> str:
        """What the erasure executes; empty when nothing is done."""
        if self.erase or self.treatment is Treatment.KEPT:
            return self.erase
        if self.treatment is Treatment.DELETED:
            return f"DELETE FROM {self.table} WHERE {self.whose}"
        values = ", ".join(f"{column} = {value}" for column, value in self.redacted.items())
        return f"UPDATE {self.table} SET {values} WHERE {self.whose}"


def _kept(columns: str) -> frozenset[str]:
    return frozenset(columns.split())


_MINE: Final = "profile_id = ANY(%(profiles)s)"
_NAMED: Final = (
    "EXISTS (SELECT FROM unnest(%(needles)s::text[]) n WHERE {column} = n)"
    " OR EXISTS (SELECT FROM unnest(%(long_needles)s::text[]) n WHERE strpos({column}, n) > 0)"
)

# In the order in which an erasure walks them: locks are taken profile, execution, delivery, then the rest,
# and what an action writes inside the database comes after the lock of its delivery.
HOLDINGS: Final[tuple[Holding, ...]] = (
    Holding(
        "automation_delivery",
        _MINE,
        Treatment.REDACTED,
        "What is not sent yet is cancelled, what is being sent becomes uncertain; address and answers go.",
        redacted={
            "attempt": "attempt + CASE WHEN status IN ('pending', 'sending') THEN 1 ELSE 0 END",
            "reason": "CASE status WHEN 'pending' THEN 'profile_erased' ELSE reason END",
            "finished_at": "CASE WHEN status IN ('pending', 'sending') THEN now() ELSE finished_at END",
            "status": "CASE status WHEN 'pending' THEN 'cancelled' WHEN 'sending' THEN 'uncertain' ELSE status END",
            "lease_until": "NULL",
            "address": "''",
            "provider_id": "''",
            "result": "'{}'",
            "error": "''",
        },
        kept=_kept(
            "id execution_id execution_decided_at trigger_id version_id profile_id event_id event_at action_index"
            " action_type channel message_class topic lane idempotency_key due_at tries worker error_class created_at"
            " sending_at"
        ),
    ),
    Holding(
        "automation_execution",
        _MINE,
        Treatment.REDACTED,
        "Trigger, time, status and reason codes stay for the reports; what was seen of the customer goes.",
        redacted={
            "reason": "CASE WHEN status IN ('pending', 'processing') AND NOT EXISTS (SELECT FROM automation_delivery d"
            f" WHERE d.execution_id = automation_execution.id AND d.status IN ({_WENT_OUT}, 'failed'))"
            " THEN 'profile_erased' ELSE reason END",
            "processed_at": "CASE WHEN status IN ('pending', 'processing') THEN now() ELSE processed_at END",
            "status": "CASE WHEN status NOT IN ('pending', 'processing') THEN status"
            " WHEN EXISTS (SELECT FROM automation_delivery d WHERE d.execution_id = automation_execution.id"
            f" AND d.status IN ({_WENT_OUT})) THEN 'triggered'"
            " WHEN EXISTS (SELECT FROM automation_delivery d WHERE d.execution_id = automation_execution.id"
            " AND d.status = 'failed') THEN 'failed' ELSE 'suppressed' END",
            "waiting": "''",
            "due_at": "NULL",
            "reasons": "coalesce((SELECT jsonb_agg(jsonb_build_object('reason', r->'reason'))"
            " FROM jsonb_array_elements(reasons) r), '[]')",
            "dedupe_key": "'erased:' || id",
            "trace": "'{}'",
            "error": "''",
        },
        kept=_kept(
            "id trigger_id version_id profile_id event_id event_name event_at accepted_at decided_at lane started_at"
            " held_count last_event_id last_held_at"
        ),
    ),
    Holding(
        "automation_executionkey",
        _MINE,
        Treatment.REDACTED,
        "Its key may hold what the customer sent; one neutral key for each decision stays.",
        redacted={"dedupe_key": "'erased:' || execution_id"},
        kept=_kept("trigger_id profile_id execution_id decided_at"),
        erase=(
            f"WITH gone AS (DELETE FROM automation_executionkey WHERE {_MINE}"
            "  AND dedupe_key <> 'erased:' || execution_id RETURNING 1), made AS ("
            " INSERT INTO automation_executionkey (trigger_id, profile_id, dedupe_key, execution_id, decided_at)"
            "  SELECT trigger_id, profile_id, dedupe_key, id, decided_at FROM automation_execution"
            f"  WHERE {_MINE} AND dedupe_key = 'erased:' || id ON CONFLICT DO NOTHING)"
            " SELECT FROM gone"
        ),
    ),
    Holding(
        "automation_triggerstate",
        _MINE,
        Treatment.DELETED,
        "How often each trigger fired for this customer, with the values of their cooldowns.",
    ),
    Holding(
        "automation_sendreservation",
        _MINE,
        Treatment.KEPT,
        "Times only; the proof that no cap was broken needs them until they are too old to matter.",
        kept=_kept("id profile_id channel message_class trigger_id execution_id reserved_at"),
    ),
    Holding("automation_task", _MINE, Treatment.DELETED, "Title and notes were written about the customer."),
    Holding("profiles_membership", _MINE, Treatment.DELETED, "Which segments they were in."),
    Holding("profiles_consent", _MINE, Treatment.DELETED, "What they agreed to; nothing is sent without it."),
    Holding("automation_misssample", _MINE, Treatment.DELETED, "What a condition saw of them."),
    Holding(
        "automation_rejectedrequest",
        f"{_NAMED.format(column='pointer')} OR {_NAMED.format(column='message')}",
        Treatment.DELETED,
        "It keeps no values; a refusal whose place is named after the person goes.",
    ),
    Holding(
        "automation_auditpersonal",
        _MINE,
        Treatment.DELETED,
        "Personal values beside the audit log; its chain holds only their salted hashes and still verifies.",
    ),
    Holding(
        "django_admin_log",
        "(content_type_id, object_id) IN ("
        " SELECT t.id, o.id FROM django_content_type t JOIN ("
        "  SELECT 'profile' AS model, unnest(%(profiles)s::bigint[])::text AS id"
        "  UNION ALL SELECT 'identity', id::text FROM profiles_identity WHERE profile_id = ANY(%(profiles)s)"
        " ) o USING (model) WHERE t.app_label = 'profiles')"
        f" OR {_NAMED.format(column='object_repr')} OR {_NAMED.format(column='change_message')}",
        Treatment.REDACTED,
        "Who of the staff changed what stays; how the record was called goes.",
        redacted={"object_repr": "'erased'", "change_message": "''"},
        kept=_kept("id action_time object_id action_flag content_type_id user_id"),
    ),
    Holding(
        "profiles_identity",
        f"{_MINE} OR (kind, value) IN (SELECT * FROM unnest(%(kinds)s::text[], %(names)s::text[]))",
        Treatment.DELETED,
        "Their names; the tombstones keep a keyed hash of each.",
    ),
    Holding(
        "profiles_addresssuppression",
        "address = ANY(%(addresses)s)",
        Treatment.HASHED,
        "A keyed hash of the address stays, so that it stays suppressed.",
        redacted={"address": "its keyed hash", "detail": "''"},
        kept=_kept("id channel why created_at"),
        # Where another customer has the same address it is theirs too, and stays as it is.
        erase=(
            "WITH gone AS (DELETE FROM profiles_addresssuppression s WHERE address = ANY(%(addresses)s)"
            "  AND NOT EXISTS (SELECT FROM profiles_profile p WHERE lower(p.email) = s.address"
            "   AND p.id <> ALL(%(profiles)s)) RETURNING s.*), hashed AS ("
            " INSERT INTO profiles_addresssuppression (channel, address, why, detail, created_at)"
            "  SELECT g.channel, h.hash, g.why, '', g.created_at FROM gone g"
            "  JOIN unnest(%(addresses)s::text[], %(hashes)s::text[]) AS h(address, hash) ON h.address = g.address"
            "  ON CONFLICT DO NOTHING)"
            " SELECT FROM gone"
        ),
    ),
    Holding(
        "automation_catalogueentry",
        "EXISTS (SELECT FROM jsonb_object_keys(properties) k, unnest(%(long_needles)s::text[]) n"
        " WHERE strpos(k, n) > 0)",
        Treatment.REDACTED,
        "It keeps no values; a property that was itself called like the person is taken out.",
        redacted={
            "properties": "(SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(properties)"
            " WHERE NOT EXISTS (SELECT FROM unnest(%(long_needles)s::text[]) n WHERE strpos(key, n) > 0))"
        },
        kept=_kept("id name original_name volume first_seen last_seen"),
    ),
    Holding(
        "automation_quarantinedevent",
        _MINE,
        Treatment.DELETED,
        "A traceback may quote the event.",
    ),
    Holding(
        "automation_queuedevent",
        _MINE,
        Treatment.DELETED,
        "What a worker holds at this moment it drops itself, as soon as it has the profile's lock.",
        # A worker locks rows of the queue before the profile: waiting for them here would be a deadlock.
        erase=(
            "DELETE FROM automation_queuedevent WHERE event_id = ANY(ARRAY("
            f"SELECT event_id FROM automation_queuedevent WHERE {_MINE} FOR UPDATE SKIP LOCKED))"
        ),
    ),
    Holding(
        "automation_messagekey",
        KEYS_OF.format(
            events="SELECT id, message_id FROM automation_event WHERE profile_id = ANY(%(profiles)s)"
        ),
        Treatment.DELETED,
        "Message ids are chosen by the sender; an event that is sent again meets the tombstone instead.",
    ),
    Holding(
        "automation_event",
        _MINE,
        Treatment.DELETED,
        "What they did; counts of events are kept elsewhere.",
        # With the key of an event that was stored after the statement before: this one sees both or neither.
        erase=(
            f"WITH gone AS (DELETE FROM automation_event WHERE {_MINE} RETURNING id, message_id), keys AS ("
            f" DELETE FROM automation_messagekey WHERE {KEYS_OF.format(events='SELECT * FROM gone')})"
            " SELECT FROM gone"
        ),
    ),
    Holding(
        "profiles_profile",
        "id = ANY(%(profiles)s)",
        Treatment.REDACTED,
        "An empty row with the time of the erasure stays, so that work under way finds out.",
        redacted={
            "customer_id": "NULL",
            "email": "''",
            "phone": "''",
            "first_name": "''",
            "last_name": "''",
            "locale": "''",
            "time_zone": "''",
            "time_zone_source": "'default'",
            "behavior_segment": "'new'",
            "engagement_value": "0",
            "engagement_at": "NULL",
            "lifetime_value": "0",
            "orders_count": "0",
            "first_seen": "NULL",
            "last_activity": "NULL",
            "traits": "'{}'",
            "trait_stamps": "'{}'",
            "preferences": "'{}'",
            "behavioral_patterns": "'{}'",
            "erased_at": "coalesce(erased_at, %(now)s)",
            "updated_at": "%(now)s",
        },
        kept=_kept("id merged_into_id created_at"),
    ),
)

# Model label -> why no row of it holds anything of a customer. Apps that are not ours are named as a whole.
NOT_PERSONAL: Final[Mapping[str, str]] = {
    "analytics.Onboarding": "What members of staff have looked at.",
    "automation.AuditEntry": "Personal values of an entry are in AuditPersonal; only their salted hash is here.",
    "automation.AuditCheck": "How far the chain was walked.",
    "automation.Epoch": "One number.",
    "automation.Heartbeat": "Numbers of events, for as long as a batch takes.",
    "automation.Tally": "Counts.",
    "automation.Template": "Written by staff for all customers.",
    "automation.Trigger": "Written by staff for all customers.",
    "automation.TriggerVersion": "Written by staff for all customers.",
    "automation.WriteKey": "Keys of shops.",
    "profiles.Erasure": "Counts and who did it.",
    "profiles.Segment": "Written by staff for all customers.",
    "profiles.Tombstone": "A keyed hash; what keeps a forgotten person from coming back.",
    "auth": "Members of staff.",
    "axes": "Members of staff who sign in.",
    "contenttypes": "Names of models.",
    "django_celery_beat": "The clock.",
    "otp_totp": "Members of staff.",
    "otp_static": "Members of staff.",
    "sessions": "Members of staff who are signed in.",
}
