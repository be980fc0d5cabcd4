"""Doctor, system checks and the settings reference."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.conf import settings as live_settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from automation import checks, doctor
from config.celery import app

WELL = {"database", "migrations", "partitions", "clock", "redis", "broker", "disk"}


def findings() -> dict[str, list[doctor.Finding]]:
    """Findings by examination."""
    found: dict[str, list[doctor.Finding]] = {}
    for finding in doctor.examine():
        found.setdefault(finding.name, []).append(finding)
    return found


@pytest.mark.django_db
def test_a_machine_without_workers_is_told_to_start_them() -> None:
    """S-096: every ✗ carries the exact remedy; what is well carries none."""
    found = findings()
    assert {name for name in WELL if all(one.is_ok for one in found[name])} == WELL
    assert not found["workers"][0].is_ok
    assert found["workers"][0].fix.startswith("celery -A config worker")
    assert found["beat"][0].fix.startswith("celery -A config beat")
    for finding in [one for several in found.values() for one in several]:
        assert finding.is_ok is (finding.fix == "")


@pytest.mark.django_db
@pytest.mark.parametrize(("ago", "is_ok"), [(30, True), (600, False)])
def test_beat_is_well_while_it_asks_for_sweeps(ago: int, is_ok: bool) -> None:
    """S-098."""
    PeriodicTask.objects.filter(task=doctor.SWEEP_TASK).update(
        last_run_at=timezone.now() - timedelta(seconds=ago)
    )
    assert findings()["beat"][0].is_ok is is_ok


@pytest.mark.django_db
def test_without_redis_the_other_examinations_go_on() -> None:
    """S-096: one that fails is a finding."""
    with override_settings(REDIS_CLIENT_URL="redis://127.0.0.1:1/0"):
        found = findings()
    assert {name for name, several in found.items() if not several[0].is_ok} >= {"redis", "broker", "workers"}
    assert found["database"][0].is_ok
    assert found["redis"][0].fix


@pytest.mark.django_db
def test_a_missing_partition_is_found() -> None:
    """S-096."""
    now = timezone.now()
    month = (now.replace(day=1) + timedelta(days=35)).strftime("%Y_%m")
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE automation_event_{month}")
    (finding,) = findings()["partitions"]
    assert (finding.is_ok, finding.saw) == (False, f"missing: automation_event_{month}")


@pytest.mark.django_db
def test_a_weak_key_is_found() -> None:
    """S-096."""
    with override_settings(SECRET_KEY="a" * 60):
        assert not findings()["secret key"][0].is_ok
    with override_settings(SECRET_KEY=secrets.token_urlsafe(50)):
        assert findings()["secret key"][0].is_ok


@pytest.mark.django_db
def test_the_command_exits_with_one_and_speaks_json() -> None:
    """S-096."""
    out = StringIO()
    with pytest.raises(CommandError) as failed:
        call_command("doctor", "--json", stdout=out)
    assert failed.value.returncode == 1
    report = json.loads(out.getvalue())
    assert report["ok"] is False
    assert {one["name"] for one in report["findings"]} >= WELL | {"workers", "beat", "mail", "secret key"}
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("doctor", stdout=out)
    assert "✓ database" in out.getvalue()
    assert "✗ workers" in out.getvalue()


GOOD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.mark.parametrize(
    ("changes", "id"),
    [
        ({"QUIET_START": "25:00"}, "automation.E001"),
        ({"QUIET_END": "soon"}, "automation.E001"),
        ({"DEFAULT_TIME_ZONE": "Mars/Olympus"}, "automation.E002"),
        ({"EMAIL_CAP": 0}, "automation.E003"),
        ({"EMAIL_CAP_HOURS": 0.0}, "automation.E003"),
        ({"LEASE_SECONDS": 90}, "automation.E004"),
        ({"DRAIN_SECONDS": 60.0}, "automation.E005"),
        ({"HOLDOUT_PERCENT": 101.0}, "automation.E006"),
        ({"LOW_ENGAGEMENT": 20.0}, "automation.E006"),
        ({"RETENTION_MONTHS": 0}, "automation.E006"),
        ({"WEBHOOK_SECRET": "secret"}, "automation.E007"),
        ({"WEBHOOK_SECRET": "whsec_short"}, "automation.E007"),
        ({"WEBHOOK_SECRET": "whsec_!!!!"}, "automation.E007"),
        ({"WEBHOOK_SECRET": GOOD_SECRET}, None),
        ({"LEASE_SECONDS": 91, "EMAIL_CAP": 1}, None),
    ],
)
def test_values_that_cannot_work_are_refused(changes: dict[str, Any], id: str | None) -> None:
    """S-086, S-096: with an id and a hint."""
    with override_settings(**changes):
        found = [one for one in checks.check_values(None) if one.id != "automation.W001"]
    assert [one.id for one in found] == ([id] if id else [])
    assert all(one.hint for one in found)


@pytest.mark.parametrize(
    ("changes", "id"),
    [
        ({"FAULT": "after_claim:kill"}, "automation.E101"),
        ({"SECRET_KEY": "insecure-until-the-supervisor-has-written-one"}, "automation.E102"),
        ({"WEBHOOK_ALLOW_LOOPBACK": True}, "automation.E103"),
        ({"ALLOWED_HOSTS": ["*"]}, "automation.E104"),
        ({"DATABASE_URL": ""}, "automation.W101"),
        ({"REDIS_URL": ""}, "automation.W102"),
        ({"EMAIL_URL": ""}, "automation.W103"),
        ({"PUBLIC_URL": "http://example.com"}, "automation.W104"),
        ({}, None),
    ],
)
def test_what_is_for_laptops_is_refused_in_production(changes: dict[str, Any], id: str | None) -> None:
    """S-096."""
    fine = {
        "DATABASE_URL": "postgres://x", "REDIS_URL": "redis://x", "EMAIL_URL": "smtp://x", "FAULT": "",
        "PUBLIC_URL": "https://example.com", "SECRET_KEY": "k" * 50, "WEBHOOK_ALLOW_LOOPBACK": False,
        "ALLOWED_HOSTS": ["example.com"],
    }  # fmt: skip
    with override_settings(**fine | changes):
        found = checks.check_deploy(None)
    assert [one.id for one in found] == ([id] if id else [])
    assert all(one.hint for one in found)


def test_a_misspelt_variable_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """S-096: with the nearest name."""
    monkeypatch.setenv("BECKON_EMIAL_CAP", "3")
    (found,) = [one for one in checks.check_values(None) if "EMIAL" in one.msg]
    assert (found.id, found.hint) == ("automation.W001", "Did you mean BECKON_EMAIL_CAP?")


def test_the_limits_are_those_of_celery() -> None:
    """S-009: a lease outlives the hard limit of a task."""
    assert app.conf.task_soft_time_limit == checks.SOFT_LIMIT_SECONDS
    assert app.conf.task_time_limit == checks.HARD_LIMIT_SECONDS


def production(**changes: str) -> subprocess.CompletedProcess[str]:
    """`check --deploy --fail-level WARNING` as it would run in production."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BECKON_")}
    environ |= {
        "SECRET_KEY": secrets.token_urlsafe(50),
        "DATABASE_URL": "postgres://beckon:x@db.example.com/beckon",
        "REDIS_URL": "redis://redis.example.com:6379/0",
        "EMAIL_URL": "smtp+tls://user:password@smtp.example.com:587",
        "PUBLIC_URL": "https://beckon.example.com",
        "ALLOWED_HOSTS": "beckon.example.com",
    } | changes
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=live_settings.BASE_DIR, env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_production_environment_passes_the_deploy_checks() -> None:
    """S-096: without a warning."""
    done = production()
    assert done.returncode == 0, done.stderr


def test_armed_faults_fail_the_deploy_checks() -> None:
    """S-096."""
    done = production(BECKON_FAULT="after_claim:kill@0.1")
    assert done.returncode == 1
    assert "automation.E101" in done.stderr


def test_the_settings_reference_is_fresh() -> None:
    """S-010: .env.example and the reference page are generated; after a change run settings_reference."""
    call_command("settings_reference", "--check", stdout=StringIO())


def test_a_stale_reference_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """S-010."""
    more = [*live_settings.DECLARED, live_settings.DECLARED[0]._replace(name="BECKON_NEW")]
    with override_settings(DECLARED=more), pytest.raises(CommandError, match=r"Stale: \.env\.example"):
        call_command("settings_reference", "--check", stdout=StringIO())
