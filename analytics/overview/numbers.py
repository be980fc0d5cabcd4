"""What was decided and sent by day: two spans of equal length, side by side, with three queries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple

from django.core.cache import cache
from django.db import connection
from django.utils import timezone

from automation.pipeline.consent import CONSENT_EVENTS

SPANS: Final = (7, 14, 90)  # Days.
DEFAULT_SPAN: Final = 14
REMEMBERED: Final = 60  # Seconds.
PER_STATUS: Final = 5_000  # Newest e-mails of each status that are looked at.
COMPLAINT: Final = "email_complained"
LEAVING: Final = (*CONSENT_EVENTS, COMPLAINT)
# What an e-mail came to, in order; a later stage includes the earlier ones.
MAIL_STAGES: Final = ("sent", "delivered", "opened", "clicked")
_WENT_OUT: Final = (*MAIL_STAGES, "bounced", "complained", "uncertain")

_TALLIES = """
SELECT kind, label, (hour AT TIME ZONE %s)::date, sum(count)::bigint FROM automation_tally
WHERE kind IN ('executions', 'deliveries', 'events', 'broken') AND hour >= %s GROUP BY 1, 2, 3
UNION ALL SELECT 'first', '', (min(hour) AT TIME ZONE %s)::date, 0 FROM automation_tally WHERE kind = 'executions'
"""
_LEAVING = """
SELECT name, (occurred_at AT TIME ZONE %s)::date, count(*) FROM automation_event
WHERE name = ANY(%s) AND occurred_at >= %s AND NOT is_import
  AND (name <> 'consent_changed' OR data->'is_granted' = 'false') GROUP BY 1, 2
"""
# The index begins with the status: each is read from its newest row on, and no further than a limit.
_MAILS = """
SELECT s.status, m.day, count(DISTINCT m.execution_id), count(DISTINCT m.profile_id), max(m.n)
FROM unnest(%s::text[]) AS s(status) CROSS JOIN LATERAL (
  SELECT execution_id, profile_id, (created_at AT TIME ZONE %s)::date AS day, row_number() OVER () AS n
  FROM automation_delivery
  WHERE status = s.status AND created_at >= %s AND channel = 'email' ORDER BY created_at DESC LIMIT %s) m
GROUP BY GROUPING SETS ((s.status), (m.day), ())
"""


class Series(NamedTuple):
    """One number by day over the span, and its sum over the span before."""

    days: tuple[int, ...]
    before: int

    @property
    def total(self) -> int:
        return sum(self.days)


class Mails(NamedTuple):
    """E-mails of the span, counted as decisions that sent one."""

    by_status: Mapping[str, int]
    customers: int
    is_cut: bool  # There are more than were looked at.
    by_day: Mapping[date, int] = {}  # Customers who got one that day.

    @property
    def sent(self) -> int:
        return sum(self.by_status.values())


class Numbers(NamedTuple):
    """Everything the tiles and the funnel show."""

    span: int
    first: datetime  # Start of the span's first day.
    events: Series
    fired: Series
    held: Series
    failed: Series  # Actions given up.
    left: Series  # Unsubscribes and complaints.
    complaints: int
    reasons: Counter[str]  # Of what was held back in the span.
    mails: Mails
    broken: int  # Times that a trigger could not check an event, in the span.
    is_comparable: bool  # There are counts of the whole span before.

    @property
    def reached(self) -> Series:
        """Customers who got an e-mail, by day; its sum counts who got one on two days twice."""
        first = self.first.date()
        return Series(
            tuple(self.mails.by_day.get(first + timedelta(days=day), 0) for day in range(self.span)), 0
        )

    @property
    def is_empty(self) -> bool:
        """Nothing was decided in either span."""
        return not (self.events.total or self.events.before or self.fired.total or self.held.total)


def recent(span: int, now: datetime) -> Numbers:
    """`numbers`, at most REMEMBERED seconds old: half a year of tallies is not summed up for every look."""
    zone = timezone.get_current_timezone()
    key = f"overview:{span}:{zone}:{now.astimezone(zone).date()}"
    known: Numbers | None = cache.get(key)
    if known is not None:
        return known
    found = numbers(span, now)
    if not found.is_empty:  # The first event of a new installation is seen at once.
        cache.set(key, found, REMEMBERED)
    return found


def numbers(span: int, now: datetime) -> Numbers:
    """The span of `span` days that ends with today, in the calendar of the viewer."""
    zone = timezone.get_current_timezone()
    today = now.astimezone(zone).date()
    first = datetime.combine(today - timedelta(days=span - 1), datetime.min.time(), zone)
    start = datetime.combine(today - timedelta(days=2 * span - 1), datetime.min.time(), zone)
    counts: dict[str, Counter[int]] = {
        name: Counter() for name in ("events", "fired", "held", "failed", "left")
    }
    reasons: Counter[str] = Counter()
    complaints = broken = 0
    is_comparable = False
    with connection.cursor() as cursor:
        cursor.execute(_TALLIES, [str(zone), start, str(zone)])
        for kind, label, day, total in cursor.fetchall():
            if kind == "first":
                is_comparable = day is not None and day <= start.date()
                continue
            ago = (today - day).days
            if kind == "broken":
                broken += total * (ago < span)
                continue
            outcome, _colon, reason = label.partition(":")
            if name := _name(kind, outcome):
                counts[name][ago] += total
            if name == "held" and ago < span:
                reasons[reason] += total
        cursor.execute(_LEAVING, [str(zone), list(LEAVING), start])
        for event, day, total in cursor.fetchall():
            ago = (today - day).days
            counts["left"][ago] += total
            complaints += total * (event == COMPLAINT and ago < span)
    series = {name: _series(days, span) for name, days in counts.items()}
    return Numbers(
        span,
        first,
        **series,
        complaints=complaints,
        reasons=reasons,
        mails=mails(first),
        broken=broken,
        is_comparable=is_comparable,
    )


def mails(first: datetime) -> Mails:
    """E-mails that went out since `first`."""
    by_status: dict[str, int] = {}
    by_day: dict[date, int] = {}
    customers, longest = 0, 0
    with connection.cursor() as cursor:
        cursor.execute(_MAILS, [list(_WENT_OUT), str(first.tzinfo), first, PER_STATUS])
        for status, day, executions, people, looked_at in cursor.fetchall():
            if day is not None:
                by_day[day] = people
            elif status is None:
                customers = people
            else:
                by_status[status] = executions
                longest = max(longest, looked_at)
    return Mails(by_status, customers, longest >= PER_STATUS, by_day)


def stages(found: Numbers) -> list[tuple[str, int]]:
    """From a match to a click, counted in decisions; stages that nobody reports are left out."""
    listed = [("matched", found.fired.total + found.held.total), ("fired", found.fired.total)]
    mails_of = found.mails.by_status
    reached = {
        stage: sum(mails_of.get(later, 0) for later in MAIL_STAGES[index:])
        for index, stage in enumerate(MAIL_STAGES)
    }
    reached["sent"] = found.mails.sent
    return [*listed, *((stage, count) for stage, count in reached.items() if count or stage == "sent")]


def _name(kind: str, outcome: str) -> str:
    if kind == "executions":
        return {"fired": "fired", "suppressed": "held"}.get(outcome, "")
    if kind == "deliveries":
        return "failed" if outcome == "failed" else ""
    return "events"


def _series(days: Counter[int], span: int) -> Series:
    return Series(
        tuple(days[ago] for ago in range(span - 1, -1, -1)),
        sum(total for ago, total in days.items() if span <= ago < 2 * span),
    )
