"""What decisions came to in a range of time, from the tallies: one query over hourly counts.

A decision that was put off is counted when its moment has come; how many wait now is counted apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _

from automation import reasons
from automation.engine.types import ExecutionStatus
from profiles.admin.lists import BEFORE, RecentFilter

USUAL = "week"  # Without a choice of time.
MOST_WAITING = 1_000  # More are not counted.


@dataclass(frozen=True, slots=True)
class Bar:
    """One outcome."""

    label: str
    code: str  # As the API says it.
    text: str  # One sentence.
    advice: str  # Normal, or look into this; empty where nothing was held back.
    is_normal: bool
    count: int
    percent: int  # Of the longest bar.
    share: str  # Of all decisions.
    query: str  # What a click filters by.
    is_chosen: bool

    @property
    def said_count(self) -> str:
        """With separators."""
        return f"{self.count:,}"


@dataclass(frozen=True, slots=True)
class Histogram:
    """All outcomes of a range, the most frequent first."""

    bars: list[Bar]
    total: int
    waiting: int  # Now, of any age, up to MOST_WAITING.
    waiting_query: str  # What shows them.
    span: str  # The range in words.
    wider: str  # The address with a wider range; empty when there is none.
    everything: str  # The address without any choice.

    @property
    def said_total(self) -> str:
        """With separators."""
        return f"{self.total:,}"

    @property
    def said_waiting(self) -> str:
        """With separators; a plus where there are more."""
        return f"{MOST_WAITING:,}+" if self.waiting > MOST_WAITING else f"{self.waiting:,}"


def histogram(span: str, trigger_id: str, query: QueryDict) -> Histogram:
    """Of the last `span` (of RecentFilter), of one trigger or of all; `query` is what the list shows now."""
    chosen = span if span in RecentFilter.spans else USUAL
    label, length = RecentFilter.spans[chosen]
    since = (timezone.now() - length).replace(minute=0, second=0, microsecond=0)
    of_one = int(trigger_id) if trigger_id.isdecimal() and len(trigger_id) <= 18 else None
    counts = _counts(since, of_one)
    total, most = sum(counts.values()), max(counts.values(), default=0)
    bars = [
        _bar(code, count, total, most, query)
        for code, count in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    ]
    spans = list(RecentFilter.spans)
    wider = spans[spans.index(chosen) + 1] if chosen != spans[-1] else ""
    return Histogram(
        bars=bars,
        total=total,
        waiting=_waiting(of_one),
        waiting_query=_with(query, status=ExecutionStatus.PENDING.value, reason="", last=""),
        span=str(label),
        wider=_with(query, last=wider) if wider else "",
        everything=_with(query, last="", status="", reason=""),
    )


def _counts(since: Any, trigger_id: int | None) -> dict[str, int]:
    also, values = ("", [since]) if trigger_id is None else (" AND trigger_id = %s", [since, trigger_id])
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT label, sum(count)::bigint FROM automation_tally WHERE kind = 'executions' AND hour >= %s"
            f" AND label NOT LIKE 'waiting:%%'{also} GROUP BY label",
            values,
        )
        return dict(cursor.fetchall())


def _waiting(trigger_id: int | None) -> int:
    """Decisions whose moment has not come."""
    also, values = ("", []) if trigger_id is None else (" AND trigger_id = %s", [trigger_id])
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM (SELECT FROM automation_execution WHERE status = 'pending' AND due_at IS NOT NULL"
            f"{also} LIMIT {MOST_WAITING + 1}) AS few",
            values,
        )
        return int(cursor.fetchone()[0])


def _bar(code: str, count: int, total: int, most: int, query: QueryDict) -> Bar:
    kind, _colon, reason = code.partition(":")
    share = f"{100 * count / total:.1f} %"
    percent = max(round(100 * count / most), 1)
    if kind == "suppressed":
        words = reasons.WORDS.get(reason)
        return Bar(
            reasons.label(reason),
            reason,
            reasons.text(reason),
            words.advice if words else "",
            words is not None and words.attention is reasons.Attention.NORMAL,
            count,
            percent,
            share,
            _with(query, reason=reason, status=""),
            query.get("reason") == reason,
        )
    is_failed = kind == "failed"
    status = ExecutionStatus.FAILED if is_failed else ExecutionStatus.TRIGGERED
    return Bar(
        _("failed") if is_failed else _("fired"),
        status,
        _("When its moment came it could not be judged.") if is_failed else _("Its actions began."),
        str(reasons.ATTENTION[reasons.Attention.LOOK]) if is_failed else "",
        not is_failed,
        count,
        percent,
        share,
        _with(query, status=status.value, reason=""),
        query.get("status") == status and not query.get("reason"),
    )


def _with(query: QueryDict, **changes: str) -> str:
    """The address of the list with other choices, from its first page."""
    found = query.copy()
    found.pop(BEFORE, None)
    for name, value in changes.items():
        if value:
            found[name] = value
        else:
            found.pop(name, None)
    return f"?{found.urlencode()}"
