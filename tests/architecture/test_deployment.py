"""docker-compose.yml, Dockerfile, Makefile and .ci/run say what reliability.md section 3 asks for."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest
import yaml

from config import settings
from tests.architecture.project import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("migrate", "web", "worker-critical", "worker", "beat", "flower")
RUNNING = ("postgres", "redis", "web", "worker-critical", "worker", "beat")
LANES = {"critical", "high", "medium", "low"}


def option(service: str, flag: str) -> str:
    """Value of `--flag=value` in a service's command."""
    return next(
        part.partition("=")[2] for part in SERVICES[service]["command"] if part.startswith(f"{flag}=")
    )


def test_the_services_are_the_ones_of_the_design() -> None:
    """S-009: web, workers, clock, database and broker, each a service of its own."""
    assert set(SERVICES) == {"postgres", "redis", *OURS}


@pytest.mark.parametrize("service", OURS)
def test_our_containers_are_locked_down(service: str) -> None:
    """Not root, a read-only file system, no capabilities."""
    found = SERVICES[service]
    assert found["user"] == "10001:10001"
    assert found["read_only"] is True
    assert found["tmpfs"] == ["/tmp"]
    assert found["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in found["security_opt"]


@pytest.mark.parametrize("service", RUNNING)
def test_what_runs_restarts_has_a_health_check_and_time_to_stop(service: str) -> None:
    """S-009: health checks and a graceful stop."""
    found = SERVICES[service]
    assert found["restart"] == "always"
    assert found["stop_grace_period"] == "60s"
    assert found["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


def test_migrations_run_once_before_everything_else() -> None:
    assert SERVICES["migrate"]["restart"] == "no"
    assert SERVICES["migrate"]["command"] == ["python", "manage.py", "migrate", "--no-input"]
    for service in ("web", "worker-critical", "worker", "beat"):
        assert SERVICES[service]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_one_worker_is_reserved_for_the_urgent_lanes_and_all_lanes_are_served() -> None:
    assert option("worker-critical", "--queues") == "critical,high"
    assert set(option("worker", "--queues").split(",")) == LANES | {"periodic"}
    for service in ("worker-critical", "worker"):
        watched = SERVICES[service]["healthcheck"]["test"][-1].partition("=")[2]
        assert set(watched.split(",")) == set(option(service, "--queues").split(",")) - {"periodic"}


def test_the_clock_keeps_its_entries_in_the_database() -> None:
    assert option("beat", "--scheduler") == "django_celery_beat.schedulers:DatabaseScheduler"


@pytest.mark.parametrize("service", ["postgres", "redis"])
def test_the_stores_are_not_published_and_keep_their_data(service: str) -> None:
    assert "ports" not in SERVICES[service]
    assert SERVICES[service]["volumes"][0].startswith(f"{service}:/")
    assert service in COMPOSE["volumes"]


@pytest.mark.parametrize(
    ("service", "words"),
    [
        ("postgres", ["synchronous_commit=on", "fsync=on"]),
        (
            "redis",
            ["--appendonly yes", "--appendfsync everysec", "--maxmemory-policy noeviction", "--requirepass"],
        ),
    ],
)
def test_the_stores_are_set_to_lose_nothing(service: str, words: list[str]) -> None:
    for word in words:
        assert word in SERVICES[service]["command"]


@pytest.mark.parametrize("service", ["web", "flower"])
def test_only_this_machine_reaches_a_published_port(service: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[service]["ports"])


def test_flower_starts_only_when_asked_for() -> None:
    assert SERVICES["flower"]["profiles"] == ["flower"]
    assert [name for name, found in SERVICES.items() if "profiles" in found] == ["flower"]


def test_every_variable_given_to_beckon_is_a_declared_setting() -> None:
    declared = {entry.name for entry in settings.DECLARED}
    assert set(COMPOSE["x-beckon"]["environment"]) <= declared


def test_no_secret_has_a_default() -> None:
    """R-054: secrets come from the environment only, and a missing one stops the start."""
    text = (ROOT / "docker-compose.yml").read_text()
    for name in ("SECRET_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD"):
        uses = re.findall(rf"\$\{{{name}(:.)?", text)
        assert ":?" in uses
        assert ":-" not in uses


def test_the_image_runs_as_nobody_and_holds_only_the_product() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert dockerfile.count("\nFROM ") + dockerfile.startswith("FROM ") >= 2
    assert dockerfile.split("FROM app AS flower")[0].rstrip().count("USER 10001:10001") == 1
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    assert {line for line in ignored if line.startswith("!")} == {
        "!analytics",
        "!automation",
        "!config",
        "!profiles",
        "!manage.py",
        "!requirements.lock",
    }


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt"])
def test_every_package_is_pinned_exactly(file: str) -> None:
    lines = [line.partition("#")[0].strip() for line in (ROOT / file).read_text().splitlines()]
    loose = [line for line in lines if line and not line.startswith(("-", "--hash")) and "==" not in line]
    assert loose == []


def test_the_gate_is_one_script_that_checks_and_tests() -> None:
    gate = ROOT / ".ci" / "run"
    assert os.access(gate, os.X_OK)
    text = gate.read_text()
    assert "set -euo pipefail" in text
    assert re.findall(r"^make (\w+)$", text, re.MULTILINE) == ["setup", "check", "test"]


@pytest.mark.parametrize("target", ["setup", "demo", "test", "check", "bench", "up"])
def test_the_makefile_has_the_documented_targets(target: str) -> None:
    """S-010: `make demo` and `make test` are the two commands of the README."""
    assert re.search(rf"^{target}:.* ##", (ROOT / "Makefile").read_text(), re.MULTILINE)
