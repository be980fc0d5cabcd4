"""A marketer's whole way: cart recovery, built by keyboard only, tried out, explained, published, and sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.apps import apps

from tests.browser.editor import Editor, marketer

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.timeout(180)]


@pytest.fixture
def smtp(settings: Any) -> Iterator[Any]:
    """A mail server of this test's own."""
    from tests.integration.deliver.mailserver import mail_server

    with mail_server() as (ledger, port):
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
        yield ledger


def tab_to(editor: Editor, focus: str = "", *, text: str = "", limit: int = 120) -> None:
    """Press Tab until the focus is there, or on what begins with `text`, as somebody without a mouse does."""
    for _ in range(limit):
        editor.press("Tab")
        is_there = editor.focused() == focus if focus else editor.focused_text().startswith(text)
        if is_there:
            return
    raise AssertionError(f"Tab never came to {focus or text}")


def past() -> None:
    """Two customers who agreed long ago and left two carts each; one of them has bought for 300."""
    from tests import factories

    now = datetime.now(UTC)
    # It is about noon where they are, whatever it is here: no quiet hours.
    zone = f"Etc/GMT{now.hour - 12:+d}"
    for who, bought in (("noor", 0), ("rosa", 300)):
        events = [
            (
                12,
                "identify",
                {"traits": {"email": f"{who}@example.com", "first_name": who.title(), "time_zone": zone}},
            ),
            (12, "consent_changed", {"topic": "marketing", "channel": "email", "is_granted": True}),
            *(
                [(11, "purchase_completed", {"order_id": who, "total": bought, "currency": "EUR"})]
                if bought
                else []
            ),
            *[
                (days, "cart_abandonment", {"total_value": 74.5, "cart_id": f"{who}-{days}"})
                for days in (5, 2)
            ],
        ]
        for days, name, data in events:
            at = now - timedelta(days=days)
            factories.send(factories.incoming(name, who, data=data, at=at, received_at=at))
    factories.decide_all()


def test_a_marketer_builds_cart_recovery_by_keyboard_only(editor: Callable[[], Editor], smtp: Any) -> None:
    """S-002, S-003, S-008, S-079: with a nested group; the backtest counts, one person is explained on the cards, it
    goes live, and a real event then sends the mail."""
    from automation.pipeline import index
    from automation.pipeline.deliver import deliver_batch
    from tests import factories

    past()
    window = editor(user=marketer(may_publish=True))
    window.add()
    page = window.page
    # 1. A name. The page begins there.
    assert window.focused() == "name"
    page.keyboard.type("Cart recovery")
    # 2. When.
    tab_to(window, "/conditions/0/event_type")
    window.choose("cart")
    tab_to(window, "/conditions/0/data_conditions/add")
    assert window.document() == [{"type": "event_match", "event_type": "cart_abandonment"}]
    window.press("Enter")
    assert window.focused() == "/conditions/0/data_conditions/0/field"
    window.choose("total")
    tab_to(window, "/conditions/0/data_conditions/0/operator")
    window.choose("is more")
    tab_to(window, "/conditions/0/data_conditions/0/value")
    page.keyboard.type("50")
    # 3. If: a group in a group.
    tab_to(window, "/conditions/add")
    window.choose("any of")
    assert window.focused() == "/conditions/1/type"
    tab_to(window, "/conditions/1/conditions/add")
    window.choose("none of")
    tab_to(window, "/conditions/1/conditions/0/conditions/add")
    window.choose("customer")
    inner = "/conditions/1/conditions/0/conditions/0"
    assert window.focused() == f"{inner}/attribute"
    window.choose("lifetime")
    tab_to(window, f"{inner}/operator")
    window.choose("is more")
    tab_to(window, f"{inner}/value")
    page.keyboard.type("200")
    assert window.document()[1] == {
        "type": "any",
        "conditions": [
            {
                "type": "not",
                "conditions": [
                    {
                        "type": "customer_attribute",
                        "operator": "greater_than",
                        "attribute": "lifetime_value",
                        "value": 200,
                    }
                ],
            }
        ],
    }
    # 4. Then.
    tab_to(window, "/actions/add")
    window.choose("send an")
    assert window.focused() == "/actions/0/template_id"
    window.choose("cart")
    # 5. The backtest counts what is stored: two of four carts belong to somebody who has not spent so much yet.
    page.wait_for_selector(".preview-tiles div:has-text('would fire') strong:text-is('2')")
    assert page.inner_text('[data-card="/conditions/0"] .builder-count') == "4 of 4 pass"
    assert page.inner_text('[data-card="/conditions/1"] > .builder-head > .builder-count') == "2 of 4 pass"
    # 6. Why not Rosa? What is true inside "none of these" speaks against her.
    tab_to(window, text="Rosa")
    window.press("Enter")
    page.wait_for_selector(".builder-verdict >> text=stopped here")
    assert page.locator('[data-card="/conditions/0"]').get_attribute("data-verdict") == "good"
    assert page.inner_text('[data-card="/conditions/1"] > .builder-verdict') == "✗ stopped here"
    card = page.locator(f'[data-card="{inner}"]')
    assert card.locator("> .builder-verdict").inner_text() == "✓ true: lifetime value was 300"
    assert card.get_attribute("data-verdict") == "bad"
    assert page.locator(".preview-guards li").count() > 5
    assert window.focused_text().startswith("Rosa")
    # 7. Everybody gets it in this test, and it goes live after a look at what that means.
    tab_to(window, "holdout_percent")
    page.keyboard.type("0")
    tab_to(window, "_golive")
    window.press("Enter")
    page.wait_for_selector("input[name=_publish]")
    tab_to(window, "_publish")
    window.press("Enter")
    page.wait_for_selector(".messagelist .success")
    made = apps.get_model("automation.Trigger").objects.get(key="cart-recovery")
    assert made.mode == "live"
    assert not made.current_version.published_by.is_superuser
    # 8. A real event.
    index.forget()
    factories.send(factories.incoming("cart_abandonment", "noor", data={"total_value": 80}))
    factories.decide_all()
    for lane in ("critical", "high", "medium", "low"):
        deliver_batch(lane, worker="test", limit=10)
    assert smtp.recipients == [["noor@example.com"]]
    assert smtp.messages[0]["Subject"] == "Your cart"


def test_the_chosen_person_is_taken_along_to_the_test(editor: Callable[[], Editor]) -> None:
    """S-003: from a person in the panel to the page that sends a test with their data."""
    from tests.integration.admin import rows

    past()
    made = rows.trigger(conditions=[rows.CART])
    window = editor()
    window.change(made.pk)
    person = window.page.locator(".preview-people button").first
    event = person.get_attribute("data-event")
    assert window.page.locator("a[href*='/test/?event=']").count() == 0
    person.click()
    address = window.page.locator("a[href*='/test/?event=']").get_attribute("href")
    window.page.goto(window.base + address)
    assert window.page.input_value("[name=event]") == event
