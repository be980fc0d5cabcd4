"""The cards of the trigger editor: every kind is drawn from its schema and loses nothing."""

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


def test_operators_and_values_fit_the_field(editor: Open) -> None:
    """S-002, H-034: numbers are stored as numbers, texts as texts, and a time as hours."""
    one = editor()
    one.change(trigger(conditions=[CART]).pk)
    row = "/conditions/0/data_conditions/0"

    def operators() -> list[str]:
        return one.at(f"{row}/operator").locator("option").all_inner_texts()

    assert "contains" not in operators()
    assert "is more than" in operators()
    one.at(f"{row}/value").fill("75.50")
    assert one.document()[0]["data_conditions"][0]["value"] == 75.5
    one.at(f"{row}/field").select_option("is_gift")
    assert "is more than" in operators()  # Chosen before: it stays until another is chosen.
    one.at(f"{row}/operator").select_option(label="is")
    assert "is more than" not in operators()
    one.at(f"{row}/value").select_option(label="yes")
    assert one.document()[0]["data_conditions"][0] == {
        "field": "is_gift",
        "operator": "equals",
        "value": True,
    }
    one.at(f"{row}/field").select_option("cart_id")
    one.at(f"{row}/value").fill("007")
    assert one.document()[0]["data_conditions"][0]["value"] == "007"
    one.at(f"{row}/operator").select_option(label="is one of")
    one.at(f"{row}/value").fill("a, b")
    assert one.document()[0]["data_conditions"][0]["value"] == ["a", "b"]
    one.at("/conditions/add").select_option(label="Time since the last message")
    one.at("/conditions/1/hours").fill("7")
    one.at("/conditions/1/hours#1").select_option("days")
    assert one.document()[1]["hours"] == 168


def test_known_values_show_how_often_and_another_is_typed(editor: Open) -> None:
    """S-002: a select with volumes; a value that was never seen stays what it is."""
    one = editor()
    one.change(trigger(conditions=[CART, {"type": "segment", "segment": "gone"}]).pk)
    event = one.at("/conditions/0/event_type")
    assert "cart abandonment · 551 seen" in event.locator("option").all_inner_texts()
    assert one.at("/conditions/1/segment").locator("option:checked").inner_text() == "gone (not seen yet)"
    event.select_option(label="another…")
    assert one.focused() == "/conditions/0/event_type"
    one.at("/conditions/0/event_type").fill("cart_left")
    assert one.document()[0]["event_type"] == "cart_left"


def test_every_kind_round_trips_through_its_card(editor: Open) -> None:
    """S-002, S-003: each example of each registered type is drawn as a card and comes back deep-equal; so does a
    group in a group, and what the picker makes is drawn as well."""
    from automation.actions.registry import ACTIONS
    from automation.engine.conditions import CONDITIONS

    one = editor()
    one.change(trigger(conditions=[CART]).pk)
    conditions = [example.document for kind in CONDITIONS.values() for example in kind.examples]
    actions = [example.document for kind in ACTIONS.values() for example in kind.examples]
    nested = {
        "type": "any",
        "conditions": [{"type": "not", "conditions": [RICH]}, {"type": "all", "conditions": conditions[:3]}],
    }
    lost = one.page.evaluate(
        """([conditions, actions]) => {
            const builder = document.querySelector("trigger-builder");
            const lost = [];
            for (const [list, documents] of [["conditions", conditions], ["actions", actions]]) {
                for (const one of documents) {
                    builder.areas[list].value = JSON.stringify([one]);
                    if (!builder.load()) lost.push(["not drawn", one]);
                    builder.doc[list].push({ type: "added" });  // The whole list is written anew.
                    builder.commit();
                    const kept = JSON.parse(builder.areas[list].value)[0];
                    const raw = builder.querySelector(`[data-card="/${list}/0"] > details > textarea`);
                    if (raw) lost.push(["as JSON", one]);
                    lost.push([kept, one]);
                }
            }
            return lost;
        }""",
        [[*conditions, nested], actions],
    )
    assert len(lost) == len(conditions) + 1 + len(actions)  # None was "not drawn" or shown "as JSON".
    assert all(kept == one for kept, one in lost)
    for place, kinds in (("conditions", CONDITIONS), ("actions", ACTIONS)):
        labels = one.at(f"/{place}/add").locator("option").all_inner_texts()[1:]
        assert sorted(labels) == sorted(kind.label for kind in kinds.values())
        one.page.evaluate(
            """(list) => {
                const builder = document.querySelector("trigger-builder");
                builder.doc[list] = builder.schema.kinds[list].map((kind) => builder.schema.create(kind));
                builder.draw();
                builder.commit();
            }""",
            place,
        )
        assert one.page.locator(f"[data-card^='/{place}/'] > details > textarea").count() == 0
        made = [node["type"] for node in one.document(place)]
        assert sorted(made) == sorted(key.partition(".")[0] for key in kinds)


