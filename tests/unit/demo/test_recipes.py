"""The recipes: valid, complete, and their mails say what they should."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from analytics.demo import article
from analytics.demo.recipes import KEYS, Recipe, recipes
from automation.actions import registry
from automation.engine.bucketing import in_holdout
from automation.engine.types import Event
from automation.engine.validate import validate_definition
from automation.rendering import context, email
from automation.rendering.context import TriggerFacts
from profiles.behavior.state import empty

NOW = datetime(2026, 11, 24, 21, 0, tzinfo=UTC)
LINES = [{"product_id": "p01", "name": "Tea & <Honey>", "price": 9.95, "quantity": 2}]
DATA = {
    "signup": {"plan": "free"},
    "product_view": {
        "product_id": "p17",
        "product_name": "Espresso Machine",
        "product_url": "https://shop.example.com/p/p17",
        "price": 189.95,
    },
    "cart_abandonment": article.event(NOW)["event_data"],
    "purchase_completed": {"order_id": "B1", "total": 19.9, "currency": "EUR", "items": LINES},
    "payment_failed": {
        "order_id": "B2",
        "total": 20.05,
        "reason": "card_declined",
        "retry_url": "https://shop.example.com/pay/B2",
    },
    "refund_issued": {"order_id": "B3", "refund_amount": 7.0, "reason": "returned"},
    "security_alert": {"kind": "new_device", "device": "Firefox on Linux", "city": "Vienna"},
}
EXPECTED = {
    "welcome": ("Welcome to Fern & Bean, Sam", "Welcome, Sam!"),
    "browse_reminder": ("Still thinking about the Espresso Machine?", "189.95 €"),
    "cart_recovery": ("Your cart is waiting, Sam", "124.98 €"),
    "order_thanks": ("Thank you! Your order B1", "19.90 €"),
    "payment_failed": ("Your payment for order B2 did not go through", "20.05 €"),
    "refund_follow_up": ("Has your refund arrived, Sam?", "7.00 €"),
    "milestone": ("You have become a regular, Sam", "oat biscuits"),
    "win_back": ("Running low, Sam?", "https://shop.example.com/reorder/B1"),
    "vip": ("Sam, this one is on us", "ship free"),
    "security_notice": ("A new device signed in to your account", "Firefox on Linux in Vienna"),
}


def rendered(recipe: Recipe, **traits: str) -> email.Rendered:
    name = recipe.trigger["conditions"][0]["event_type"]
    source = email.Source(hash(recipe.key), NOW, recipe.key, recipe.subject, recipe.html, recipe.text)
    variables = context.build(
        event=Event(5, "m5", name, 1, NOW, NOW, DATA[name]),
        profile={**empty(), "first_name": "Sam", "email": "sam@example.com", **traits},
        customer_id="c1",
        trigger=TriggerFacts(3, recipe.key, recipe.name, recipe.trigger["type"], NOW),
        now=NOW,
        unsubscribe_url="https://beckon.example.com/unsubscribe/t/",
    )
    return email.render(source, variables)


@pytest.mark.parametrize("recipe", recipes(), ids=lambda recipe: recipe.key)
def test_a_recipe_can_be_published(recipe: Recipe) -> None:
    definition, problems = validate_definition(recipe.trigger)
    assert problems == {}
    assert definition is not None
    assert registry.validate_actions(recipe.trigger["actions"]) == {}
    assert [a["template_id"] for a in recipe.trigger["actions"] if a["type"] == "send_email"] == [recipe.key]


@pytest.mark.parametrize("recipe", recipes(), ids=lambda recipe: recipe.key)
def test_its_mail_names_customer_and_event_and_knows_all_its_variables(recipe: Recipe) -> None:
    mail = rendered(recipe)
    subject, words = EXPECTED[recipe.key]
    assert mail.subject == subject
    assert words in mail.text
    assert words in mail.html
    assert mail.unknown == ()
    assert "class=" not in mail.html
    assert "<!--" not in mail.html


@pytest.mark.parametrize("recipe", recipes(), ids=lambda recipe: recipe.key)
def test_marketing_can_be_unsubscribed_from_and_other_mail_says_why_it_comes(recipe: Recipe) -> None:
    mail = rendered(recipe)
    is_marketing = recipe.trigger["message_class"] == "marketing"
    for body in (mail.html, mail.text):
        assert ("https://beckon.example.com/unsubscribe/t/" in body) is is_marketing
        assert ("It is not advertising." in body) is not is_marketing


def test_what_a_customer_sends_is_text_and_never_markup() -> None:
    order = next(recipe for recipe in recipes() if recipe.key == "order_thanks")
    mail = rendered(order, first_name="<b>Eve</b>")
    assert "Tea &amp; &lt;Honey&gt; × 2" in mail.html
    assert "&lt;b&gt;Eve&lt;/b&gt;" in mail.html
    assert "<b>Eve" not in mail.html


def test_the_customer_of_the_example_is_the_first_profile_and_not_held_out() -> None:
    first_profile = 1
    assert not in_holdout("cart_recovery", first_profile, 5.0)


def test_a_customer_without_a_name_is_a_valued_one() -> None:
    welcome = recipes()[0]
    assert rendered(welcome, first_name="").subject == "Welcome to Fern & Bean, Valued Customer"


def test_there_are_ten_of_every_priority_and_both_classes() -> None:
    assert len(KEYS) == len({recipe.name for recipe in recipes()}) == 10
    assert {recipe.trigger["priority"] for recipe in recipes()} == {"critical", "high", "medium", "low"}
    assert [r.key for r in recipes() if r.trigger["priority"] == "critical"] == ["security_notice"]
    kinds = {action["type"] for recipe in recipes() for action in recipe.trigger["actions"]}
    assert kinds == {"send_email", "update_customer_data", "create_task", "add_to_segment"}
