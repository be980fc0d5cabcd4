"""A marketer changes a trigger, looks at what that means, goes live, pauses, and calls off what waits."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse

from tests.browser.visit import PASSWORD, Visit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]


@pytest.fixture
def waiting(live_server: Any) -> Any:
    """A live trigger for which one message waits; its id."""
    from tests.integration.admin import rows  # Its models are not loaded when this file is read.

    trigger = rows.trigger(holdout_percent=0)
    alice = rows.customer("alice")
    decided = rows.execution(rows.event(alice), trigger, status="pending", reason="", due_at=None)
    rows.delivery(decided, status="pending", due_at="2030-01-01T00:00Z")
    return trigger


def test_edit_confirm_go_live_pause_and_call_off(browser: Any, live_server: Any, waiting: Any) -> None:
    """S-002, S-079, S-080: as a person does it; no page on the way complains."""
    from automation.models import Delivery, Trigger, TriggerVersion

    get_user_model().objects.create_superuser("root", password=PASSWORD)
    visit = Visit(browser, live_server.url)
    page = visit.page
    visit.log_in("root", PASSWORD)
    visit.open(reverse("admin:automation_trigger_change", args=[waiting.pk]))
    page.fill("#id_name", "Carts we miss")
    page.click("[name=_save]")
    page.wait_for_selector("h1:has-text('Go live')")
    assert page.locator("li", has_text="name: Cart recovery cart → Carts we miss").count() == 1
    assert page.locator("li", has_text="1 action is waiting and keeps version 1").count() == 1
    assert TriggerVersion.objects.count() == 1
    visit.examine()
    page.click("[name=_publish]")
    page.wait_for_selector(".messagelist:has-text('version 2 is live')")
    page.click(".beckon-tabs a:has-text('Versions')")
    page.wait_for_selector("#version-2:has-text('the engine has this one')")
    visit.open(reverse("admin:automation_trigger_changelist"))
    page.check("[name=_selected_action]")
    page.select_option("[name=action]", "pause")
    page.click("button[name=index]")
    page.wait_for_selector("h1:has-text('What becomes of what waits?')")
    assert Trigger.objects.get().mode == "paused"
    visit.examine()
    page.click("[name=_cancel]")
    page.wait_for_selector(".messagelist:has-text('1 action was called off')")
    assert Delivery.objects.get().status == "cancelled"
    assert visit.complaints == []
    page.context.close()
