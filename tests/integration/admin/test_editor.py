"""What the trigger editor is made of: data in the page, recipes, fields without JSON, and what it costs."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from automation import wording
from automation.actions.registry import ACTIONS
from automation.admin import editor_fields
from automation.admin.trigger_form import composed
from automation.engine.conditions import CONDITIONS
from automation.models import Trigger
from automation.recipes import recipes
from tests.browser.editor import shop
from tests.integration.admin import rows
from tests.integration.admin.conftest import SignIn
from tests.integration.admin.test_triggers import add, change

ADD = "admin:automation_trigger_add"
SCRIPTS = Path(editor_fields.__file__).parents[1] / "static" / "beckon"


def block(text: str, name: str) -> Any:
    """A JSON block of the page."""
    found = re.search(rf'<script id="editor-{name}" type="application/json">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_every_type_is_in_the_page_by_itself(root: Client) -> None:
    """S-002, S-003: the schema of both registries, nothing else; a sentence names only fields there are."""
    schema = block(root.get(reverse(ADD)).content.decode(), "schema")
    for name, kinds in (("conditions", CONDITIONS), ("actions", ACTIONS)):
        assert {schema["$defs"][one]["title"] for one in schema[name]} == {
            kind.label for kind in kinds.values()
        }
        for one in schema[name]:
            shape = schema["$defs"][one]
            assert set(re.findall(r"{(\w+)}", shape["x-sentence"])) <= set(shape["properties"])
            assert not shape["x-icon"].isascii() or not shape["x-icon"].isalpha()  # A symbol, not its name.


def test_known_values_cost_five_queries_and_count_nothing(root: Client) -> None:
    """S-008: with names, volumes and types; personal values are never among them."""
    from automation.admin.editor import sources

    shop()
    rows.customer("bob", traits={"plan": "pro", "mail": "bob@example.com"})
    with CaptureQueriesContext(
        connection,
    ) as captured:
        found = sources()
        json.dumps(found)
    assert len(captured) == 5
    assert not any("COUNT(" in query["sql"].upper() for query in captured)
    assert found["event_types"][0] == {"value": "product_view", "seen": 1297}
    assert {"value": "is_gift", "types": ["boolean"]} in found["event_fields"]["cart_abandonment"]
    assert {"value": "traits.plan", "types": ["text"]} in found["attributes"]
    assert {"value": "traits.age", "types": ["number"]} in found["attributes"]
    assert "bob@example.com" not in json.dumps(found)


def test_texts_from_outside_cannot_leave_their_block(root: Client) -> None:
    """R-050: an event named like a tag stays data."""
    rows.template("x", name="</script><img src=x onerror=alert(1)>")
    text = root.get(reverse(ADD)).content.decode()
    assert "<img" not in text
    assert block(text, "sources")["templates"][-1]["label"].startswith("</script>")


@pytest.mark.parametrize("recipe", recipes(), ids=lambda recipe: recipe.key)
def test_a_recipe_fills_the_form_and_saves_as_it_is(root: Client, recipe: Any) -> None:
    """S-002: what the page offers, sent back as a browser does, is the recipe's own document."""
    for action in recipe.trigger["actions"]:
        if "template_id" in action:
            rows.template(action["template_id"])
    page = root.get(reverse(ADD), {"recipe": recipe.key})
    form = page.context["adminform"].form  # type: ignore[attr-defined]
    sent: dict[str, Any] = {}
    for bound in form:
        widget = bound.field.widget
        value = bound.value()
        names = getattr(widget, "widgets_names", [""])
        parts = (
            widget.decompress(value) if hasattr(widget, "decompress") else [bound.field.prepare_value(value)]
        )
        sent |= {
            f"{bound.html_name}{name}": part
            for name, part in zip(names, parts, strict=True)
            if part is not None
        }
    sent["recheck"] = "on"
    answer = root.post(reverse(ADD), sent)
    assert answer.status_code == 302, page.content
    made = Trigger.objects.get(key=recipe.key).document()
    for name, value in recipe.trigger.items():
        assert made[name] == value, name


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ({"timing": "delay", "timing_after": "3", "timing_unit": "days"}, {"kind": "delay", "minutes": 4320}),
        (
            {"timing": "delay", "timing_after": "0.5", "timing_unit": "hours"},
            {"kind": "delay", "minutes": 30},
        ),
        ({"timing": "local_time", "timing_time": "18:00"}, {"kind": "local_time", "time": "18:00"}),
        (
            {"timing": "optimal_personal", "timing_within": "48"},
            {"kind": "optimal_personal", "within_hours": 48},
        ),
        ({"timing": "within_24h"}, {"kind": "within_24h"}),
        ({"timing": ""}, {"kind": "immediate"}),
    ],
)
def test_timing_is_chosen_without_json(root: Client, typed: dict[str, str], stored: dict[str, Any]) -> None:
    """S-002: and comes back into its fields."""
    rows.template()
    assert add(root, **typed).status_code == 302
    trigger = Trigger.objects.get()
    assert trigger.document()["timing"] == stored
    widget = editor_fields.TimingWidget()
    shown = dict(zip(("timing", "timing_after", "timing_unit", "timing_time", "timing_within"),
                     widget.decompress(stored), strict=True))  # fmt: skip
    assert composed(shown)["timing"] == stored


