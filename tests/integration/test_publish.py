"""Publishing: versions, modes, and what is refused."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections

from automation.engine.types import Mode
from automation.models import Epoch, Template, Trigger, TriggerVersion
from automation.pipeline import index
from automation.pipeline.publish import ArchivedError, Invalid, check, publish, set_mode
from profiles.models import Segment

pytestmark = pytest.mark.django_db

ON_CART = {"type": "event_match", "event_type": "cart_abandonment"}
TO_SEGMENT = {"type": "add_to_segment", "segment": "seen"}


def draft(**fields: Any) -> Trigger:
    """A trigger that was never stored."""
    return Trigger(
        **{"key": "cart", "name": "Cart", "conditions": [ON_CART], "actions": [TO_SEGMENT]} | fields
    )


def row(value: float) -> dict[str, Any]:
    """An event_match with one row."""
    return ON_CART | {
        "data_conditions": [{"field": "total_value", "operator": "greater_than", "value": value}]
    }


def test_the_first_publication_is_version_one() -> None:
    """S-079, S-080."""
    trigger, by = draft(), User.objects.create(username="ann")
    version = publish(trigger, by=by, mode=Mode.LIVE)
    assert (version.number, version.changes) == (1, "First version.\nsegment seen was created")
    assert version.published_by == by
    assert (trigger.mode, trigger.current_version, trigger.created_by) == ("live", version, by)
    assert version.definition == trigger.document()


def test_publishing_the_same_document_makes_no_version() -> None:
    """S-080: the mode changes, the version stays."""
    trigger = draft()
    first = publish(trigger, by=None, mode=Mode.SHADOW)
    assert publish(trigger, by=None, mode=Mode.LIVE) == first
    assert TriggerVersion.objects.count() == 1
    assert Trigger.objects.get().mode == "live"


def test_a_change_is_told_in_words() -> None:
    """S-080: the diff names fields by their labels and conditions by their sentences."""
    trigger = draft(conditions=[row(50)], cooldown_minutes=60)
    publish(trigger, by=None, mode=Mode.LIVE)
    trigger.conditions = [
        row(100),
        {"type": "customer_attribute", "attribute": "orders_count", "operator": "greater_than", "value": 2},
    ]
    trigger.cooldown_minutes = None
    trigger.priority = 1
    trigger.save()
    version = publish(trigger, by=None)
    assert version.number == 2
    assert version.changes.splitlines() == [
        "priority: medium → critical",
        "minutes of rest per customer: 60 → none",
        "condition: cart abandonment happens where total value is more than 50"
        " → cart abandonment happens where total value is more than 100",
        "condition added: orders count is more than 2",
    ]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"conditions": []}, "/conditions"),
        ({"conditions": [{"type": "no_such_type"}]}, "/conditions/0"),
        (
            {
                "conditions": [
                    ON_CART | {"data_conditions": [{"field": "a", "operator": "is_like", "value": 1}]}
                ]
            },
            "/conditions/0/data_conditions/0/operator",
        ),
        ({"conditions": [ON_CART | {"colour": "red"}]}, "/conditions/0/colour"),
        ({"actions": []}, "/actions"),
        ({"actions": [{"type": "fly"}]}, "/actions/0/type"),
        ({"actions": [{"type": "send_email", "template_id": "nowhere"}]}, "/actions/0/template_id"),
        (
            {"actions": [TO_SEGMENT, {"type": "send_email", "template_id": "hidden"}]},
            "/actions/1/template_id",
        ),
    ],
)
def test_what_the_engine_could_not_carry_out_is_refused(fields: dict[str, Any], pointer: str) -> None:
    """H-032, H-033, H-034, S-152, S-153: with a pointer to the place; nothing is stored."""
    Template.objects.create(key="hidden", name="Hidden", subject="s", is_published=False)
    with pytest.raises(Invalid) as refused:
        publish(draft(**fields), by=None, mode=Mode.LIVE)
    assert pointer in refused.value.problems
    assert refused.value.problems[pointer].message
    assert not Trigger.objects.exists()
    assert not TriggerVersion.objects.exists()
    assert not Segment.objects.exists()


def test_a_stored_trigger_that_became_invalid_keeps_its_version() -> None:
    """S-097: what was live stays live, untouched."""
    trigger = draft()
    version = publish(trigger, by=None, mode=Mode.LIVE)
    Trigger.objects.update(actions=[])
    with pytest.raises(Invalid):
        publish(trigger, by=None, mode=Mode.SHADOW)
    stored = Trigger.objects.get()
    assert (stored.mode, stored.current_version) == ("live", version)


def test_all_problems_are_told_at_once() -> None:
    """Conditions and actions are both judged."""
    document = draft(conditions=[{"type": "nope"}], actions=[{"type": "fly"}]).document()
    assert {"/conditions/0", "/actions/0/type"} <= check(document).keys()


def test_a_pause_needs_no_valid_document_and_reaches_the_engine() -> None:
    """S-079, H-057: the kill switch; the index of a running process follows the epoch."""
    trigger = draft()
    publish(trigger, by=None, mode=Mode.LIVE)
    index.forget()
    assert list(index.current().by_id) == [trigger.pk]
    before = Epoch.objects.get().value
    Trigger.objects.update(conditions=[])
    assert set_mode(trigger.pk, Mode.PAUSED, by=None, reason="Too loud.")
    assert Epoch.objects.get().value > before
    assert list(index.current().by_id) == []
    stored = Trigger.objects.get()
    assert (stored.mode, stored.pause_reason) == ("paused", "Too loud.")
    assert not set_mode(trigger.pk, Mode.PAUSED, by=None)


def test_going_live_clears_the_reason_of_a_pause() -> None:
    """S-079."""
    trigger = draft()
    publish(trigger, by=None, mode=Mode.LIVE)
    set_mode(trigger.pk, Mode.PAUSED, by=None, reason="Too loud.")
    publish(trigger, by=None, mode=Mode.LIVE)
    assert (trigger.mode, trigger.pause_reason) == ("live", "")


def test_an_archived_trigger_stays_as_it_is_until_it_is_a_draft_again() -> None:
    """S-079: by every way, also in a race with the page that shows it."""
    trigger = draft()
    publish(trigger, by=None, mode=Mode.LIVE)
    assert set_mode(trigger.pk, Mode.ARCHIVED, by=None)
    for mode in (Mode.LIVE, Mode.SHADOW, None):
        with pytest.raises(ArchivedError):
            publish(trigger, by=None, mode=mode)
    with pytest.raises(ArchivedError):
        set_mode(trigger.pk, Mode.PAUSED, by=None)
    assert Trigger.objects.get().mode == "archived"
    assert set_mode(trigger.pk, Mode.DRAFT, by=None)
    publish(trigger, by=None, mode=Mode.LIVE)


@pytest.mark.parametrize("mode", [Mode.LIVE, Mode.SHADOW])
def test_a_trigger_goes_live_only_by_publishing(mode: Mode) -> None:
    """S-079: an unchecked document never reaches the engine."""
    trigger = draft()
    trigger.save()
    with pytest.raises(ValueError, match="publish"):
        set_mode(trigger.pk, mode, by=None)
    assert Trigger.objects.get().mode == "draft"


@pytest.mark.django_db(transaction=True)
def test_two_publications_at_once_get_two_numbers() -> None:
    """S-080: they wait for one another under the row's lock."""
    trigger = draft()
    publish(trigger, by=None, mode=Mode.LIVE)
    errors: list[BaseException] = []

    def change(name: str) -> None:
        try:
            Trigger.objects.filter(pk=trigger.pk).update(description=name)
            publish(Trigger.objects.get(pk=trigger.pk), by=None)
        except BaseException as error:  # noqa: BLE001 — a thread's failure is the test's.
            errors.append(error)
        finally:
            connections[connection.alias].close()

    threads = [threading.Thread(target=change, args=(f"take {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    numbers = list(TriggerVersion.objects.order_by("number").values_list("number", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))
    newest = TriggerVersion.objects.get(number=numbers[-1])
    stored = Trigger.objects.get()
    assert stored.current_version == newest
    assert newest.definition == stored.document()
