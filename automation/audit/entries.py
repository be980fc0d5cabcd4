"""Add an entry to the audit log; delete personal values of the erased."""

from __future__ import annotations

import os
import pwd
import secrets
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from django.db import connection, transaction
from django.http import HttpRequest

from automation import request_id
from automation.audit.chain import GENESIS, Link, Personal, entry_hash, personal_digest, plain
from automation.client_address import client_address
from automation.models.audit import AuditEntry, AuditPersonal

LOCK = 7_000_005  # Advisory lock: one writer at a time, so the chain has no forks.
SALT_BYTES = 32
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_COUNT = "audit_entries"  # Attribute of a request: how many entries it has left so far.


def record(
    action: str,
    *,
    actor: str,
    actor_id: int | None = None,
    target: str = "",
    details: Mapping[str, Any] = _NOTHING,
    personal: Mapping[str, str] = _NOTHING,
    profile_id: int | None = None,
    request: HttpRequest | None = None,
) -> AuditEntry:
    """Add one entry, in the transaction of the caller or in one of its own, and return it.

    Call it as the last thing before the transaction ends: from here to the commit every other writer waits.
    `details` must hold no personal data of a customer and no secret; what is personal goes into `personal`, with
    the profile whose erasure removes it. An act that cannot be recorded must not happen: errors are raised.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
            # A statement of its own: its snapshot must be younger than the lock.
            cursor.execute(
                "SELECT clock_timestamp(), last.id, last.entry_hash FROM (VALUES (1)) AS one"
                " LEFT JOIN (SELECT id, entry_hash FROM automation_auditentry ORDER BY id DESC LIMIT 1) AS last"
                " ON true"
            )
            at, last_id, last_hash = cursor.fetchone()
        side = Personal(profile_id, secrets.token_bytes(SALT_BYTES), plain(personal)) if personal else None
        link = Link(
            id=(last_id or 0) + 1,
            at=at,
            action=plain(action)[:60],
            actor=plain(actor)[:150],
            actor_id=actor_id,
            target=plain(target)[:200],
            details=plain(details),
            ip=_ip(request),
            request_id=_request_id(request),
            personal_digest=personal_digest(side) if side else "",
            previous_hash=last_hash or GENESIS,
        )
        entry = AuditEntry.objects.create(**link._asdict(), entry_hash=entry_hash(link))
        if side:
            AuditPersonal.objects.create(entry=entry, **side._asdict())
    if request is not None:
        setattr(request, _COUNT, recorded(request) + 1)
    return entry


def recorded(request: HttpRequest) -> int:
    """How many entries this request has left so far."""
    return int(getattr(request, _COUNT, 0))


def forget(profile_ids: Iterable[int]) -> int:
    """Delete what entries say personally about these profiles, with the salts; returns of how many entries.

    The chain still verifies. Runs in the transaction of the caller; the entry about the erasure is the caller's.
    """
    deleted, _ = AuditPersonal.objects.filter(profile_id__in=list(profile_ids)).delete()
    return deleted


def shell() -> str:
    """The actor of management commands: who runs this process."""
    uid = os.getuid()
    try:
        return f"command line ({pwd.getpwuid(uid).pw_name})"
    except KeyError:  # A container may run under an id that no file names.
        return f"command line (uid {uid})"


def _ip(request: HttpRequest | None) -> str:
    return "" if request is None else client_address(request) or ""  # A UNIX socket has no address.


def _request_id(request: HttpRequest | None) -> str:
    """The request's own note of it counts: while an answer is streamed, the context is gone."""
    return str(getattr(request, "request_id", "") or request_id.request_id.get())[:64]
