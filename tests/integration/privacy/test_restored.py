"""A restored backup brings erased people back; the list of tombstones makes them forgotten again."""

from __future__ import annotations

from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from automation.privacy import Who, erase
from profiles.models import Erasure, Profile, Tombstone
from tests.factories import decide_all, incoming, known, send

pytestmark = pytest.mark.django_db(transaction=True)


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("tombstones", *arguments, stdout=out)
    return out.getvalue()


def test_people_erased_since_the_backup_are_erased_again(tmp_path: Path) -> None:
    """R-052: also names that the backup does not know keep their tombstone."""
    for who in ("alice", "bob", "carol"):
        erase(Who(customer_id=who), by="test", now=datetime.now(UTC))
    kept = tmp_path / "tombstones"
    kept.write_text(run())
    assert len(kept.read_text().split()) == 3
    assert "alice" not in kept.read_text()
    Tombstone.objects.all().delete()  # The backup is older than the erasures …
    Erasure.objects.all().delete()
    send(*known("alice"), *known("dave"))  # … and knows Alice.
    decide_all()

    assert "1 people erased again, 2 tombstones put back" in run("--apply", str(kept))
    assert not Profile.objects.filter(email="alice@example.com").exists()
    assert Profile.objects.filter(email="dave@example.com").exists()
    assert set(run().split()) == set(kept.read_text().split())
    send(incoming(customer_id="bob"), incoming(customer_id="alice"))
    assert not Profile.objects.filter(customer_id__in=["alice", "bob"]).exists()
    assert "0 people erased again, 0 tombstones put back" in run("--apply", str(kept))


def test_a_list_that_is_none_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.write_text("alice@example.com\n")
    with pytest.raises(CommandError, match="Line 1 is no tombstone"):
        run("--apply", str(file))
    with pytest.raises(CommandError, match="cannot be read"):
        run("--apply", str(tmp_path / "missing"))
