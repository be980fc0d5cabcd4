"""Walk the chain and find what was removed, put in, swapped or altered."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import connection, transaction

from automation.audit.chain import GENESIS, Link, Personal, problem
from automation.models.audit import AuditCheck, AuditEntry

log = logging.getLogger(__name__)

BATCH = 2_000
WALK_LIMIT = 200_000  # Entries one periodic check walks; the next goes on from there.
WATCH_LOCK = 7_000_006


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What a walk found."""

    ok: bool
    checked: int  # Entries that were walked and are sound.
    erased: int  # Of these, how many once had personal values that are gone.
    head_id: int  # The last sound entry, and its hash: note both outside the database.
    head_hash: str
    bad_id: int | None = None  # The first entry that is not as it was written.
    problem: str = ""


def verify(
    *,
    expect: Iterable[tuple[int, str]] = (),
    after: tuple[int, str] = (0, GENESIS),
    limit: int | None = None,
) -> ChainReport:
    """Walk the chain from behind `after`, at most `limit` entries; stop at the first that is wrong.

    `expect` are ids and hashes that were noted outside: only they can tell that the newest entries were cut off,
    or that the whole log was written anew.
    """
    wanted = dict(expect)
    last_id, last_hash = after
    checked = erased = 0
    for link, stored_hash, side in _links(last_id, limit):
        said = problem(link, stored_hash, side, after=last_id, after_hash=last_hash)
        if not said and wanted.pop(link.id, stored_hash) != stored_hash:
            said = f"entry {link.id} is not the one that was noted: the log was written anew"
        if said:
            first = link.id if link.id <= last_id + 1 else last_id + 1
            return ChainReport(False, checked, erased, last_id, last_hash, first, said)
        erased += bool(link.personal_digest) and side is None
        checked += 1
        last_id, last_hash = link.id, stored_hash
    beyond = sorted(entry_id for entry_id in wanted if entry_id > last_id)
    if beyond and (limit is None or checked < limit):
        said = (
            f"entry {beyond[-1]} was noted, but the log ends at entry {last_id}: newer entries were cut off"
        )
        return ChainReport(False, checked, erased, last_id, last_hash, last_id + 1, said)
    return ChainReport(True, checked, erased, last_id, last_hash)


def head() -> tuple[int, str]:
    """Id and hash of the newest entry."""
    newest = AuditEntry.objects.order_by("-id").values_list("id", "entry_hash").first()
    return newest or (0, GENESIS)


def watch(*, limit: int = WALK_LIMIT, now: datetime | None = None) -> ChainReport | None:
    """One step of the periodic check; None when another process is at it.

    Goes on where the last step stopped, so that one step is short and every entry is walked again and again. At
    the end of the log its head is written to the logs: an anchor outside the database.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [WATCH_LOCK])
            if not cursor.fetchone()[0]:
                return None
        return _watch(limit, now or datetime.now(UTC))


def _watch(limit: int, now: datetime) -> ChainReport:
    state = AuditCheck.objects.get_or_create(pk=1)[0]
    start = (state.walked_id, state.walked_hash) if state.walked_id else (0, GENESIS)
    known = [(state.head_id, state.head_hash)] if state.head_id > start[0] else []
    report = verify(after=start, limit=limit, expect=known)
    state.checked_at, state.problem = now, report.problem[:500]
    if not report.ok:
        state.walked_id, state.walked_hash = 0, ""
        log.error("audit log: %s", report.problem, extra={"entry": report.bad_id})
    elif report.checked < limit:
        state.walked_id, state.walked_hash = 0, ""
        state.head_id, state.head_hash, state.complete_at = report.head_id, report.head_hash, now
        log.info("audit log verified", extra={"head_id": report.head_id, "head_hash": report.head_hash})
    else:
        state.walked_id, state.walked_hash = report.head_id, report.head_hash
    state.save()
    return report


def _links(after: int, limit: int | None) -> Iterator[tuple[Link, str, Personal | None]]:
    """Entries in the order of their ids, in batches: no long transaction, no list of all."""
    left = limit
    while left is None or left > 0:
        size = BATCH if left is None else min(BATCH, left)
        rows = list(
            AuditEntry.objects.filter(id__gt=after)
            .order_by("id")
            .values_list(
                *Link._fields, "entry_hash", "personal__profile_id", "personal__salt", "personal__values"
            )[:size]
        )
        for *fields, stored_hash, profile_id, salt, values in rows:
            side = None if salt is None else Personal(profile_id, bytes(salt), values)
            yield Link(*fields), stored_hash, side
        if len(rows) < size:
            return
        after = rows[-1][0]
        left = None if left is None else left - size
