"""Why, and why not: stored decisions as they were made, everything else judged again by the same engine."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from automation.engine.types import Mode, Priority
from automation.explain import NothingFoundError, explain
from automation.models import Delivery, Event, Execution, MissSample, Tally, Trigger
from automation.pipeline import publish
from automation.pipeline.deliver import deliver_batch
from tests.factories import EMAIL, decide_all, incoming, known, make_trigger, send

pytestmark = pytest.mark.django_db(transaction=True)

ROW = {"field": "total_value", "operator": "greater_than", "value": 50}
CART = {"type": "event_match", "event_type": "cart_abandonment", "data_conditions": [ROW]}
LOYAL = {
    "type": "customer_attribute",
    "attribute": "orders_count",
    "operator": "greater_than_or_equal",
    "value": 1,
}


@pytest.fixture
def trigger() -> Trigger:
    """Answers carts above 50 of customers who bought before."""
    return make_trigger("cart", name="Cart recovery", conditions=[CART, LOYAL], actions=[EMAIL])


def text(*args: str) -> str:
    """What the command prints."""
    out = StringIO()
    call_command("explain", *args, stdout=out)
    return out.getvalue()


def cart(value: Any, customer: str = "alice") -> None:
    """An abandoned cart, decided."""
    send(incoming("cart_abandonment", customer, data={"total_value": value}))
    decide_all()


def test_a_fired_trigger_shows_its_stored_trace_and_its_actions(trigger: Trigger) -> None:
    """S-085, S-083: every condition with what it saw, then what was sent."""
    send(*known(), incoming("purchase_completed", data={"total": 10}))
    decide_all()
    cart(73.91)
    while any(deliver_batch(lane.lane, worker="test", limit=50) for lane in Priority):
        pass
    (one,) = explain("alice", "cart")[:1]
    assert (one.outcome, one.is_stored, one.version) == ("fired", True, 1)
    assert [(line.depth, line.text, line.result, line.seen) for line in one.conditions] == [
        (0, "cart abandonment happens where total value is more than 50", "met", "cart abandonment"),
        (1, "the event is cart abandonment", "met", "cart abandonment"),
        (1, "total value is more than 50", "met", "73.91"),
        (0, "orders count is at least 1", "met", "1"),
    ]
    assert [(action.type, action.status) for action in one.actions] == [("send_email", "sent")]
    said = text("alice", "cart")
    assert "FIRED: It fired." in said
    assert "✓ passed" in said
    assert "send_email by email: sent, 1 try" in said


def test_a_held_back_trigger_says_why_and_until_when(trigger: Trigger) -> None:
    """H-023, S-084: the guard rail that was decisive, with the moment it ends."""
    send(*known(), incoming("purchase_completed", data={"total": 10}))
    decide_all()
    cart(100)
    cart(200)
    (one,) = explain("alice", "cart")
    assert (one.outcome, one.guards[0].code) == ("held back", "frequency_cap")
    assert one.guards[0].until is not None
    assert one.summary == "They have had enough messages for now."
    said = text("alice", "cart")
    assert "HELD BACK: They have had enough messages for now." in said
    assert f"frequency_cap until {one.guards[0].until:%Y-%m-%d %H:%M} UTC" in said


@pytest.mark.parametrize(
    ("bought", "value", "outcome", "stop", "saw"),
    [
        (True, 12, "not met", "total value is more than 50", "12"),
        (False, 99, "not met", "orders count is at least 1", "0"),
    ],
)
def test_a_trigger_that_did_not_match_is_judged_again(
    trigger: Trigger, bought: bool, value: float, outcome: str, stop: str, saw: str
) -> None:
    """S-097: the first condition that failed and what it saw, from the stored events; nothing is written."""
    send(*known())
    if bought:
        send(incoming("purchase_completed", data={"total": 10}))
    decide_all()
    cart(value)
    before = (
        Execution.objects.count(),
        Tally.objects.count(),
        MissSample.objects.count(),
        Delivery.objects.count(),
    )
    (one,) = explain("alice", "cart")
    assert (one.outcome, one.is_stored) == (outcome, False)
    stopped = next(line for line in one.conditions if line.is_stop)
    assert (stopped.text, stopped.seen) == (stop, saw)
    assert f"Stopped at: {stop} (it saw {saw})." == one.summary
    after = (
        Execution.objects.count(),
        Tally.objects.count(),
        MissSample.objects.count(),
        Delivery.objects.count(),
    )
    assert after == before


def test_the_profile_is_that_of_the_events_moment(trigger: Trigger) -> None:
    """S-097: what the customer bought afterwards does not change the answer."""
    send(*known())
    decide_all()
    cart(99)
    send(incoming("purchase_completed", data={"total": 10}))
    decide_all()
    (one,) = explain("alice", "cart")
    assert one.outcome == "not met"
    assert next(line for line in one.conditions if line.is_stop).seen == "0"


def test_the_event_itself_is_applied_exactly_once() -> None:
    """S-097: the condition sees the profile just after the event, as it did when it was decided."""
    first = {"type": "customer_attribute", "attribute": "orders_count", "operator": "equals", "value": 3}
    make_trigger("third", conditions=[{"type": "event_match", "event_type": "purchase_completed"}, first])
    send(*known(), incoming("purchase_completed", data={"total": 10}))
    send(incoming("purchase_completed", data={"total": 20}))
    decide_all()
    (one,) = explain("alice", "third")
    assert next(line for line in one.conditions if line.is_stop).seen == "2"


def test_what_could_not_be_checked_is_no_plain_no(trigger: Trigger) -> None:
    """S-097: broken has its own sign."""
    send(*known(), incoming("purchase_completed", data={"total": 10}))
    decide_all()
    cart(["a", "list"])
    (one,) = explain("alice", "cart")
    assert {line.result for line in one.conditions} >= {"broken"}
    assert "⚠" in text("alice", "cart")


def test_an_event_is_explained_for_every_trigger_that_listens(trigger: Trigger) -> None:
    """S-085: by id and by name; triggers on other events are left out."""
    make_trigger("shadow", conditions=[CART], mode=Mode.SHADOW)
    make_trigger("other", on="page_view")
    send(*known())
    decide_all()
    cart(99)
    event = Event.objects.get(name="cart_abandonment")
    for about in (str(event.pk), "cart_abandonment"):
        assert {(one.trigger, one.outcome) for one in explain("alice", about)} == {
            ("cart", "not met"), ("shadow", "held back"),
        }  # fmt: skip


def test_a_paused_trigger_says_so(trigger: Trigger) -> None:
    """S-079."""
    send(*known(), incoming("purchase_completed", data={"total": 10}))
    decide_all()
    publish.set_mode(trigger.pk, Mode.PAUSED, by=None)
    cart(99)
    (one,) = explain("alice", "cart")
    assert (one.outcome, one.summary) == ("met", "The conditions are met, but the trigger is paused.")


def test_an_event_that_waits_is_undecided(trigger: Trigger) -> None:
    """S-098."""
    send(*known(), incoming("cart_abandonment", data={"total_value": 1}))
    assert explain("alice", "cart")[0].outcome == "undecided"


@pytest.mark.parametrize(
    ("customer", "about", "said"),
    [
        ("nobody", "cart", "There is no customer 'nobody'."),
        (
            "alice",
            "no_such_thing",
            "There is no trigger 'no_such_thing', and alice has no event of that name.",
        ),
        ("alice", "999999999", "Event 999999999 is not one of alice."),
        ("alice", "cart", "Cart recovery listens to cart_abandonment, and alice has no such event."),
    ],
)
def test_what_is_not_there_is_said_and_exits_with_one(
    trigger: Trigger, customer: str, about: str, said: str
) -> None:
    """S-085."""
    send(*known())
    decide_all()
    with pytest.raises(NothingFoundError, match=r"\w"):
        explain(customer, about)
    with pytest.raises(CommandError) as failed:
        text(customer, about)
    assert (str(failed.value), failed.value.returncode) == (said, 1)


def test_the_wrong_use_exits_with_two() -> None:
    """S-085."""
    with pytest.raises(CommandError, match="required: about"):
        text("alice")


def test_machines_get_json(trigger: Trigger) -> None:
    """S-085: the same as the text says."""
    send(*known())
    decide_all()
    cart(12)
    (one,) = json.loads(text("alice", "cart", "--json"))
    assert (one["trigger"], one["outcome"]) == ("cart", "not met")
    assert [c["verdict"] for c in one["conditions"] if c["is_stop"]] == ["✗ false – stopped here"]
