"""The type of a trigger: chosen in words, shown in colour, filtered by, and warned about."""

from __future__ import annotations

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from automation.admin import kinds
from automation.engine.types import TriggerType
from automation.models import Trigger
from tests.integration.admin import rows
from tests.integration.admin.test_triggers import LIST, add

pytestmark = pytest.mark.django_db


def test_every_type_has_its_words() -> None:
    """One place says what each means."""
    assert set(kinds.WORDS) == set(kinds.MEANINGS) == {kind.value for kind in TriggerType}
    assert [value for value, _ in kinds.choices()] == [kind.value for kind in TriggerType]


def test_a_list_is_filtered_by_type_and_shows_it(root: Client) -> None:
    """S-049: a colour is never alone; the word stands in it."""
    for kind in TriggerType:
        rows.trigger(key=f"of-{kind.value}", type=kind.value, name=f"Of {kind.value}")
    page = root.get(reverse(LIST)).content.decode()
    for kind in TriggerType:
        assert f'class="kind kind-{kind.value}"' in page
    page = root.get(reverse(LIST), {"type": "behavioral"}).content.decode()
    assert "Of behavioral" in page
    assert "Of contextual" not in page


def test_decisions_are_narrowed_down_to_a_type(root: Client) -> None:
    """S-049: the dimension of what was decided; figures over time come with reports."""
    alice = rows.customer("alice")
    for kind in ("behavioral", "predictive"):
        by = rows.trigger(key=f"of-{kind}", type=kind, name=f"Of {kind}")
        rows.execution(rows.event(alice), by, status="triggered", reason="")
    page = root.get(reverse("admin:automation_execution_changelist"), {"type": "behavioral"})
    assert [one.trigger.type for one in page.context["cl"].result_list] == ["behavioral"]
    assert "Predictive" in page.content.decode()


def test_a_behavioral_trigger_may_use_every_condition(root: Client) -> None:
    """S-049: the type limits nothing."""
    context = {"type": "season", "start": "01-01", "end": "12-31"}
    rows.template()
    add(root, type="behavioral", conditions=[rows.CART, context])
    assert Trigger.objects.get().type == "behavioral"


@pytest.mark.parametrize(("message_class", "warns"), [("marketing", True), ("transactional", False)])
def test_a_transactional_trigger_that_sends_marketing_is_warned_about(
    root: Client, message_class: str, warns: bool
) -> None:
    """S-050: saved, and said clearly."""
    rows.template()
    answer = add(root, type="transactional", message_class=message_class)
    assert Trigger.objects.get().message_class == message_class
    said = " ".join(str(one) for one in get_messages(answer.wsgi_request))
    assert ("A transactional trigger sends marketing here" in said) is warns