def test_limits_and_goals_are_written_in_words(root: Client) -> None:
    """S-002: rests in days, twice a week, a goal; rows that narrow a goal are kept."""
    trigger = rows.trigger(goal={"event_name": "purchase_completed", "window_hours": 72, "data_conditions": [
        {"field": "total", "operator": "greater_than", "value": 5}]})  # fmt: skip
    answer = change(
        root,
        trigger,
        mode="draft",
        cooldown_minutes="2",
        cooldown_minutes_unit="days",
        max_per_period="2",
        max_per_period_span="7",
        max_per_period_unit="days",
        goal="purchase_completed",
        goal_span="5",
        goal_unit="days",
    )
    assert answer.status_code == 302
    trigger.refresh_from_db()
    assert trigger.cooldown_minutes == 2880
    assert trigger.max_per_period == {"count": 2, "hours": 168}
    assert trigger.goal["window_hours"] == 120
    assert trigger.goal["data_conditions"][0]["value"] == 5


def test_the_preview_reads_the_fields_as_the_form_does() -> None:
    """What consists of several inputs is put together; the rest stays as it was sent."""
    sent = {"name": "A", "cooldown_minutes": "3", "cooldown_minutes_unit": "hours", "max_per_customer": "1"}
    assert composed(sent)["cooldown_minutes"] == 180
    assert composed(sent)["max_per_customer"] == "1"
    assert composed({"cooldown_minutes": 60}) == {"cooldown_minutes": 60}


@pytest.mark.parametrize(
    ("pointer", "words"),
    [
        ("/conditions/1/conditions/0/value", "Condition 2 › 1"),
        ("/conditions/0/data_conditions/1/field", "Condition 1, row 2"),
        ("/conditions/3/sequence/0/event_type", "Condition 4, step 1"),
        ("/actions/0/url", "Action 1"),
        ("/cancel_when/2", "Stop 3"),
        ("/conditions", ""),
        ("/timing/minutes", ""),
        ("", ""),
    ],
)
def test_a_place_is_counted_as_a_person_counts(pointer: str, words: str) -> None:
    """S-002: without JavaScript, errors say where they are."""
    assert wording.place(pointer) == words


def test_who_may_only_look_gets_no_editor(sign_in: SignIn) -> None:
    """S-008: the sentence, and the document folded away."""
    trigger = rows.trigger()
    text = (
        sign_in("Analyst").get(reverse("admin:automation_trigger_change", args=[trigger.pk])).content.decode()
    )
    assert "trigger-builder>" not in text
    assert "When cart abandonment happens where total value is more than 50" in text


def test_the_scripts_stay_small_and_import_nothing() -> None:
    """S-002: no dependency, no build step; compressed under 12 kB and 4 kB."""
    for name, most in (("trigger-builder.js", 12_000), ("trigger-preview.js", 4_000)):
        text = (SCRIPTS / name).read_text()
        assert len(gzip.compress(text.encode(), mtime=0)) < most
        assert not re.search(r"^import |innerHTML|insertAdjacentHTML|eval\(|\.style\b", text, re.MULTILINE)
