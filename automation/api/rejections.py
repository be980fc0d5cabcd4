"""Note what was refused, so that whoever connects a shop sees it in the admin: a sample with a count.

What is kept: the kind of problem, our own sentence about it, the place in the body as a JSON pointer, and the public
part of a valid key. What is not: the body, any value in it, the address of the sender, a key that is not valid.

A refusal costs its request one entry in a dictionary. A thread writes what came together, at most once a second in
each process; refusals that say the same are one row with a count. So a flood of bad requests is a number that grows.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, NamedTuple

from django.db import connection
from rest_framework.request import Request

from automation.api.faults import Fault
from automation.models import RejectedRequest
from automation.models.keys import WriteKey
from profiles.masking import hidden

log = logging.getLogger(__name__)

KEPT: Final = 1000  # Rows of the table, the newest.
KEPT_OF_KEY: Final = 200  # Rows of one key, or of none: the page's key is public, and crowds nobody out.
HOURS: Final = 24
PAUSE: Final = 1.0  # Seconds between two writes of one process.
DIFFERENT: Final = 50  # Between two writes; what comes beyond them is counted as one row.
FAULTS: Final = 5  # Of one request.
# The rest is said by metrics: too many requests and outages are nobody's mistake in a field.
KINDS: Final = frozenset(RejectedRequest.Kind.values)
_NUMBER = re.compile(r"/\d+(?=/|$)")
_FIELD = re.compile(r"[A-Za-z_][\w-]{0,59}|\d{1,6}", re.ASCII)


class _What(NamedTuple):
    """Refusals that are the same in this are one row."""

    route: str
    status: int
    kind: str
    message: str
    place: str  # The pointer without the numbers of items.
    public_id: str


@dataclass(slots=True)
class _Pending:
    count: int
    pointer: str  # Of the newest.
    hint: str


_pending: dict[_What, _Pending] = {}
_lock = threading.Lock()
_wake = threading.Event()
_writer: tuple[int, threading.Thread] | None = None


def forget() -> None:
    """Drop what is not written yet; also in a child after a fork, whose parent's locks may be held for ever."""
    global _pending, _lock, _wake, _writer
    _pending, _lock, _wake, _writer = {}, threading.Lock(), threading.Event(), None


os.register_at_fork(after_in_child=forget)


def note(request: Request, status: int, kind: str, faults: Sequence[Fault], detail: str = "") -> None:
    """Count a refusal of an address that takes events; others are passed over."""
    view = (request.parser_context or {}).get("view")
    if kind not in KINDS or getattr(view, "required_scope", None) != WriteKey.Scope.EVENTS_WRITE.value:
        return
    match = request._request.resolver_match
    route = f"/{match.route.strip('^$').replace('/?', '/')}" if match else ""
    # Not `request.auth`: that would ask for the key once more, and fail once more.
    public_id = getattr(getattr(request, "_auth", None), "public_id", "")
    said = faults[:FAULTS] or [Fault("", detail)]
    with _lock:
        for fault in said:
            pointer = _told(fault.pointer)
            place = _NUMBER.sub("/*", pointer)
            what = _What(route, status, kind, hidden(fault.message)[:300], place, public_id)
            if what not in _pending and len(_pending) >= DIFFERENT:
                what = _What(route, status, kind, "And others, too many to keep.", "", public_id)
                pointer = ""
            found = _pending.setdefault(what, _Pending(0, pointer, hidden(fault.hint)[:300]))
            found.count += 1
            found.pointer = pointer
    _ensure_writer()
    _wake.set()


def _told(pointer: str) -> str:
    """`pointer` without names of fields that look like anything but names of fields: they may be of people."""
    parts = (part if _FIELD.fullmatch(part) else "…" for part in pointer.split("/")[1:])
    return "".join(f"/{part}" for part in parts)[:300]


_UPSERT = """
INSERT INTO automation_rejectedrequest AS r
 (digest, count, route, status, kind, message, hint, pointer, public_id)
SELECT * FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::smallint[], %s::text[], %s::text[], %s::text[],
 %s::text[], %s::text[])
ON CONFLICT (digest) DO UPDATE SET count = r.count + excluded.count, last_at = now(), pointer = excluded.pointer
"""
# Of the keys with the most rows the oldest go first, so that no number of keys crowds one with few out.
_TRIM = """
DELETE FROM automation_rejectedrequest WHERE id IN (
 SELECT id FROM (SELECT id, last_at, own, row_number() OVER (ORDER BY own, last_at DESC, id DESC) AS rank
  FROM (SELECT id, last_at, row_number() OVER (PARTITION BY public_id ORDER BY last_at DESC, id DESC) AS own
   FROM automation_rejectedrequest) o) r
 WHERE rank > %s OR own > %s OR last_at < now() - make_interval(hours => %s))
"""


def flush() -> None:
    """Write what was noted, and keep the table small."""
    global _pending
    with _lock:
        noted, _pending = _pending, {}
    if not noted:
        return
    rows = sorted(
        (_digest(what), one.count, what.route, what.status, what.kind, what.message, one.hint, one.pointer,
         what.public_id)
        for what, one in noted.items()
    )  # fmt: skip  # In order, so that two processes cannot wait for each other.
    with connection.cursor() as cursor:
        cursor.execute(_UPSERT, [list(column) for column in zip(*rows, strict=True)])
        cursor.execute(_TRIM, [KEPT, KEPT_OF_KEY, HOURS])


def _digest(what: _What) -> str:
    return blake2b("\0".join(map(str, what)).encode("utf-8", "replace"), digest_size=16).hexdigest()


def _ensure_writer() -> None:
    """Start the writing thread, once in each process."""
    global _writer
    if _writer and _writer[0] == os.getpid() and _writer[1].is_alive():
        return
    thread = threading.Thread(target=_write_for_ever, name="rejections", daemon=True)
    _writer = (os.getpid(), thread)
    thread.start()


def _write_for_ever() -> None:
    while True:
        _wake.wait()
        _wake.clear()
        try:
            flush()
        except Exception:
            log.warning("rejected requests were not stored", exc_info=True)
        finally:
            connection.close()  # Bad requests are rare; an idle session would be held for them.
        time.sleep(PAUSE)
