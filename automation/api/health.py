"""Is the process alive, may it get traffic, and what does it count? For load balancers and Prometheus."""

from __future__ import annotations

import hmac
import ipaddress
from datetime import UTC, datetime

import redis
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from automation.metrics import collect
from automation.pipeline import claim, lookout

MAX_SKEW_SECONDS = 2.0
SWEEP_LATE = 6  # Intervals; a worker's watch sweeps after two.
REDIS_TIMEOUT = 0.25  # Seconds; a probe must not wait for a broker that it can do without.

_is_migrated = False  # Once true it stays true for the life of a process.


@require_safe
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """200 while the process lives; asks nobody else."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when PostgreSQL answers and is migrated, else 503. Without Redis work is only late: a warning."""
    problems = _database_problems()
    warnings = _warnings(is_database_up=not problems)
    body = {"status": "unavailable" if problems else "ok", "problems": problems, "warnings": warnings}
    return JsonResponse(body, status=503 if problems else 200)


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text, for whoever holds METRICS_TOKEN; without a token, for this machine alone."""
    if not _may_read(request):
        answer = HttpResponse("Not for you.\n", status=401, content_type="text/plain")
        answer["WWW-Authenticate"] = 'Bearer realm="metrics"'
        return answer
    return HttpResponse(collect(), content_type=CONTENT_TYPE_LATEST)


def _may_read(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {settings.METRICS_TOKEN}".encode())
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False  # A proxy on this machine speaks for somebody elsewhere.
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


def _database_problems() -> list[str]:
    global _is_migrated
    try:
        connection.ensure_connection()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        if not _is_migrated:
            executor = MigrationExecutor(connection)
            _is_migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    except Error:
        return [f"The database {DEFAULT_DB_ALIAS!r} does not answer."]
    return [] if _is_migrated else ["Migrations are missing: run manage.py migrate."]


def _warnings(*, is_database_up: bool) -> list[str]:
    return [*(_database_warnings() if is_database_up else ()), *_redis_warnings()]


def _database_warnings() -> list[str]:
    try:
        found = lookout.health()
        skew = abs((claim.moment() - datetime.now(UTC)).total_seconds())
    except Error:
        return ["The database stopped answering."]
    warnings = [f"The clock of {name} is wrong: run an NTP client there." for name in found.skewed]
    if skew > MAX_SKEW_SECONDS:
        warnings.append(
            f"The clocks of this machine and of PostgreSQL differ by {skew:.1f} s: run an NTP client."
        )
    if found.sweep_age is None or found.sweep_age > SWEEP_LATE * settings.SWEEP_SECONDS:
        warnings.append("Nobody has swept lately: start beat and workers.")
    return warnings


def _redis_warnings() -> list[str]:
    client = redis.Redis.from_url(
        settings.REDIS_CLIENT_URL, socket_timeout=REDIS_TIMEOUT, socket_connect_timeout=REDIS_TIMEOUT
    )
    try:
        client.ping()
    except redis.RedisError:
        return ["Redis does not answer: new work is found by the sweeper only."]
    finally:
        client.close()
    return []
