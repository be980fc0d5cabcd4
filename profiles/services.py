"""Resolve customers, lock and load their profiles, write them back: in bulk, without model instances."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from django.db import connection, transaction

from profiles import tombstones
from profiles.behavior.state import COLUMNS, State
from profiles.prepared import Prepared

_decode = msgspec.json.Decoder().decode
CUSTOMER, ANONYMOUS = "customer", "anonymous"
_JSON = frozenset({"traits", "trait_stamps", "patterns", "preferences"})
_COLUMN_OF = {key: "behavioral_patterns" if key == "patterns" else key for key in COLUMNS}


class Subject(NamedTuple):
    """Who an event is about, as the sender names them; at least one id is given."""

    customer_id: str | None
    anonymous_id: str | None


class Locked(NamedTuple):
    """One profile row under its lock."""

    id: int
    customer_id: str | None
    merged_into: int | None
    is_erased: bool
    state: State


Name = tuple[str, str]  # kind and value of an identity
Join = Callable[[int, int], int]  # (anonymous profile, known profile) -> the profile that remains


def resolve(subjects: Sequence[Subject], *, join: Join) -> list[int | None]:
    """The profile id of each subject; unknown customers get a profile, those who were erased get None.

    A subject with both ids ties the anonymous id to the customer: an anonymous profile becomes the customer's,
    or is joined to it by `join`. A known customer is never joined to another known customer: where the
    anonymous id is another customer's already (a shared device), no profile is locked. The anonymous id of an
    erased person is tied to nobody.
    Commits in small steps of its own with locks in sorted order, so call it before a larger transaction.
    """
    names = {name for subject in subjects for name in _names(subject)}
    known = _lookup(names)
    pairs = {s for s in subjects if s.customer_id and s.anonymous_id}
    untied = [s for s in pairs if not _is_tied(s, known)]
    owned = _owned({known[name] for s in untied if (name := _names(s)[1]) in known})
    untied = sorted(s for s in untied if known.get(_names(s)[1]) not in owned)
    untied_names = {name for s in untied for name in _names(s)}
    if missing := sorted(names - known.keys() - untied_names):
        _create(missing)
        known |= _lookup(missing)
    for subject in untied:
        known |= _tie(subject, join)
    return [known.get(_names(s)[0]) for s in subjects]


def known(names: Iterable[Name]) -> list[Name]:
    """Those of `names` that lead to a profile."""
    return sorted(_lookup(names))


def erased(names: Collection[Name]) -> set[Name]:
    """Those of `names` that an erased person had."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT kind, value FROM ({_ERASED}) e", tombstones.flattened(names))
        return set(cursor.fetchall())


def _names(subject: Subject) -> list[Name]:
    names = []
    if subject.customer_id:
        names.append((CUSTOMER, subject.customer_id))
    if subject.anonymous_id:
        names.append((ANONYMOUS, subject.anonymous_id))
    return names


def _is_tied(subject: Subject, known: Mapping[Name, int]) -> bool:
    found = [known.get(name) for name in _names(subject)]
    return None not in found and len(set(found)) == 1


def _owned(profile_ids: Collection[int]) -> set[int]:
    """Those that belong to a customer; read without a lock, since a profile never loses its customer but by a join."""
    if not profile_ids:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM profiles_profile WHERE id = ANY(%s) AND customer_id IS NOT NULL",
            [list(profile_ids)],
        )
        return {row[0] for row in cursor.fetchall()}


_LOOKUP = Prepared(
    "look_up_identities",
    ("text[]", "text[]"),
    "SELECT i.kind, i.value, i.profile_id FROM unnest($1, $2) AS n(kind, value)"
    " JOIN profiles_identity i ON i.kind = n.kind AND i.value = n.value",
)


def _lookup(names: Iterable[Name]) -> dict[Name, int]:
    kinds, values = zip(*names, strict=True) if names else ((), ())
    with connection.cursor() as cursor:
        _LOOKUP.execute(cursor, [list(kinds), list(values)])
        return {(kind, value): profile_id for kind, value, profile_id in cursor.fetchall()}


