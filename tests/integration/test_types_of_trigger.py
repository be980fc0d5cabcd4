"""What enters triggers of each type, through the real pipeline: an event, a milestone, a date, a score."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from automation.models import Execution, TriggerVersion
from automation.pipeline import index
from automation.recipes import recipe
from tests.factories import decide_all, incoming, make_template, make_trigger, outcomes, send

pytestmark = pytest.mark.django_db(transaction=True)

CART = {"type": "event_match", "event_type": "cart_abandonment"}


def order(number: int) -> Any:
    """Alice's order of this number."""
    return incoming("purchase_completed", data={"order_id": f"o{number}", "total": 20, "currency": "EUR"})


def test_a_lifecycle_trigger_is_entered_at_a_milestone() -> None:
    """S-051: the recipe, at the third order and at no other of the first four."""
    document = recipe("milestone").trigger
    assert document["type"] == "lifecycle"
    make_template("milestone")
    trigger = make_trigger(
        conditions=document["conditions"], actions=document["actions"][:1], type="lifecycle"
    )
    for number in range(1, 5):
        send(order(number))
        decide_all()
        assert len(outcomes(trigger)) == (number >= 3)


@pytest.mark.parametrize(("days", "is_entered"), [(0, True), (1, False), (-1, False)])
def test_a_lifecycle_trigger_is_entered_at_a_date(days: int, is_entered: bool) -> None:
    """S-051: the anniversary of a day the customer told, looked at when an event arrives."""
    today = datetime.now(UTC).date()
    year = 1988 if (today.month, today.day) != (2, 29) else 1984
    born = date(year, today.month, today.day) + timedelta(days=days)
    anniversary = {"type": "date", "attribute": "traits.birthday", "comparison": "anniversary"}
    trigger = make_trigger(
        conditions=[{"type": "event_match", "event_type": "page_view"}, anniversary], type="lifecycle"
    )
    send(incoming("identify", data={"traits": {"birthday": born.isoformat(), "time_zone": "UTC"}}))
    send(incoming("page_view"))
    decide_all()
    assert outcomes(trigger) == ([("pending", "")] if is_entered else [])


def test_a_predictive_trigger_is_entered_where_the_score_crosses_the_line() -> None:
    """S-053: by the engagement that the pipeline keeps. Not above the line, but where it is crossed, and again."""
    crossing = {"type": "score", "score": "engagement", "comparison": "rose_to", "value": 0.62}
    trigger = make_trigger(conditions=[crossing], type="predictive")
    entered = []
    for name, data in (
        ("product_view", {"product_id": "p"}),  # 0.52
        ("add_to_cart", {"product_id": "p"}),  # 0.57
        ("purchase_completed", {"order_id": "1", "total": 20}),  # 0.82
        ("product_view", {"product_id": "q"}),  # 0.84: it was above before.
        ("email_unsubscribed", {}),  # 0.44
        ("purchase_completed", {"order_id": "2", "total": 20}),  # 0.69
    ):
        send(incoming(name, data=data))
        decide_all()
        entered.append(len(outcomes(trigger)))
    assert entered == [0, 0, 1, 1, 1, 2]
    names = Execution.objects.order_by("id").values_list("event_name", flat=True)
    assert list(names) == ["purchase_completed", "purchase_completed"]


def test_a_stored_condition_that_nobody_knows_pauses_its_trigger() -> None:
    """H-032, S-097: it was valid in another release. It never matches everyone; the others go on."""
    odd, sound = make_trigger(), make_trigger()
    unknown = {
        **odd.current_version.definition,
        "conditions": [CART, {"type": "moon_phase", "phase": "full"}],
    }
    TriggerVersion.objects.filter(pk=odd.current_version_id).update(definition=unknown)
    index.forget()
    send(incoming())
    decide_all()
    odd.refresh_from_db()
    assert odd.mode == "paused"
    assert f"Version {odd.current_version_id} cannot be read" in odd.pause_reason
    assert outcomes(odd) == []
    assert outcomes(sound) == [("pending", "")]
