"""What was known of customers when a backtest begins, and what came later by other ways than events."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection

from automation import selectors
from automation.backtest import window
from automation.backtest.course import Course
from automation.engine.suppression import Fired
from automation.engine.types import Event, Lookback, Sent
from automation.pipeline.customer import Customer
from automation.pipeline.plan import Plan
from profiles import selectors as profile_selectors
from profiles.behavior.traits import traits_of


def courses(
    profile_ids: Collection[int], plan: Plan, keys: Mapping[int, str], since: datetime, until: datetime
) -> dict[int, Course]:
    """The customers at the beginning of their stored history, ready to be led to `since` and on.

    What the trigger itself did from `since` on is left out: the backtest finds it anew. `keys` names all
    triggers by id.
    """
    trigger = plan.trigger
    histories = window.histories(profile_ids, None, oldest(until), until)
    standing = profile_selectors.standing(profile_ids)
    sends = selectors.sends(profile_ids, keys)
    words = profile_selectors.consents(profile_ids)
    fired = _fired(profile_ids, plan, since)
    used = _used_keys(profile_ids, trigger.trigger_id, since) if trigger.definition.dedupe_path else {}
    segments = profile_selectors.memberships(profile_ids) if trigger.needs_segments else {}
    dead = profile_selectors.dead_since(
        "email", _emails(event for history in histories.values() for event in history)
    )
    looks = names_looked_back_at(trigger.needs)
    if looks is not None:  # What may call a waiting execution off is looked for there as well.
        looks = None if "*" in trigger.cancel_names else looks | trigger.cancel_names
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


def oldest(until: datetime) -> datetime:
    """Before that nothing is kept."""
    return until - timedelta(days=31 * settings.RETENTION_MONTHS)


def names_looked_back_at(looks: Iterable[Lookback]) -> frozenset[str] | None:
    """The names of the events that conditions look back at; None: any."""
    names: frozenset[str] = frozenset()
    for look in looks:
        if look.events is None:
            return None
        names |= look.events
    return names


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
SELECT s.profile_id, s.count - coalesce(x.since, 0), s.last_at, x.before, x.recent, s.recent::text, s.by_key::text
FROM automation_triggerstate s LEFT JOIN LATERAL (
  SELECT count(*) FILTER (WHERE decided_at >= %(since)s) AS since,
    max(decided_at) FILTER (WHERE decided_at < %(since)s) AS before,
    array_agg(decided_at ORDER BY decided_at DESC)
      FILTER (WHERE decided_at < %(since)s AND decided_at >= %(recent)s) AS recent
  FROM automation_execution WHERE profile_id = s.profile_id AND trigger_id = s.trigger_id
    AND status <> 'suppressed' AND waiting = '') x ON s.last_at >= %(since)s
WHERE s.trigger_id = %(trigger)s AND s.profile_id = ANY(%(ids)s) AND s.last_at IS NOT NULL
"""


def _fired(profile_ids: Collection[int], plan: Plan, since: datetime) -> dict[int, Fired]:
    """How the trigger had fired for each customer before `since`.

    The row that the judge keeps is of now. Where the trigger has fired since, the executions say how it was then;
    only for cooldowns by key the row alone knows, and of a key that came up again it forgot the time before.
    """
    period = plan.max_per_period[1] if plan.max_per_period else timedelta(0)
    values: dict[str, Any] = {
        "since": since,
        "recent": since - period,
        "trigger": plan.trigger.trigger_id,
        "ids": list(profile_ids),
    }
    found = {}
    with connection.cursor() as cursor:
        cursor.execute(_FIRED, values)
        for profile_id, count, last_at, before, recent, stored, by_key in cursor.fetchall():
            named = {key: datetime.fromisoformat(at) for key, at in selectors.decoded(by_key).items()}
            named = {key: at for key, at in named.items() if at < since}
            if last_at < since:
                times = tuple(map(datetime.fromisoformat, selectors.decoded(stored)))
                found[profile_id] = Fired(last_at, count, times, named)
            elif before is not None and count > 0:
                found[profile_id] = Fired(before, count, tuple(recent or ()), named)
    return found


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