# Which of the given names, each with its possible hashes, have a tombstone. It stands inside the statements that
# insert identities: an erasure deletes a name and buries it in one transaction, so whoever finds the name unknown
# finds its tombstone in the next statement.
_ERASED = (
    "SELECT h.kind, h.value FROM unnest(%s::text[], %s::text[], %s::text[]) AS h(kind, value, digest)"
    " JOIN profiles_tombstone t ON t.digest = h.digest"
)


_CREATE = Prepared(
    "create_profiles",
    ("text[]",) * 5,
    "WITH wanted AS MATERIALIZED ("
    "  SELECT kind, value, nextval(pg_get_serial_sequence('profiles_profile', 'id')) AS id"
    "  FROM unnest($1, $2) AS n(kind, value)"
    f"  WHERE (kind, value) NOT IN ({_ERASED % ('$3', '$4', '$5')})"
    "), claimed AS ("
    "  INSERT INTO profiles_identity (kind, value, profile_id)"
    "  SELECT kind, value, id FROM wanted ORDER BY kind, value"
    "  ON CONFLICT DO NOTHING RETURNING kind, value, profile_id"
    ") INSERT INTO profiles_profile (id, customer_id)"
    "  SELECT profile_id, CASE kind WHEN 'customer' THEN value END FROM claimed",
)


def _create(names: Sequence[Name]) -> None:
    """Make a profile for each name; one that somebody else just took is left to them, one of the erased is not made."""
    kinds, values = (list(column) for column in zip(*names, strict=True))
    with connection.cursor() as cursor:
        _CREATE.execute(cursor, [kinds, values, *tombstones.flattened(names)])


def _tie(subject: Subject, join: Join) -> dict[Name, int]:
    """Make both names of `subject` lead to one profile, where the identity rules allow it."""
    customer, anonymous = _names(subject)
    known = _lookup([customer, anonymous])
    if customer not in known and anonymous in known and _claim(known[anonymous], customer[1]):
        return {customer: known[anonymous], anonymous: known[anonymous]}
    if customer not in known:
        _create([customer])
        known |= _lookup([customer])
    if customer not in known:
        return known  # Erased.
    if anonymous not in known:
        _add(anonymous, known[customer])
        known |= _lookup([anonymous])
    if anonymous in known and known[anonymous] != known[customer]:
        known[anonymous] = join(known[anonymous], known[customer])
    return known


def _add(name: Name, profile_id: int) -> None:
    """Let `name` lead to the profile, unless somebody has it or either is erased.

    The lock lets others decide about the customer, and waits for one who is just erasing them.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO profiles_identity (kind, value, profile_id)"
            " SELECT %s, %s, id FROM profiles_profile WHERE id = %s AND erased_at IS NULL"
            f" AND NOT EXISTS ({_ERASED}) FOR KEY SHARE ON CONFLICT DO NOTHING",
            [*name, profile_id, *tombstones.flattened([name])],
        )


def _claim(profile_id: int, customer_id: str) -> bool:
    """Give an anonymous profile its customer id; False when either of them belongs to somebody already.

    The identity comes first, as in `_create`: whoever wins it writes the profile, so two first contacts of one
    customer neither wait for each other crosswise nor meet in the unique customer id of the profile.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO profiles_identity (kind, value, profile_id) SELECT 'customer', %s, %s"
            f" WHERE NOT EXISTS ({_ERASED}) ON CONFLICT DO NOTHING",
            [customer_id, profile_id, *tombstones.flattened([(CUSTOMER, customer_id)])],
        )
        if not cursor.rowcount:
            return False
        cursor.execute(
            "UPDATE profiles_profile SET customer_id = %s"
            " WHERE id = %s AND customer_id IS NULL AND merged_into_id IS NULL AND erased_at IS NULL",
            [customer_id, profile_id],
        )
        if not cursor.rowcount:
            # Claimed, joined or erased meanwhile: the identity must not lead there.
            transaction.set_rollback(True)
            return False
        return True


def lock(profile_ids: Iterable[int]) -> dict[int, Locked]:
    """Lock the profiles in id order (R-015) and load them. Needs a transaction."""
    columns = ", ".join(f"{column}::text" if key in _JSON else column for key, column in _COLUMN_OF.items())
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id, customer_id, merged_into_id, erased_at IS NOT NULL, {columns} FROM profiles_profile"
            " WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE",
            [sorted(set(profile_ids))],
        )
        return {row[0]: _locked(row) for row in cursor.fetchall()}


