"""Misconfiguration as Django system checks: an id, what is wrong, and how to put it right."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Iterator
from datetime import time
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

SOFT_LIMIT_SECONDS, HARD_LIMIT_SECONDS = 60, 90  # Of a task (config/celery.py); a test keeps them equal.
MIN_SECRET_BYTES = 24  # Standard Webhooks 1.0.
# Read by the tests alone.
OTHER_VARIABLES = frozenset({"BECKON_SEED", "BECKON_CHAOS", "BECKON_CHAOS_BASELINE", "BECKON_CHAOS_REPORT"})


@register(Tags.compatibility)
def check_values(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Values that cannot work anywhere."""
    return [*_times(), *_numbers(), *_webhooks(), *_unknown(os.environ)]


def _times() -> Iterator[CheckMessage]:
    for name, value in (
        ("BECKON_QUIET_START", settings.QUIET_START),
        ("BECKON_QUIET_END", settings.QUIET_END),
    ):
        try:
            time.fromisoformat(value)
        except ValueError:
            yield Error(
                f"{name} is no time: {value!r}.", hint="Write HH:MM, such as 21:00.", id="automation.E001"
            )
    try:
        ZoneInfo(settings.DEFAULT_TIME_ZONE)
    except (KeyError, ValueError, OSError):
        yield Error(
            f"BECKON_TIME_ZONE is no time zone: {settings.DEFAULT_TIME_ZONE!r}.",
            hint="Use a name of the IANA list, such as Europe/Berlin.",
            id="automation.E002",
        )


def _numbers() -> Iterator[CheckMessage]:
    if settings.EMAIL_CAP < 1 or settings.EMAIL_CAP_HOURS <= 0:
        yield Error(
            "The cap lets no marketing e-mail through.",
            hint="Set BECKON_EMAIL_CAP to 1 or more and BECKON_EMAIL_CAP_HOURS above 0;"
            " to stop all mail, pause the triggers.",
            id="automation.E003",
        )
    if settings.LEASE_SECONDS <= HARD_LIMIT_SECONDS:
        yield Error(
            f"A delivery's lease ({settings.LEASE_SECONDS} s) can end while its worker is still at work.",
            hint=f"Set BECKON_LEASE_SECONDS above {HARD_LIMIT_SECONDS}, the hard limit of a task.",
            id="automation.E004",
        )
    if not 0 < settings.DRAIN_SECONDS < SOFT_LIMIT_SECONDS:
        yield Error(
            f"BECKON_DRAIN_SECONDS is {settings.DRAIN_SECONDS}: a task would be stopped in the middle.",
            hint=f"Use a number between 0 and {SOFT_LIMIT_SECONDS}; 2 is a good one.",
            id="automation.E005",
        )
    bounds = (
        ("BECKON_HOLDOUT_PERCENT", settings.HOLDOUT_PERCENT, 0, 100),
        ("BECKON_GLOBAL_HOLDOUT_PERCENT", settings.GLOBAL_HOLDOUT_PERCENT, 0, 100),
        ("BECKON_LOW_ENGAGEMENT", settings.LOW_ENGAGEMENT, 0, 1),
        ("BECKON_RETENTION_MONTHS", settings.RETENTION_MONTHS, 1, 1200),
        ("BECKON_LATE_AFTER_DAYS", settings.LATE_AFTER_DAYS, 0, 3650),
        ("BECKON_DATA_FAILURE_BUDGET", settings.DATA_FAILURE_BUDGET, 1, 100),
        ("BECKON_WORKER_DEATH_BUDGET", settings.WORKER_DEATH_BUDGET, 1, 100),
        ("BECKON_PENDING_LIMIT", settings.PENDING_LIMIT, 1, 10**12),
        ("BECKON_SWEEP_SECONDS", settings.SWEEP_SECONDS, 1, 3600),
        ("BECKON_TRUSTED_PROXIES", settings.TRUSTED_PROXIES, 0, 20),
        ("BECKON_KEY_RATE", settings.KEY_RATE, 0.001, 10**9),
        ("BECKON_KEY_BURST", settings.KEY_BURST, 1, 10**9),
        ("BECKON_IP_RATE", settings.IP_RATE, 0.001, 10**9),
        ("BECKON_IP_BURST", settings.IP_BURST, 1, 10**9),
        ("BECKON_STALL_SECONDS", settings.STALL_SECONDS, 1, 86_400),
    )
    for name, value, low, high in bounds:
        if not low <= value <= high:
            yield Error(
                f"{name} is {value}.", hint=f"Use a number from {low:g} to {high:g}.", id="automation.E006"
            )