def test_untouched_nodes_stay_deep_equal(editor: Open) -> None:
    """S-002: one card is added; a node of a kind that is not known here comes back as it was."""
    strange = {"type": "of_tomorrow", "parts": [{"a": [1, 2.5, None]}], "text": "<b>€</b>"}
    made = trigger(conditions=[CART, RICH])
    richer = {"type": "segment", "segment": "vip", "colour": "red"}  # A known kind with a field of tomorrow.
    apps.get_model("automation.Trigger").objects.filter(pk=made.pk).update(
        conditions=[CART, strange, RICH, richer]
    )
    one = editor()
    one.change(made.pk)
    assert one.page.locator('[data-card="/conditions/1"] textarea').count() == 1
    assert one.page.locator('[data-card="/conditions/3"] textarea').count() == 1
    one.at("/conditions/add").select_option(label="Segment")
    assert one.document()[:4] == [CART, strange, RICH, richer]
    assert one.document()[4]["type"] == "segment"


def test_what_cannot_be_read_stays_in_the_textarea(editor: Open) -> None:
    """S-002: the whole document can be edited as JSON, and unreadable JSON is not touched."""
    one = editor()
    one.change(trigger(conditions=[CART]).pk)
    one.page.click("text=Edit as JSON")
    assert one.page.is_visible("textarea[name=conditions]")
    one.page.fill("textarea[name=conditions]", "[{]")
    one.page.click("text=Back to the cards")
    assert "cannot be drawn as cards" in one.page.inner_text("trigger-builder .errornote")
    assert one.page.input_value("textarea[name=conditions]") == "[{]"
    one.page.fill("textarea[name=conditions]", json.dumps([CART, RICH]))
    one.page.click("text=Back to the cards")
    assert one.page.locator('[data-card="/conditions/1"]').is_visible()


def test_a_page_full_of_cards_is_accessible(editor: Open) -> None:
    """S-002: every kind, options unfolded, a person's trace and problems on the cards, in both themes, and narrow."""
    one = editor()
    one.change(trigger(conditions=[CART]).pk)
    one.page.evaluate(
        """() => {
            const builder = document.querySelector("trigger-builder");
            for (const list of ["conditions", "actions"]) {
                builder.doc[list] = builder.schema.kinds[list].map((kind) => builder.schema.create(kind));
            }
            builder.doc.conditions.push({ type: "not", conditions: [{ type: "segment" }] }, { type: "?" });
            builder.doc.cancel_when = ["purchase_completed"];
            builder.draw();
            builder.wasSaved = true;
            builder.setProblems({ "/conditions/0": { message: "No" }, "/actions/0/delay_minutes": { message: "No" } });
            const results = ["met", "not_met", "broken"];
            builder.trace = Object.fromEntries(builder.doc.conditions.map((_, index) => [`/conditions/${index}`,
                { result: results[index % 3], seen: "5", reached: index < 6 }]));
            builder.drawTrace();
            builder.querySelectorAll("details").forEach((one) => { one.open = true; });
        }"""
    )
    one.examine()


def test_actions_are_put_in_another_order_and_stored_so(editor: Open) -> None:
    """S-003: by button and by keyboard; the order of the cards is the order in which the engine acts."""
    from automation.engine.types import Mode

    mail = {"type": "send_email", "template_id": "cart_recovery"}
    task = {"type": "create_task", "title": "Call"}
    seen = {"type": "add_to_segment", "segment": "at_risk"}
    made = trigger(conditions=[CART], actions=[mail, task, seen], mode=Mode.DRAFT)
    one = editor()
    one.change(made.pk)
    one.at("/actions/0/move_down").click()
    assert one.document("actions") == [task, mail, seen]
    one.at("/actions/2").focus()
    one.press("Alt+ArrowUp")
    assert one.document("actions") == [task, seen, mail]
    one.page.click("input[name=_save]")
    one.page.wait_for_url("**/trigger/")
    assert apps.get_model("automation.Trigger").objects.get(pk=made.pk).actions == [task, seen, mail]