def load(profile_ids: Iterable[int]) -> dict[int, Locked]:
    """The same without a lock, for readers that decide nothing."""
    columns = ", ".join(f"{column}::text" if key in _JSON else column for key, column in _COLUMN_OF.items())
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id, customer_id, merged_into_id, erased_at IS NOT NULL, {columns} FROM profiles_profile"
            " WHERE id = ANY(%s)",
            [sorted(set(profile_ids))],
        )
        return {row[0]: _locked(row) for row in cursor.fetchall()}


def _locked(row: Sequence[Any]) -> Locked:
    return Locked(row[0], row[1], row[2], row[3], _state(row[4:]))


def _state(values: Sequence[Any]) -> State:
    state = dict(zip(COLUMNS, values, strict=True))
    for key in _JSON:
        text = state[key]
        state[key] = {} if text == "{}" else _decode(text)
    return state


# Column of every event, and those that only traits change; their types in the JSON of a row.
_MOVING = {
    "time_zone": "text",
    "time_zone_source": "text",
    "last_activity": "timestamptz",
    "first_seen": "timestamptz",
    "engagement_value": "double precision",
    "engagement_at": "timestamptz",
    "lifetime_value": "numeric",
    "orders_count": "integer",
    "behavior_segment": "text",
    "patterns": "jsonb",
}
_TRAITS = {
    "email": "text",
    "phone": "text",
    "first_name": "text",
    "last_name": "text",
    "locale": "text",
    "traits": "jsonb",
    "trait_stamps": "jsonb",
}


def _store_statement(types: Mapping[str, str]) -> str:
    sets = ", ".join(f"{_COLUMN_OF[key]} = r.{key}" for key in types)
    columns = ", ".join(f"{key} {kind}" for key, kind in types.items())
    return (
        f"UPDATE profiles_profile p SET {sets}, updated_at = now()"
        f" FROM json_to_recordset(%s::json) AS r(id bigint, {columns}) WHERE p.id = r.id"
    )


_STORE_MOVING = _store_statement(_MOVING)
_STORE_ALL = _store_statement(_MOVING | _TRAITS)


def store(states: Mapping[int, State], *, former: Mapping[int, State] | None = None) -> None:
    """Write back locked profiles. Preferences belong to the preference centre.

    `former` are the states as loaded: where an event left the traits alone, they are not written again.
    """
    former = former or {}
    moving, all_columns = [], []
    for profile_id, state in states.items():
        old = former.get(profile_id)
        if old is not None and old["trait_stamps"] is state["trait_stamps"]:
            moving.append({"id": profile_id} | {key: state[key] for key in _MOVING})
        else:
            all_columns.append({"id": profile_id, **state})
    with connection.cursor() as cursor:
        for statement, rows in ((_STORE_MOVING, moving), (_STORE_ALL, all_columns)):
            if rows:
                cursor.execute(statement, [msgspec.json.encode(rows).decode()])


class ConsentWord(NamedTuple):
    """A customer's word on one topic and channel."""

    profile_id: int
    topic: str
    channel: str
    is_granted: bool
    source: str
    at: datetime


def record_consent(words: Iterable[ConsentWord]) -> None:
    """Store each word unless a newer one is known; of equally old words the refusal wins."""
    newest: dict[tuple[int, str, str], ConsentWord] = {}
    for word in words:
        old = newest.get(word[:3])
        if old is None or (word.at, not word.is_granted) >= (old.at, not old.is_granted):
            newest[word[:3]] = word
    if not newest:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO profiles_consent (profile_id, topic, channel, is_granted, source, recorded_at)"
            " SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::boolean[], %s::text[],"
            " %s::timestamptz[])"
            " ON CONFLICT ON CONSTRAINT consent_unique DO UPDATE SET is_granted = excluded.is_granted,"
            " source = excluded.source, recorded_at = excluded.recorded_at"
            " WHERE (excluded.recorded_at, NOT excluded.is_granted)"
            " >= (profiles_consent.recorded_at, NOT profiles_consent.is_granted)",
            [list(column) for column in zip(*(newest[key] for key in sorted(newest)), strict=True)],
        )
