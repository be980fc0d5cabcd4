"""What was known of customers when a backtest begins, and what came later by other ways than events."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection

from automation import selectors
from automation.backtest.course import Course
from automation.engine.suppression import Fired
from automation.engine.types import Event, Sent
from automation.pipeline.customer import Customer
from automation.pipeline.plan import Plan
from profiles import selectors as profile_selectors
from profiles.behavior.traits import traits_of

EVENTS_REPLAYED = 5000  # Newest events of a customer from which the profile is built again.


def courses(
    profile_ids: Collection[int], plan: Plan, keys: Mapping[int, str], since: datetime, until: datetime
) -> dict[int, Course]:
    """The customers at the beginning of their stored history, ready to be led to `since` and on.

    What the trigger itself did from `since` on is left out: the backtest finds it anew. `keys` names all
    triggers by id.
    """
    trigger = plan.trigger
    histories = selectors.histories(profile_ids, None, _oldest(until), until, EVENTS_REPLAYED)
    standing = profile_selectors.standing(profile_ids)
    sends = selectors.sends(profile_ids, keys)
    words = profile_selectors.consents(profile_ids)
    fired = _fired(profile_ids, trigger.trigger_id, since)
    used = _used_keys(profile_ids, trigger.trigger_id, since) if trigger.definition.dedupe_path else {}
    segments = profile_selectors.memberships(profile_ids) if trigger.needs_segments else {}
    dead = profile_selectors.dead_since(
        "email", _emails(event for history in histories.values() for event in history)
    )
    looks = _looks(plan)
    own = keys.get(trigger.trigger_id)
    found = {}
    for profile_id in profile_ids:
        preferences, is_erased = standing.get(profile_id, ({}, True))
        history = histories.get(profile_id, [])
        customer = Customer(
            fired={trigger.trigger_id: fired[profile_id]} if profile_id in fired else {},
            dedupe_keys=frozenset((trigger.trigger_id, key) for key in used.get(profile_id, ())),
            is_erased=is_erased,
        )
        found[profile_id] = Course(
            profile_id,
            history,
            customer=customer,
            preferences=preferences,
            sends=_of_others(sends.get(profile_id, ()), own, since),
            words=_other_words(words.get(profile_id, {})),
            segments=segments.get(profile_id),
            dead={("email", address): why for address, why in dead.items()} if dead else None,
            looks=looks,
        )
    return found


def _oldest(until: datetime) -> datetime:
    return until - timedelta(days=31 * settings.RETENTION_MONTHS)


def _looks(plan: Plan) -> frozenset[str] | None:
    """The names that conditions look back at, and those that may call a waiting execution off."""
    trigger = plan.trigger
    names: frozenset[str] = trigger.cancel_names
    for look in trigger.needs:
        if look.events is None:
            return None
        names |= look.events
    return None if "*" in names else names


def _of_others(sends: Sequence[Sent], own: str | None, since: datetime) -> list[Sent]:
    return [sent for sent in sends if sent.trigger_key != own or sent.at < since]


def _other_words(
    words: Mapping[tuple[str, str], tuple[bool, datetime]],
) -> list[tuple[datetime, str, str, bool]]:
    """The words that stand today, each from the moment it was given; older ones are found among the events."""
    return [(at, topic, channel, is_granted) for (topic, channel), (is_granted, at) in words.items()]


def _emails(events: Iterable[Event]) -> set[str]:
    """Every address that these events give somebody, in lower case."""
    found = set()
    for event in events:
        traits = traits_of(event.name, event.data)
        if traits and isinstance(email := traits.get("email"), str):
            found.add(email.strip().lower())
    return found


_FIRED = """
SELECT s.profile_id, s.count - coalesce(x.since, 0), s.last_at, x.before, s.recent::text, s.by_key::text
FROM automation_triggerstate s LEFT JOIN LATERAL (
  SELECT count(*) FILTER (WHERE decided_at >= %(since)s) AS since,
    max(decided_at) FILTER (WHERE decided_at < %(since)s) AS before
  FROM automation_execution WHERE profile_id = s.profile_id AND trigger_id = s.trigger_id
    AND status <> 'suppressed' AND waiting = '') x ON s.last_at >= %(since)s
WHERE s.trigger_id = %(trigger)s AND s.profile_id = ANY(%(ids)s) AND s.last_at IS NOT NULL
"""


def _fired(profile_ids: Collection[int], trigger_id: int, since: datetime) -> dict[int, Fired]:
    """How the trigger had fired for each customer before `since`."""
    found = {}
    with connection.cursor() as cursor:
        cursor.execute(_FIRED, {"since": since, "trigger": trigger_id, "ids": list(profile_ids)})
        for profile_id, count, last_at, before, recent, by_key in cursor.fetchall():
            times = [at for at in map(datetime.fromisoformat, selectors.decoded(recent)) if at < since]
            named = {key: datetime.fromisoformat(at) for key, at in selectors.decoded(by_key).items()}
            named = {key: at for key, at in named.items() if at < since}
            last = (
                last_at
                if last_at < since
                else max([before, *times, *named.values()], default=None, key=_when)
            )
            if last is not None and count > 0:
                found[profile_id] = Fired(last, count, tuple(times), named)
    return found


def _when(moment: datetime | None) -> float:
    return moment.timestamp() if moment else 0.0


def _used_keys(profile_ids: Collection[int], trigger_id: int, since: datetime) -> dict[int, list[str]]:
    """The values for which the trigger had been decided before `since`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT profile_id, array_agg(dedupe_key::text) FROM automation_executionkey"
            " WHERE profile_id = ANY(%s) AND trigger_id = %s AND decided_at < %s AND dedupe_key LIKE 'p:%%'"
            " GROUP BY profile_id",
            [list(profile_ids), trigger_id, since],
        )
        return dict(cursor.fetchall())