def _webhooks() -> Iterator[CheckMessage]:
    secret = settings.WEBHOOK_SECRET
    if secret and not is_webhook_secret(secret):
        yield Error(
            f"{settings.WEBHOOK_SECRET_VARIABLE} is not a Standard Webhooks secret.",
            hint="Make one: python -c \"import base64, secrets; print('whsec_' +"
            ' base64.b64encode(secrets.token_bytes(32)).decode())"',
            id="automation.E007",
        )


def is_webhook_secret(secret: str) -> bool:
    """`whsec_` and the base64 of at least 24 bytes."""
    prefix, _, text = secret.partition("whsec_")
    try:
        return not prefix and len(base64.b64decode(text, validate=True)) >= MIN_SECRET_BYTES
    except (binascii.Error, ValueError):
        return False


def _unknown(environ: Iterable[str]) -> Iterator[CheckMessage]:
    known = {declared.name for declared in settings.DECLARED}
    for name in sorted(environ):
        if name.startswith("BECKON_") and name not in known | OTHER_VARIABLES:
            near = get_close_matches(name, known, n=1, cutoff=0.0)
            yield Warning(
                f"{name} is set, but there is no such setting.",
                hint=f"Did you mean {near[0]}?",
                id="automation.W001",
            )


@register(Tags.security, deploy=True)
def check_deploy(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """What is fine on a laptop and not in production."""
    found: list[CheckMessage] = []
    if settings.FAULT:
        found.append(
            Error(
                "Fault points are armed: workers will be killed on purpose.",
                hint="Unset BECKON_FAULT; it is for tests.",
                id="automation.E101",
            )
        )
    if settings.SECRET_KEY.startswith("insecure"):
        found.append(
            Error(
                "SECRET_KEY is the built-in one: anybody can sign sessions and links.",
                hint='Set it: python -c "import secrets; print(secrets.token_urlsafe(50))"',
                id="automation.E102",
            )
        )
    if settings.WEBHOOK_ALLOW_LOOPBACK:
        found.append(
            Error(
                "Webhooks may reach this machine itself.",
                hint="Unset BECKON_WEBHOOK_ALLOW_LOOPBACK.",
                id="automation.E103",
            )
        )
    if "*" in settings.ALLOWED_HOSTS:
        found.append(
            Error(
                "ALLOWED_HOSTS holds *: links in mails can be forged by a Host header.",
                hint="Name the hosts.",
                id="automation.E104",
            )
        )
    for name, what in (("DATABASE_URL", "PostgreSQL"), ("REDIS_URL", "Redis")):
        if not getattr(settings, name):
            found.append(
                Warning(
                    f"The embedded {what} is for trying things out: nobody backs it up.",
                    hint=f"Set {name}.",
                    id=f"automation.W10{1 if name == 'DATABASE_URL' else 2}",
                )
            )
    if not settings.EMAIL_URL:
        found.append(
            Warning(
                "Mail goes to the local mailbox and nowhere else.",
                hint="Set EMAIL_URL, such as smtp+tls://user:password@smtp.example.com:587.",
                id="automation.W103",
            )
        )
    if not settings.PUBLIC_URL.startswith("https://"):
        found.append(
            Warning(
                "PUBLIC_URL is not https: cookies and unsubscribe links travel in the clear.",
                hint="Set it to the https address customers reach.",
                id="automation.W104",
            )
        )
    return found
