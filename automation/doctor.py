"""Is this installation well? Each examination says what it saw and, when it is not well, the exact remedy."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import redis
from django.conf import settings
from django.core.mail import get_connection
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from automation import queues
from automation.engine.types import Priority
from automation.models.partitioned import PARTITIONED, month_start
from automation.pipeline import lookout

PING_SECONDS = 1.0
REDIS_SECONDS = 1.0
MAX_SKEW_SECONDS = 2.0
MIN_FREE_BYTES = 2 * 1024**3
MIN_POSTGRES = 140_000
SWEEP_TASK = "automation.tasks.periodic_sweep"
BEAT_LAG_SECONDS = 200  # Beat writes the time of its last run down every three minutes.
QUEUE_LIMIT = 1000  # Bells are at most one a lane; more waiting messages mean that nobody takes them.


@dataclass(frozen=True, slots=True)
class Finding:
    """One examination."""

    name: str
    is_ok: bool
    saw: str
    fix: str = ""  # What to type or change; empty when it is well.


def examine() -> list[Finding]:
    """All examinations, in order. One that cannot be carried out is not well; the others go on."""
    found: list[Finding] = []
    for name, examination in _ALL:
        try:
            found += [Finding(name, not fix, saw, fix) for saw, fix in examination()]
        except Exception as error:  # noqa: BLE001 — whatever it raises is what was found.
            saw = f"{type(error).__name__}: {str(error).strip()[:200]}"
            found.append(Finding(name, False, saw, _REMEDIES[name]))
    return found


Seen = Iterator[tuple[str, str]]  # (what was seen, remedy or "")


def _database() -> Seen:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('server_version'), current_setting('server_version_num')::int,"
            " current_setting('fsync'), current_setting('synchronous_commit'),"
            " current_setting('full_page_writes')"
        )
        version, number, fsync, commit, pages = cursor.fetchone()
    yield f"PostgreSQL {version}", "" if number >= MIN_POSTGRES else "Use PostgreSQL 14 or newer."
    is_safe = fsync == "on" and pages == "on" and commit not in ("off",)
    yield (
        f"fsync {fsync}, synchronous_commit {commit}, full_page_writes {pages}",
        ""
        if is_safe
        else "An accepted event could be lost: ALTER SYSTEM SET fsync = on; ALTER SYSTEM SET"
        " full_page_writes = on; ALTER SYSTEM SET synchronous_commit = on; then restart PostgreSQL.",
    )


def _migrations() -> Seen:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    yield f"{len(missing)} missing", "python manage.py migrate" if missing else ""


def _partitions() -> Seen:
    now = datetime.now(UTC)
    wanted = [f"{table}_{month_start(now, ahead):%Y_%m}" for table in PARTITIONED for ahead in (0, 1, 2)]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(name) IS NULL", [wanted]
        )
        missing = [row[0] for row in cursor.fetchall()]
    saw = f"missing: {', '.join(missing)}" if missing else "two months ahead"
    yield (
        saw,
        "python manage.py shell -c 'from automation.pipeline import retention; retention.keep()'"
        if missing
        else "",
    )


def _clock() -> Seen:
    with connection.cursor() as cursor:
        before = timezone.now()
        cursor.execute("SELECT clock_timestamp()")
        theirs = cursor.fetchone()[0]
        after = timezone.now()
    skew = max((before - theirs).total_seconds(), (theirs - after).total_seconds(), 0.0)
    fix = "Run an NTP client on this machine and on the database's." if skew > MAX_SKEW_SECONDS else ""
    yield f"{skew:.3f} s between this machine and PostgreSQL", fix


def _redis() -> Seen:
    with _client() as client:
        info = client.info("server")
    version = info.get("valkey_version") or info["redis_version"]
    yield f"answers, version {version}", ""


def _broker() -> Seen:
    with _client() as client:
        names = [*(priority.lane for priority in Priority), "periodic"]
        waiting = {name: int(client.llen(f"{settings.REDIS_PREFIX}{name}")) for name in names}
    saw = ", ".join(f"{name} {count}" for name, count in waiting.items())
    is_full = max(waiting.values()) > QUEUE_LIMIT
    yield (
        f"messages waiting: {saw}",
        "Start workers: celery -A config worker -Q critical,high,medium,low" if is_full else "",
    )


def _workers() -> Seen:
    with _client() as client:
        client.ping()  # Without it the next line would wait for a broker that is not there.
    answers = queues.current_app.control.ping(timeout=PING_SECONDS) or []  # type: ignore[attr-defined]
    names = sorted(name for answer in answers for name in answer)
    yield (
        f"{len(names)} answer: {', '.join(names)}" if names else "none answers",
        "" if names else "celery -A config worker -Q critical,high,medium,low,periodic",
    )


def _watch() -> Seen:
    found = lookout.health()
    swept = "never" if found.sweep_age is None else f"{found.sweep_age:.0f} s ago"
    yield f"{found.watches} workers watch; last sweep {swept}", "" if found.watches else _REMEDIES["watch"]
    for name in found.skewed:
        yield f"the clock of {name} is more than 2 s wrong", "Run an NTP client on its machine."


def _beat() -> Seen:
    task = PeriodicTask.objects.filter(task=SWEEP_TASK, enabled=True).order_by("-last_run_at").first()
    if task is None:
        yield (
            "the sweep is not scheduled",
            "Enable it in the admin under Periodic tasks, or run manage.py migrate.",
        )
        return
    if task.last_run_at is None:
        yield "has never asked for a sweep", _REMEDIES["beat"]
        return
    ago = (timezone.now() - task.last_run_at).total_seconds()
    is_late = ago > settings.SWEEP_SECONDS + BEAT_LAG_SECONDS
    yield f"last asked for a sweep {ago:.0f} s ago", _REMEDIES["beat"] if is_late else ""


def _mail() -> Seen:
    server = get_connection(fail_silently=False, timeout=5)
    server.open()
    server.close()
    yield f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT} answers", ""


def _disk() -> Seen:
    usage = shutil.disk_usage(settings.BASE_DIR)
    fix = "Free some space; PostgreSQL stops when it has none." if usage.free < MIN_FREE_BYTES else ""
    yield f"{usage.free / 1024**3:.1f} GB free of {usage.total / 1024**3:.1f}", fix


def _secret_key() -> Seen:
    key = settings.SECRET_KEY
    is_weak = key.startswith("insecure") or len(key) < 50 or len(set(key)) < 10
    yield (
        f"{len(key)} characters" + (", the built-in one" if key.startswith("insecure") else ""),
        'Set SECRET_KEY: python -c "import secrets; print(secrets.token_urlsafe(50))"' if is_weak else "",
    )


def _client() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_CLIENT_URL, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS
    )


_ALL: tuple[tuple[str, Callable[[], Seen]], ...] = (
    ("database", _database),
    ("migrations", _migrations),
    ("partitions", _partitions),
    ("clock", _clock),
    ("redis", _redis),
    ("broker", _broker),
    ("workers", _workers),
    ("watch", _watch),
    ("beat", _beat),
    ("mail", _mail),
    ("disk", _disk),
    ("secret key", _secret_key),
)
_REMEDIES = {
    "database": "Check DATABASE_URL, or start the embedded one: python manage.py services start",
    "migrations": "Repair the database first.",
    "partitions": "Repair the database first.",
    "clock": "Repair the database first.",
    "redis": "Check REDIS_URL, or start the embedded one: python manage.py services start",
    "broker": "Repair Redis first.",
    "workers": "Repair Redis first, then: celery -A config worker -Q critical,high,medium,low,periodic",
    "watch": "Repair the database first, then: celery -A config worker -Q critical,high,medium,low,periodic",
    "beat": "celery -A config beat --scheduler django_celery_beat.schedulers:DatabaseScheduler",
    "mail": "Check EMAIL_URL and that its server accepts connections from here.",
    "disk": "Check the volume.",
    "secret key": "Set SECRET_KEY.",
}
