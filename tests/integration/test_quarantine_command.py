"""manage.py quarantine: for the night, without a browser."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from automation.models import AuditEntry, QuarantinedEvent, QueuedEvent
from automation.pipeline import quarantine
from tests.factories import decide_all, incoming, make_trigger, outcomes, send

pytestmark = pytest.mark.django_db(transaction=True)


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("quarantine", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def held() -> list[int]:
    """Three events in quarantine: two with one error, one with another."""
    make_trigger("seen")
    ids = [event.event_id for event in send(*(incoming(customer_id=f"c{n}") for n in range(3)))]
    for event_id, error in zip(ids, ("KeyError", "KeyError", "WorkerLost"), strict=True):
        with transaction.atomic():
            quarantine.hold(event_id, error, f"Traceback …\n{error}: at {event_id}")
    return ids


def test_it_lists_by_error_with_an_example_and_its_end(held: list[int]) -> None:
    """R-021: what is held, why, and what to type next."""
    said = run()
    assert "2  KeyError" in said
    assert "1  WorkerLost" in said
    assert f"KeyError: at {held[1]}" in said
    assert "manage.py quarantine --replay" in said
    assert [(g["error_class"], g["events"]) for g in json.loads(run("--json"))] == [
        ("KeyError", 2),
        ("WorkerLost", 1),
    ]


def test_replaying_is_idempotent_and_leaves_an_entry(held: list[int]) -> None:
    """R-021, R-051: replay puts them back once; the trigger decides each once."""
    assert "2 of 2 put back" in run("--replay", "--error", "KeyError")
    assert QueuedEvent.objects.count() == 2
    with pytest.raises(CommandError, match="Nothing is held that matches"):
        run("--replay", "--error", "KeyError")
    decide_all()
    assert len(outcomes()) == 2
    entry = AuditEntry.objects.get(action="quarantine.replayed")
    assert entry.details["event_ids"] == held[:2]


def test_discarding_needs_a_note_and_keeps_it(held: list[int]) -> None:
    assert "1 of 1 given up" in run("--discard", "a test shop's", "--event", str(held[2]))
    row = QuarantinedEvent.objects.get(event_id=held[2])
    assert (row.state, row.note) == ("discarded", "a test shop's")
    assert run().count("WorkerLost") == 0
