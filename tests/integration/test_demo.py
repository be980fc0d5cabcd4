"""`manage.py demo` and `seed_demo`, for real and small."""

from __future__ import annotations

import email
import email.policy
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from email.message import EmailMessage
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from automation.engine.types import Reason
from automation.models import Event, QueuedEvent, Template, Trigger
from config.embedded import PROJECT, paths
from config.servers import Servers, keeper_lives
from profiles.models import AddressSuppression, Profile


def demo(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROJECT / "manage.py"), "demo", f"--folder={folder}", *arguments]
    return subprocess.run(command, cwd=PROJECT, env=os.environ, capture_output=True, text=True, timeout=170)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="beckon-demo-"))
    yield made
    for one in {made, paths(made).run}:
        shutil.rmtree(one, ignore_errors=True)


@pytest.fixture(scope="module")
def done(folder: Path) -> subprocess.CompletedProcess[str]:
    """One small run, looked at by several tests."""
    return demo("--once", "--json", "--customers=60", "--events=500", "--port=8300", folder=folder)


def messages(folder: Path) -> list[EmailMessage]:
    files = sorted((folder / "mail").glob("*.eml"))
    return [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files]  # type: ignore[misc]


@pytest.mark.timeout(180)
def test_every_accepted_event_is_decided_and_every_mail_arrives(
    done: subprocess.CompletedProcess[str], folder: Path
) -> None:
    """S-010: the main job, end to end, over HTTP, with workers, beat and a local SMTP server."""
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["problems"] == []
    assert result["events_accepted"] == result["events_processed"] > 500
    assert result["executions"]["failed"] == result["deliveries"]["failed"] == 0
    assert result["deliveries"]["uncertain"] == 0
    ledger = (folder / "mail" / "ledger.jsonl").read_text().splitlines()
    assert len(ledger) == result["smtp_received"] == result["deliveries"]["sent"] > 10
    assert sum(result["suppressed_by_reason"].values()) == result["executions"]["suppressed"] > 0
    assert result["suppressed_by_reason"].keys() <= {reason.value for reason in Reason}
    assert result["lanes"].keys() == {"critical", "high", "medium", "low"}
    assert result["invariants"]["broken"] == []
    assert result["invariants"]["checked"] > 10


@pytest.mark.timeout(180)
def test_the_example_of_the_article_sends_one_mail_with_the_right_fields(
    done: subprocess.CompletedProcess[str], folder: Path
) -> None:
    """S-188: accepted word for word, decided, sent; event id and customer are not mixed up."""
    (execution,) = json.loads(done.stdout)["article_example"]
    assert (execution["trigger"], execution["status"]) == ("Cart recovery", "triggered")
    assert execution["actions"] == 1
    (mail,) = [m for m in messages(folder) if m["To"] == "sam.taylor@example.com"]
    assert mail["Subject"] == "Your cart is waiting, Sam"
    assert mail["X-Beckon-Event"] == str(execution["event_id"])
    assert mail["X-Beckon-Trigger"] == "cart_recovery"
    body = mail.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    for words in (
        "Wireless Headphones: 99.99 €",
        "Together 124.98 €",
        "https://example.com/cart/recover/abc123",
    ):
        assert words in text


@pytest.mark.timeout(180)
def test_no_message_is_sent_twice(done: subprocess.CompletedProcess[str], folder: Path) -> None:
    assert done.returncode == 0
    ledger = [json.loads(line) for line in (folder / "mail" / "ledger.jsonl").read_text().splitlines()]
    assert len({line["message_id"] for line in ledger}) == len(ledger)


@pytest.mark.timeout(180)
def test_its_progress_is_plain_lines_and_nothing_is_left_running(
    done: subprocess.CompletedProcess[str], folder: Path
) -> None:
    assert "✓ web, two workers, beat, local SMTP server" in done.stderr
    assert all(character.isprintable() or character == "\n" for character in done.stderr)
    assert not keeper_lives(paths(folder))


def test_a_folder_with_somebody_elses_database_is_left_alone() -> None:
    folder = Path(tempfile.mkdtemp(prefix="beckon-theirs-"))
    precious = folder / "postgres" / "precious"
    precious.parent.mkdir()
    precious.write_text("data")
    try:
        refused = demo("--once", folder=folder)
        assert refused.returncode == 1
        assert "is not the demo's" in refused.stderr
        assert precious.read_text() == "data"
    finally:
        shutil.rmtree(folder)


def test_a_folder_whose_servers_run_is_left_alone(servers: Servers | None) -> None:
    if servers is None:
        pytest.skip("the servers of this run are not embedded ones")
    refused = demo("--once", folder=servers.paths.base)
    assert refused.returncode == 1
    assert "already" in refused.stderr
    assert servers.pids()


@pytest.mark.django_db
class TestSeedDemo:
    """The data alone."""

    def load(self, **options: object) -> dict[str, object]:
        out = StringIO()
        call_command("seed_demo", customers=45, events=150, quiet=True, json=True, stdout=out, **options)
        found: dict[str, object] = json.loads(out.getvalue())
        return found

    def test_recipes_go_into_shadow_and_events_wait_to_be_decided(self) -> None:
        found = self.load()
        assert found["new_events"] == found["events"] == Event.objects.count() == QueuedEvent.objects.count()
        assert Profile.objects.count() == 45
        assert set(Trigger.objects.values_list("mode", flat=True)) == {"shadow"}
        assert Trigger.objects.count() == Template.objects.count() == 10
        assert AddressSuppression.objects.count() == 1

    def test_a_dry_run_changes_nothing(self) -> None:
        found = self.load(dry_run=True)
        assert (found["customers"], found["recipes"], found["new_events"]) == (45, 10, 0)
        assert not Event.objects.exists()
        assert not Trigger.objects.exists()

    def test_a_second_time_renews_the_recipes_and_adds_no_version(self) -> None:
        self.load()
        self.load(mode="draft")
        assert set(Trigger.objects.values_list("mode", flat=True)) == {"draft"}
        assert [trigger.versions.count() for trigger in Trigger.objects.all()] == [1] * 10
