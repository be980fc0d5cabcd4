"""The trigger editor in a real browser: cards, keyboard, errors at their place, and what works without it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps

from tests.browser.editor import Editor

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]

CART = {
    "type": "event_match",
    "event_type": "cart_abandonment",
    "data_conditions": [{"field": "total_value", "operator": "greater_than", "value": 50}],
}
RICH = {"type": "customer_attribute", "attribute": "lifetime_value", "operator": "greater_than", "value": 200}
Open = Callable[..., Editor]


def trigger(**fields: Any) -> Any:
    from tests.integration.admin import rows

    return rows.trigger(**fields)


def stored(pk: int) -> Any:
    return apps.get_model("automation.Trigger").objects.get(pk=pk)


def test_cards_are_moved_and_removed_by_keyboard(editor: Open) -> None:
    """S-002: Alt and an arrow move a card, the focus stays on it, and it is said where it is."""
    day = {"type": "time_based", "time_condition_type": "day_of_week", "allowed_days": [0]}
    one = editor()
    one.change(trigger(conditions=[CART, RICH, day]).pk)
    card = one.at("/conditions/2")
    card.focus()
    one.press("Alt+ArrowUp")
    assert one.document() == [CART, day, RICH]
    assert one.focused() == "/conditions/1"
    assert one.page.inner_text(".builder-live") == "Moved to position 1."
    one.press("Alt+ArrowUp")  # It is the first of its list: the WHEN card stays in front.
    assert one.document() == [CART, day, RICH]
    remove = one.page.get_by_role("button", name="Remove: Day of the week")
    remove.focus()
    one.press("Enter")
    assert one.document() == [CART, RICH]
    assert one.focused() == "/conditions/1"


def test_errors_of_a_save_land_on_their_card(editor: Open) -> None:
    """S-002, S-003, H-032, H-034: at the field in a group, at the action, and in words above without the pointer."""
    made = trigger(conditions=[CART])
    one = editor()
    one.change(made.pk)
    one.at("/conditions/add").select_option(label="None of these")
    one.at("/conditions/1/conditions/add").select_option(label="Customer")
    one.at("/actions/add").select_option(label="Call a webhook")
    one.page.click("input[name=_save]")
    wrong = one.page.locator('[data-field="/conditions/1/conditions/0/attribute"][aria-invalid]')
    wrong.wait_for()
    said = one.page.locator('[data-card="/conditions/1/conditions/0"] > .builder-problem').inner_text()
    assert "Choose a profile field." in said
    assert one.page.locator('[data-field="/actions/1/url"][aria-invalid]').count() == 1
    assert one.page.locator('[data-field="/conditions/0/event_type"][aria-invalid]').count() == 0
    assert stored(made.pk).conditions == [CART]
    # Put right, it is no longer marked, and is saved.
    one.at("/conditions/1/conditions/0/attribute").select_option("lifetime_value")
    assert wrong.count() == 0
    one.at("/conditions/1/conditions/0/value").fill("5")
    one.page.get_by_role("button", name="Remove: Call a webhook").click()
    one.page.get_by_text("Draft", exact=True).click()
    one.page.click("input[name=_save]")
    one.page.wait_for_url("**/trigger/")
    node = stored(made.pk).conditions[1]["conditions"][0]
    assert node == {
        "type": "customer_attribute",
        "operator": "equals",
        "attribute": "lifetime_value",
        "value": 5,
    }


def test_an_empty_trigger_is_refused_at_its_sections(editor: Open) -> None:
    """H-033: nothing would match everybody."""
    one = editor()
    one.add()
    assert "Choose an event to see who would get this." in one.page.inner_text("trigger-preview")
    one.page.fill("#id_name", "Nothing")
    one.page.click("input[name=_save]")
    assert "would answer every event" in one.page.inner_text(".builder-when > .builder-problem")
    assert "Nothing would happen" in one.page.inner_text(".builder-then > .builder-problem")
    assert apps.get_model("automation.Trigger").objects.count() == 0


def test_without_javascript_the_textareas_work(editor: Open) -> None:
    """S-002, S-003: recipes, problems where a person counts them, and saving; timing without JSON."""
    one = editor(script=False)
    one.add()
    one.page.click("text=Cart recovery")
    assert one.page.input_value("#id_name") == "Cart recovery"
    broken = [CART, {"type": "any", "conditions": [RICH | {"operator": "equals", "value": ""}]}]
    one.page.fill("textarea[name=conditions]", json.dumps(broken))
    one.page.click("input[name=_save]")
    assert "Condition 2 › 1: Enter a value." in one.page.inner_text("#trigger_form")
    one.page.fill("textarea[name=conditions]", json.dumps([CART, RICH]))
    one.page.click("input[name=_save]")
    made = apps.get_model("automation.Trigger").objects.get(key="cart_recovery")
    assert made.conditions == [CART, RICH]
    assert made.cooldown_minutes == 1440
    assert made.goal["event_name"] == "purchase_completed"


def test_a_slow_or_failing_preview_never_stands_in_the_way(editor: Open) -> None:
    """S-002: Save works meanwhile; after a second the panel says what is happening."""
    made = trigger(conditions=[CART])
    one = editor()
    waiting: list[Any] = []
    one.page.route("**/trigger/preview/", lambda route: waiting.append(route))
    one.change(made.pk)
    one.page.wait_for_selector("text=Judging the events of 14 days")
    assert one.page.is_enabled("input[name=_save]")
    one.page.unroute("**/trigger/preview/")
    one.page.route(
        "**/trigger/preview/", lambda route: route.fulfill(status=429, headers={"Retry-After": "1"}, body="")
    )
    one.at("/conditions/0/data_conditions/0/value").fill("59")  # Too many at once: it asks again by itself.
    one.page.wait_for_timeout(500)
    one.page.unroute("**/trigger/preview/")
    one.page.route("**/trigger/preview/", lambda route: route.fulfill(status=500, body="no"))
    one.page.wait_for_selector("text=The preview does not answer at the moment")
    one.at("/conditions/0/data_conditions/0/value").fill("60")
    one.page.get_by_text("Draft", exact=True).click()
    one.page.click("input[name=_save]")
    one.page.wait_for_url("**/trigger/")
    assert stored(made.pk).conditions[0]["data_conditions"][0]["value"] == 60
    assert all("500" in text or "429" in text for text in one.complaints)
    one.complaints.clear()


def test_warnings_stand_on_their_card(editor: Open) -> None:
    """An event that never came is said where it was chosen, quietly, and nowhere else."""
    one = editor()
    one.change(trigger(conditions=[{**CART, "event_type": "never_seen"}]).pk)
    one.page.locator('[data-card="/conditions/0"] .builder-warning').wait_for()
    assert one.page.locator(".builder-warning").count() == 1
    assert one.page.locator(".preview-warnings").count() == 0


def test_two_sessions_edit_one_trigger(editor: Open) -> None:
    """S-080: the second is told who saved what, keeps the text, and saves it as a new version or discards it."""
    from automation.engine.types import Mode

    made = trigger(conditions=[CART], mode=Mode.DRAFT)
    first, second = editor(), editor()
    first.change(made.pk)
    second.change(made.pk)
    first.at("/conditions/0/data_conditions/0/value").fill("100")
    first.page.get_by_text("Shadow", exact=True).click()
    first.page.click("input[name=_save]")
    first.page.wait_for_url("**/trigger/")
    second.at("/conditions/0/data_conditions/0/value").fill("200")
    second.page.get_by_text("Shadow", exact=True).click()
    second.page.click("input[name=_save]")
    said = second.page.inner_text(".editor-conflict")
    assert "root saved at" in said
    assert "total value is more than 50 → cart abandonment happens where total value is more than 100" in said
    assert "more than 100 → cart abandonment happens where total value is more than 200" in said
    assert second.document()[0]["data_conditions"][0]["value"] == 200
    assert stored(made.pk).conditions[0]["data_conditions"][0]["value"] == 100
    assert second.page.get_by_role("link", name="Discard mine").count() == 1
    second.page.click("text=Save mine as a new version")
    second.page.wait_for_url("**/trigger/")
    kept = stored(made.pk)
    assert kept.conditions[0]["data_conditions"][0]["value"] == 200
    assert kept.current_version.number == 3


def test_on_a_phone_nothing_runs_over(editor: Open) -> None:
    """S-002: at 400 px, with the deepest nesting that is allowed; there the save bar does not stick."""
    node: Any = RICH
    for kind in ("any", "not", "all", "any", "not"):
        node = {"type": kind, "conditions": [node]}
    one = editor(width=400)
    one.change(trigger(conditions=[CART, node]).pk)
    assert one.page.evaluate("document.documentElement.scrollWidth") <= 400
    assert one.page.evaluate("getComputedStyle(document.querySelector('.submit-row')).position") != "sticky"
    deepest = (
        one.at("/conditions/1" + "/conditions/0" * 4 + "/conditions/add").locator("option").all_inner_texts()
    )
    assert "Customer" in deepest
    assert "Any of these" not in deepest
