"""`backtest` and `replay_events`: the same numbers in a terminal; nothing is sent or written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from automation import backtest
from automation.engine.types import Mode
from automation.engine.validate import validate_definition
from automation.models import Delivery, Execution, QueuedEvent, Trigger
from tests.factories import EMAIL, decide_all, incoming, known, make_trigger, send

pytestmark = pytest.mark.django_db(transaction=True)

ROW = {"field": "total_value", "operator": "greater_than", "value": 50}
CART = {"type": "event_match", "event_type": "cart_abandonment", "data_conditions": [ROW]}


def run(*args: str) -> str:
    """What the command prints."""
    out = StringIO()
    call_command(*args, stdout=out)
    return out.getvalue()


@pytest.fixture
def trigger() -> Trigger:
    """In shadow, with three carts: one fires, one is capped, one is too small."""
    made = make_trigger("cart", name="Cart", conditions=[CART], actions=[EMAIL], mode=Mode.SHADOW)
    send(*known())
    for value in (80, 20, 90):
        send(incoming("cart_abandonment", data={"total_value": value}))
    decide_all()
    return made


def document(trigger: Trigger, path: Path, **more: Any) -> str:
    """A file with the document of a trigger."""
    path.write_text(json.dumps(trigger.document() | more))
    return str(path)


def test_backtest_prints_the_numbers_of_the_preview(trigger: Trigger) -> None:
    """Sentence, fired, held back in words, the funnel; and the same for machines."""
    definition, _ = validate_definition(trigger.document())
    assert definition is not None
    said = run("backtest", "cart", "--days", "3")
    assert "When cart abandonment happens where total value is more than 50" in said
    assert "fired                1  for 1 customers" in said
    assert "1  They have had enough messages for now." in said
    assert "        3         2  cart abandonment happens where total value is more than 50" in said
    answer = json.loads(run("backtest", "cart", "--json"))
    found = backtest.run(definition, now=datetime.now(UTC), trigger_id=trigger.pk)
    same = ("days", "fired", "customers", "held_back", "events", "sampled", "approximate")
    assert {key: answer["backtest"][key] for key in same} == {key: found.document()[key] for key in same}


def test_backtest_takes_a_file(trigger: Trigger, tmp_path: Path) -> None:
    """A document that is not stored; what does not validate is named by its pointer."""
    small = CART | {"data_conditions": [{**ROW, "operator": "less_than"}]}
    path = document(trigger, tmp_path / "small.json", conditions=[small])
    assert json.loads(run("backtest", path, "--json"))["backtest"]["fired"] == 1
    path = document(trigger, tmp_path / "wrong.json", conditions=[{"type": "nonsense"}])
    with pytest.raises(CommandError, match="/conditions/0") as failed:
        run("backtest", path)
    assert failed.value.returncode == 1


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("backtest", "nothing"), 1, "no trigger with the key 'nothing'"),
        (("backtest", "cart", "--days", "0"), 2, "--days"),
        (("replay_events", "--from", "2025-01-01", "--to", "2025-01-02"), 2, "--shadow"),
        (("replay_events", "--from", "soon", "--to", "2025-01-02", "--shadow"), 2, "--from"),
        (("replay_events", "--from", "2025-01-02", "--to", "2025-01-01", "--shadow"), 2, "--to"),
        (
            ("replay_events", "--from", "2025-01-01", "--to", "2025-01-02", "--shadow", "--trigger", "x"),
            1,
            "'x'",
        ),
    ],
)
def test_wrong_use_and_failure_have_their_exit_codes(args: tuple[str, ...], code: int, said: str) -> None:
    """2 for wrong use, 1 for what failed."""
    make_trigger("cart")
    with pytest.raises(CommandError, match=said) as failed:
        run(*args)
    assert failed.value.returncode == code


def test_replay_judges_again_and_does_nothing(trigger: Trigger) -> None:
    """What the triggers of today make of stored events, beside what really came of them."""
    counts = Execution.objects.count(), Delivery.objects.count(), QueuedEvent.objects.count()
    since, until = datetime.now(UTC) - timedelta(hours=2), datetime.now(UTC)
    args = ("replay_events", "--from", since.isoformat(), "--to", until.isoformat(), "--shadow")
    (row,) = json.loads(run(*args, "--json"))["triggers"]
    assert row == {
        "trigger": "cart",
        "mode": "shadow",
        "version": 1,
        "events": 3,
        "fired": 1,
        "held_back": {"frequency_cap": 1},
        "waiting": 0,
        "not_met": 1,
        "really_fired": 0,
    }
    assert "cart (shadow)" in run(*args)
    assert (Execution.objects.count(), Delivery.objects.count(), QueuedEvent.objects.count()) == counts
